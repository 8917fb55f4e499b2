"""Every command, one after the other, on a small corpus: the README's session."""

import json
import pathlib

import pytest

from pruning.cli import main

SOURCE = "python_docs:max_documents=40"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Runs the commands; tests look at what they left."""
    folder = tmp_path_factory.mktemp("session")

    def prune(command: str) -> None:
        main(command.format(s=SOURCE, d=folder).split())

    prune("score random --source {s} --fields domain damage --output {d}/random")
    prune("select --scores {d}/random --keep low --fraction 0.5 --output {d}/half")
    prune(
        "train --source {s} --where {d}/half --output {d}/model --num_steps 3 --batch_rows 4 "
        "--vocabulary bytes --window 64 --checkpoint_period 2"
    )
    prune(
        "score perplexity random --source {s} --where !{d}/half --model {d}/model "
        "--fields domain damage --output {d}/scores"
    )
    prune("select --scores {d}/scores --keep middle --fraction 0.5 --output {d}/middle")
    prune("report --scores {d}/scores --selection {d}/middle --output {d}/report.html")
    prune("export --source {s} --selection {d}/middle --output {d}/tfrecords")
    return folder


def test_scores_cover_every_row_and_only_the_other_half_has_one(session):
    counts = json.loads((session / "scores/_SUCCESS").read_text())
    half = json.loads((session / "half/selection.json").read_text())["counts"]
    assert counts["rows"] == half["rows"]
    assert counts["unscored"] == {"excluded": half["kept"]}
    assert counts["scored"] == half["rows"] - half["kept"]


def test_scoring_takes_objective_window_and_vocabulary_from_the_model(session):
    manifest = json.loads((session / "scores/manifest.json").read_text())
    assert manifest["objective"]["name"] == "span_corruption"
    assert manifest["objective"]["window"] == 64
    assert manifest["vocabulary"]["digest"] == "bytes"


def test_selection_keeps_half_of_what_has_a_score(session):
    info = json.loads((session / "middle/selection.json").read_text())
    assert info["counts"]["kept"] == info["counts"]["scored"] // 2
    assert sum(g["kept"] for g in info["groups"]["domain"].values()) == info["counts"]["kept"]


def test_export_has_what_is_kept(session):
    import tensorflow as tf

    info = json.loads((session / "middle/selection.json").read_text())
    files = [str(p) for p in pathlib.Path(session / "tfrecords").rglob("*.tfrecord")]
    assert sum(1 for _ in tf.data.TFRecordDataset(files)) == info["counts"]["kept"]


def test_report_names_both_folders(session):
    page = (session / "report.html").read_text()
    assert "nll" in page
    assert "middle" in page


def test_verify_passes_on_the_corpus_as_it_was(session, capsys):
    main(["verify", "--scores", str(session / "scores")])
    main(["verify", "--selection", str(session / "middle")])
    assert capsys.readouterr().out.count(" 0 differences") == 2


def test_verify_fails_on_another_corpus(session, capsys):
    manifest_path = session / "scores/manifest.json"
    original = manifest_path.read_text()
    manifest_path.write_text(original.replace("seed=0", "seed=1"))
    try:
        with pytest.raises(SystemExit):
            main(["verify", "--scores", str(session / "scores")])
    finally:
        manifest_path.write_text(original)
    assert "text hash" in capsys.readouterr().out


def test_another_model_is_refused_with_both_digests(session, capsys, monkeypatch):
    monkeypatch.delenv("PRUNE_TRACEBACK", raising=False)
    train = "train --source {s} --where {d}/half --output {d}/model2 --num_steps 1 --batch_rows 4 --vocabulary bytes --window 64 --seed 1"
    main(train.format(s=SOURCE, d=session).split())
    with pytest.raises(SystemExit):
        main(
            f"score perplexity random --source {SOURCE} --where !{session}/half --model {session}/model2 "
            f"--fields domain damage --output {session}/scores".split()
        )
    digest = json.loads((session / "scores/manifest.json").read_text())["model"]["digest"]
    message = capsys.readouterr().err
    assert "model.digest" in message
    assert digest in message


def test_training_goes_on_from_its_checkpoint(session):
    checkpoints = {p.name for p in (session / "model").glob("checkpoint_*")}
    assert checkpoints == {"checkpoint_3"}
    main(
        f"train --source {SOURCE} --where {session}/half --output {session}/model --num_steps 4 --batch_rows 4 "
        "--vocabulary bytes --window 64 --checkpoint_period 2".split()
    )
    assert {p.name for p in (session / "model").glob("checkpoint_*")} == {"checkpoint_4"}


def test_python_m_is_the_same_job(session, tmp_path, monkeypatch):
    from pruning.jobs import run_job

    argv = [
        "score.py",
        "--gin_file=gin/score/default.gin",
        "--gin.SCORERS=['random']",
        f"--gin.SOURCE='{SOURCE}'",
        f"--gin.OUTPUT='{tmp_path}/random'",
        "--gin.score.score.fields=('domain', 'damage')",
    ]
    monkeypatch.setattr("sys.argv", argv)
    run_job.main("score")
    for path in (session / "random").rglob("*.parquet"):
        same = tmp_path / "random" / path.relative_to(session / "random")
        assert same.read_bytes() == path.read_bytes()

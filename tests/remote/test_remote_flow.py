"""From corpus to export with everything in an object store, byte for byte as on a disk."""

import gzip
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import seqio

from models.checkpoints import load_model
from pruning.cli import main
from pruning.jobs.train import train
from pruning.keep_bits import read_selection
from pruning.score_store import open_store
from seqio_tasks import pruned_task
from seqio_tasks.pretraining import text_task

ROWS = 40


def write_corpus(folder):
    rng = random.Random(0)
    for part in range(2):
        rows = [{"text": f"{rng.random()} {i} over the dog {'#' * (i % 5)}"} for i in range(ROWS)]
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / "deep").mkdir(parents=True, exist_ok=True)
        (folder / "deep" / f"{part}.jsonl").write_bytes(lines)
        (folder / f"{part}.jsonl.zst").write_bytes(pa.compress(lines, "zstd", asbytes=True))
        (folder / f"{part}.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{part}.parquet", row_group_size=9)
    return folder


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A corpus and a model on the disk."""
    here = tmp_path_factory.mktemp("here")
    source = f"jsonl:{write_corpus(here / 'corpus')}/deep/*.jsonl"
    train(source, str(here / "model"), vocabulary="bytes", window=40, batch_rows=2, num_steps=1)
    main(
        [
            "convert",
            str(here / "model"),
            "--to",
            "hugging_face",
            "--output",
            str(here / "hugging_face"),
        ]
    )
    return here


def run(root, output):
    """Scores, selects, scores what was kept, reports and verifies; all paths begin with `root`."""
    corpus = f"jsonl:{root}/corpus/deep/*.jsonl"
    scores, kept, again = (f"{output}/{name}" for name in ("scores", "kept", "again"))
    settings = ["--vocabulary", "bytes", "--window", "40", "--batch_rows", "2", "--unit_rows", "9"]
    asked = ["score", "perplexity", "random", "--source", corpus, "--output", scores]
    main([*asked, "--model", f"{root}/model", *settings])
    selecting = ["select", "--scores", scores, "--keep", "low", "--fraction", "0.5"]
    main([*selecting, "--output", kept])
    where = ["--where", kept, "--output", again, "--unit_rows", "9"]
    main(["score", "random", "--source", corpus, *where])
    main(["report", "--scores", scores, "--selection", kept, "--output", f"{output}/report.html"])
    main(["verify", "--scores", scores])
    main(["verify", "--selection", kept])
    main(["status", "--scores", scores])
    return scores, kept, again


def same_but_for_marks(tree):
    """Where a corpus lies and when it was written differ, and so the digests of manifests."""
    return {name: data for name, data in tree.items() if name.endswith((".parquet", "_SUCCESS"))}


def test_the_whole_flow_is_the_one_on_a_disk(store, here, tmp_path, capsys):
    store.put(here / "corpus")
    store.put(here / "model")
    there = run(store.root, f"{store.root}/out")
    said = capsys.readouterr().out
    assert "complete" in said
    on_disk = run(here, tmp_path)
    for remote, local in zip(there, on_disk, strict=True):
        if local.endswith("kept"):
            chosen, as_here = read_selection(remote), read_selection(local)
            assert chosen.digest == as_here.digest
            assert chosen.info["thresholds"] == as_here.info["thresholds"]
        else:
            units = same_but_for_marks(store.tree(remote))
            assert len(units) == 11
            disk = {p.relative_to(local).as_posix(): p.read_bytes() for p in _files(local)}
            assert units == same_but_for_marks(disk)
            assert open_store(remote).missing_units() == []
    names = [*store.tree(f"{store.root}/out")]
    assert [n for n in names if "/." in n or n.startswith(".")] == [], "no temporaries"
    assert "report.html" in names


def _files(folder):
    return [p for p in pathlib.Path(folder).rglob("*") if p.is_file()]


def test_every_model_format_is_the_one_on_a_disk(store, here):
    digest = load_model(here / "model").digest
    for name in ("model", "hugging_face"):
        url = store.put(here / name)
        for failing in ("not", "503"):
            with store.proxy.failing(failing, every=40):
                loaded = load_model(url)
            assert loaded.digest == digest


def test_a_cut_off_model_is_refused(store, here):
    url = store.put(here / "hugging_face")
    whole = store.fs.cat_file(f"{url}/model.safetensors")
    store.fs.pipe_file(f"{url}/model.safetensors", whole[:-100])
    with pytest.raises(ValueError, match=rf"{url}/model.safetensors is no whole safetensors file"):
        load_model(url)


@pytest.mark.parametrize("source", ["jsonl:{}/*.zst", "jsonl:{}/*.gz", "parquet:{}/*.parquet"])
def test_every_kind_of_file_is_read_in_ranges(store, here, tmp_path, source):
    corpus = store.put(here / "corpus")
    common = ["score", "random", "--unit_rows", "7"]
    main([*common, "--source", source.format(corpus), "--output", f"{store.root}/scores"])
    main(
        [*common, "--source", source.format(here / "corpus"), "--output", str(tmp_path / "scores")]
    )
    for name in ("text_hash", "random"):
        both = [
            np.concatenate([t[name].to_numpy() for _, t in open_store(folder).tables([name])])
            for folder in (f"{store.root}/scores", tmp_path / "scores")
        ]
        np.testing.assert_array_equal(*both)


def test_export_reads_from_an_object_store(store, here, tmp_path):
    corpus = store.put(here / "corpus")
    for name, root in (("there", corpus), ("here", here / "corpus")):
        output = tmp_path / name
        main(["export", "--source", f"jsonl:{root}/deep/*.jsonl", "--output", str(output)])
    for part in ("0.jsonl.tfrecord", "1.jsonl.tfrecord"):
        assert (tmp_path / "there" / part).read_bytes() == (tmp_path / "here" / part).read_bytes()


def test_a_model_is_trained_and_converted_there(store, here):
    """Orbax writes what counts last, where a folder has no name of its own."""
    url, source = f"{store.root}/trained", f"jsonl:{here}/corpus/deep/*.jsonl"
    settings = {"vocabulary": "bytes", "window": 40, "batch_rows": 2, "num_steps": 1}
    if store.scheme == "s3":
        with pytest.raises(
            ValueError, match=rf"{url}: .* are not written to s3://.*copy the folder"
        ):
            train(source, url, **settings)
        assert store.tree(url) == {}
    else:
        train(source, url, **settings)
        assert load_model(url).digest == load_model(here / "model").digest
    model, converted = str(here / "model"), f"{store.root}/converted"
    main(["convert", model, "--to", "hugging_face", "--output", converted])
    as_here = (here / "hugging_face" / "model.safetensors").read_bytes()
    assert store.tree(converted)["model.safetensors"] == as_here


def test_a_pruned_task_checks_a_selection_there(store, here, tmp_path):
    """The guards read it in Python; the bits are read by TensorFlow, which has no local server."""
    source = f"jsonl:{here}/corpus/deep/*.jsonl"
    scores, kept = f"{store.root}/scores", f"{store.root}/kept"
    main(["score", "random", "--source", source, "--output", scores])
    main(["select", "--scores", scores, "--keep", "low", "--fraction", "0.5", "--output", kept])
    main(["export", "--source", source, "--output", str(tmp_path / "out")])
    files = {"train": f"{tmp_path}/out/*.tfrecord"}
    task = text_task(f"{store.scheme}_kept", tfrecords=files, vocabulary=seqio.ByteVocabulary())
    pruned = seqio.get_mixture_or_task(pruned_task(task, kept))
    assert pruned.num_input_examples("train") == ROWS


def test_a_killed_run_goes_on_where_it_was(store, here, tmp_path):
    corpus = store.put(here / "corpus")
    command = ["score", "random", "--source", f"jsonl:{corpus}/deep/*.jsonl", "--unit_rows", "2"]
    output = f"{store.root}/scores"
    with store.proxy.slow(0.05):
        process = subprocess.Popen(
            [sys.executable, "-m", "pruning.cli", *command, "--output", output],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(found := store.tree(output)) < 4 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert 4 <= len(found := store.tree(output)) < ROWS + 2
    with store.proxy.failing("503", every=60):
        main([*command, "--output", output])
    after = store.tree(output)
    assert {name: after[name] for name in found} == found
    assert len(after) == ROWS + 2  # a unit of each two rows, the manifest and _SUCCESS
    on_disk = [
        "--source",
        f"jsonl:{here}/corpus/deep/*.jsonl",
        "--output",
        str(tmp_path / "scores"),
    ]
    main(["score", "random", *on_disk, "--unit_rows", "2"])
    disk = {p.relative_to(tmp_path / "scores").as_posix(): p.read_bytes() for p in _files(tmp_path)}
    assert same_but_for_marks(after) == same_but_for_marks(disk)

"""`prune fit`, and scores of a store of embeddings, as jobs."""

import json

import embedded
import numpy as np
import pytest
import toy

from pruning.cli import main
from pruning.jobs.fit import fit
from pruning.jobs.rescore import rescore
from pruning.score_store import open_store
from pruning.scorers import make_scorers
from pruning.sharding import Shard

FILES = {"a.jsonl": embedded.vectors(130, 16), "b.jsonl": embedded.vectors(45, 16, seed=1)}
SMALL = {
    "density": {"rows": "20", "buckets": "100"},
    "prototypes": {"num_clusters": "4", "iterations": "3"},
    "semdedup": {"num_clusters": "4", "iterations": "3"},
}


@pytest.fixture
def embeddings(tmp_path):
    embedded.write_store(tmp_path / "embeddings", FILES, unit_rows=40)
    return str(tmp_path / "embeddings")


def score(embeddings, output, names=("density",), *, settings=None, fitted=(), shard=None):
    chosen = make_scorers(names, SMALL[names[0]] if settings is None else settings, seed=0)
    shard = shard or Shard()
    return rescore(chosen, embeddings, output, fitted=[*map(str, fitted)], shard=shard)


def as_flags(settings):
    return [f"{name}={value}" for name, value in settings.items()]


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.parquet"))
    }


@pytest.mark.parametrize("name", SMALL)
def test_fitting_first_gives_the_scores_of_fitting_on_the_way(name, embeddings, tmp_path, capsys):
    counts = score(embeddings, tmp_path / "whole", [name])
    assert counts["scored"] == 157
    assert (tmp_path / "whole" / "fitted" / f"{name}.npz").exists()
    digest = fit(
        name,
        str(tmp_path / "f.npz"),
        embeddings=embeddings,
        settings=as_flags(SMALL[name]),
    )
    assert f"f.npz: {name} of 6 units of {embeddings}" in capsys.readouterr().out
    score(embeddings, tmp_path / "given", [name], fitted=[tmp_path / "f.npz"])
    assert not (tmp_path / "given" / "fitted").exists()
    assert files_of(tmp_path / "given") == files_of(tmp_path / "whole")
    assert open_store(tmp_path / "given").manifest == open_store(tmp_path / "whole").manifest
    assert open_store(tmp_path / "whole").manifest["fitted"] == {name: digest}


def test_several_scorers_share_a_store(embeddings, tmp_path):
    score(embeddings, tmp_path / "s", ["prototypes", "density", "duplicates", "random"])
    columns = [*open_store(tmp_path / "s").score_columns]
    assert columns[:3] == ["prototype_similarity", "cluster", "density"]
    assert columns[-1] == "random"


def test_the_spread_of_the_density_is_told(embeddings, tmp_path, capsys):
    score(embeddings, tmp_path / "s")
    assert "coefficient of variation" in capsys.readouterr().out


def test_parts_are_merged_into_the_whole(embeddings, tmp_path):
    settings = {"embeddings": embeddings, "settings": as_flags(SMALL["density"])}
    parts = [str(tmp_path / f"part{i}.npz") for i in range(3)]
    for i, path in enumerate(parts):
        fit("density", path, num_shards=3, shard_index=i, **settings)
    whole = fit("density", str(tmp_path / "whole.npz"), **settings)
    assert fit("density", str(tmp_path / "merged.npz"), merge=parts) == whole
    with pytest.raises(
        ValueError, match=r"part0\.npz and .*part0\.npz both have looked at a\.jsonl"
    ):
        fit("density", str(tmp_path / "m.npz"), merge=[*parts, parts[0]])
    with pytest.raises(ValueError, match=r"fitted on 2 units of .*, this run scores 6"):
        score(embeddings, tmp_path / "s", fitted=parts[:1])
    with pytest.raises(ValueError, match="was fitted for density, not for prototypes"):
        fit("prototypes", str(tmp_path / "m.npz"), merge=parts)


def test_shards_fill_one_store(embeddings, tmp_path):
    score(embeddings, tmp_path / "whole")
    fitted = [tmp_path / "whole" / "fitted" / "density.npz"]
    for i in (1, 0):
        score(embeddings, tmp_path / "s", fitted=fitted, shard=Shard(i, 2))
    assert files_of(tmp_path / "s") == files_of(tmp_path / "whole")
    assert open_store(tmp_path / "s").is_complete
    with pytest.raises(ValueError, match="Run `prune fit density` once"):
        score(embeddings, tmp_path / "other", shard=Shard(0, 2))


def test_other_settings_and_other_embeddings_are_refused(embeddings, tmp_path):
    score(embeddings, tmp_path / "s")
    changed = {**SMALL["density"], "bandwidth": "0.5"}
    with pytest.raises(ValueError, match=r"fitted with bandwidth = 1\.0, this run has 0\.5"):
        score(embeddings, tmp_path / "s", settings=changed)
    embedded.write_store(tmp_path / "others", {"a.jsonl": FILES["a.jsonl"]}, unit_rows=40)
    fitted = [tmp_path / "s" / "fitted" / "density.npz"]
    with pytest.raises(
        ValueError, match=r"fitted on .*embeddings \(digest .*scores .*others \(dig"
    ):
        score(tmp_path / "others", tmp_path / "t", fitted=fitted)


def test_what_embeddings_do_not_tell_is_refused(embeddings, tmp_path):
    for name in ("perplexity", "unigram_prior"):
        with pytest.raises(ValueError, match=f"{name} needs more than --embeddings"):
            score(embeddings, tmp_path / "s", [name], settings={})


def test_texts_teach_what_reads_texts(embeddings, tmp_path):
    toy.write_jsonl(tmp_path / "c.jsonl", [*toy.texts(50), *toy.texts(20)])
    source = f"jsonl:{tmp_path}/c.jsonl"
    settings = {"source": source, "unit_rows": 16}
    whole = fit("duplicates", str(tmp_path / "whole.npz"), **settings)
    parts = [str(tmp_path / f"part{i}.npz") for i in range(2)]
    for i, path in enumerate(parts):
        fit("duplicates", path, num_shards=2, shard_index=i, **settings)
    assert fit("duplicates", str(tmp_path / "merged.npz"), merge=parts) == whole
    with pytest.raises(ValueError, match="unigram_prior learns from text: give --source"):
        fit("unigram_prior", str(tmp_path / "f.npz"), embeddings=embeddings)
    with pytest.raises(ValueError, match="density learns from embedding: give --embeddings"):
        fit("density", str(tmp_path / "f.npz"), source=source)


def test_what_is_asked_must_make_sense(embeddings, tmp_path):
    output = str(tmp_path / "f.npz")
    with pytest.raises(ValueError, match="'perplexity' learns nothing; what does is density, "):
        fit("perplexity", output, embeddings=embeddings)
    with pytest.raises(ValueError, match="Give one of --embeddings STORE, --source"):
        fit("density", output)
    with pytest.raises(ValueError, match=r"none of the scorers .* has such a setting"):
        fit("density", output, embeddings=embeddings, settings=["width=3"])
    with pytest.raises(ValueError, match="num_clusters is 10,000, but there are 157"):
        fit("semdedup", output, embeddings=embeddings)


def test_the_command(embeddings, tmp_path, capsys):
    output = tmp_path / "f.npz"
    flags = [f"--embeddings={embeddings}", f"--output={output}", "--settings", "rows=9"]
    main(["fit", "density", *flags])
    assert "density of 6 units" in capsys.readouterr().out
    header = json.loads(np.load(output)["header"].tobytes())
    assert header["settings"]["rows"] == 9

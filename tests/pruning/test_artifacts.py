"""What was learnt, on disk: whole, and only for whom it is."""

import dataclasses

import embedded
import numpy as np
import pytest

from pruning.artifacts import (
    Fitted,
    FittedOn,
    check_fitted,
    corpus_digest,
    fit,
    load_fitted,
    merge_fitted,
    save_fitted,
)
from pruning.documents import Unit
from pruning.scorers.density import Density
from pruning.scorers.prototypes import Prototypes

LEARNER = Density(rows=5, buckets=20)
X_ND = embedded.vectors(60, 8)


def part(first, end, *, name="here", digest="d" * 64):
    units = tuple(Unit("a.jsonl", row, 10) for row in range(first, end, 10))
    return fit(
        LEARNER,
        embedded.Arrays({"a.jsonl": X_ND[first:end]}),
        FittedOn(name=name, digest=digest, units=units),
    )


def test_it_comes_back_as_it_was_saved_and_the_bytes_are_the_same(tmp_path):
    whole = part(0, 60)
    for name in ("one.npz", "deep/two.npz"):
        save_fitted(tmp_path / name, whole)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "deep/two.npz").read_bytes()
    again = load_fitted(tmp_path / "one.npz")
    assert (again.learner, again.settings, again.corpus) == (
        "density",
        LEARNER.settings(),
        whole.corpus,
    )
    assert again.arrays.keys() == whole.arrays.keys()
    for array_name, array in whole.arrays.items():
        np.testing.assert_array_equal(again.arrays[array_name], array)
        assert again.arrays[array_name].dtype == array.dtype
    assert again.digest == whole.digest
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_digest_is_of_everything_but_the_name():
    whole = part(0, 60)
    assert part(0, 60, name="there").digest == whole.digest
    backwards = dataclasses.replace(whole.corpus, units=whole.corpus.units[::-1])
    assert dataclasses.replace(whole, corpus=backwards).digest == whole.digest
    others = [
        dataclasses.replace(whole, settings={**whole.settings, "seed": 1}),
        dataclasses.replace(whole, learner="prototypes"),
        dataclasses.replace(
            whole, arrays={**whole.arrays, "count_RB": whole.arrays["count_RB"] + 1}
        ),
        dataclasses.replace(whole, arrays={**whole.arrays, "more": np.zeros(1)}),
        part(0, 60, digest="e" * 64),
        part(0, 50),
    ]
    assert len({whole.digest, *(other.digest for other in others)}) == 7


def test_the_digest_of_a_corpus_does_not_depend_on_where_it_lies():
    def digest(spec, size):
        return corpus_digest(
            {"source": {"spec": spec, "text_field": "t"}, "files": [{"size": size}]}
        )

    assert digest("jsonl:a", 1) == digest("jsonl:/elsewhere/a", 1)
    assert digest("jsonl:a", 1) != digest("jsonl:a", 2)


def test_parts_merge_into_what_the_whole_has(tmp_path):
    parts = [part(0, 20), part(20, 50), part(50, 60)]
    merged = merge_fitted(LEARNER, parts[::-1], ["c", "b", "a"])
    assert merged.digest == part(0, 60).digest


def test_parts_that_overlap_or_are_of_two_corpora_are_refused():
    with pytest.raises(ValueError, match=r"one and two both have looked at a\.jsonl from row 20"):
        merge_fitted(LEARNER, [part(0, 30), part(20, 60)], ["one", "two"])
    with pytest.raises(
        ValueError, match=r"here \(digest dddddddddddd…\), two on there \(digest eee"
    ):
        merge_fitted(
            LEARNER, [part(0, 30), part(30, 60, name="there", digest="e" * 64)], ["one", "two"]
        )
    with pytest.raises(ValueError, match=r"one was fitted with seed = 0, this run has 1"):
        merge_fitted(dataclasses.replace(LEARNER, seed=1), [part(0, 30)], ["one"])


def test_what_does_not_belong_together_is_refused():
    whole = part(0, 60)
    check_fitted(whole, LEARNER, whole.corpus)
    moved = dataclasses.replace(whole.corpus, name="elsewhere", units=whole.corpus.units[::-1])
    check_fitted(whole, LEARNER, moved)
    with pytest.raises(ValueError, match="f was fitted for density, this run needs prototypes"):
        check_fitted(whole, Prototypes(), whole.corpus, where="f")
    with pytest.raises(ValueError, match=r"f was fitted with bandwidth = 1\.0, this run has 0\.5"):
        check_fitted(whole, dataclasses.replace(LEARNER, bandwidth=0.5), whole.corpus, where="f")
    other = dataclasses.replace(whole.corpus, name="there", digest="e" * 64)
    with pytest.raises(ValueError, match=r"fitted on here \(digest ddd.*scores there \(digest eee"):
        check_fitted(whole, LEARNER, other)
    with pytest.raises(ValueError, match="fitted on 2 units of here, this run scores 6"):
        check_fitted(part(0, 20), LEARNER, whole.corpus)


def test_a_file_that_is_damaged_or_something_else_is_refused(tmp_path):
    path = tmp_path / "f.npz"
    with pytest.raises(FileNotFoundError, match=r"`prune fit … --output .*f\.npz` writes it"):
        load_fitted(path)
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"f\.npz cannot be read"):
        load_fitted(path)
    np.savez(path, numbers=np.arange(3))
    with pytest.raises(ValueError, match=r"f\.npz cannot be read.*Is it a file of `prune fit`"):
        load_fitted(path)
    save_fitted(path, part(0, 60))
    arrays = dict(np.load(path))
    arrays["count_RB"][0, 0] += 1
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"was damaged: its digest is .*…, and was"):
        load_fitted(path)
    header = arrays["header"].tobytes().replace(b'"version": 1', b'"version": 9')
    np.savez(path, header=np.frombuffer(header, np.uint8))
    with pytest.raises(
        ValueError, match="version 9; this code reads 't5x-pruning fitted' version 1"
    ):
        load_fitted(path)


def test_a_killed_writer_leaves_no_file(tmp_path, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", die)
    with pytest.raises(KeyboardInterrupt):
        save_fitted(tmp_path / "f.npz", part(0, 60))
    assert not (tmp_path / "f.npz").exists()


def test_settings_that_json_changes_are_still_equal(tmp_path):
    class Named(Density):
        def settings(self):
            return {"orders": (1, 2)}

    fitted = Fitted(
        learner="density",
        settings=Named().settings(),
        corpus=FittedOn(name="a", digest="d", units=()),
        arrays={"x": np.zeros(2)},
    )
    save_fitted(tmp_path / "f.npz", fitted)
    check_fitted(load_fitted(tmp_path / "f.npz"), Named(), None)

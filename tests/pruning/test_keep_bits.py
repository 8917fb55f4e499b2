"""The folder of keep bits: what goes in comes out, and what was changed is refused."""

import json

import numpy as np
import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from pruning.documents import SourceFile
from pruning.keep_bits import read_selection, write_selection

SOURCE = {"spec": "jsonl:/nowhere/*", "text_field": "text", "fields": [], "split": "train"}


def entry(path, keep_N, guards=None):
    file = SourceFile(path=path, size=123, mark="", num_rows=len(keep_N))
    return file, np.asarray(keep_N, bool), guards or {}


def write(folder, *entries, **info):
    return write_selection(folder, files=entries, source=SOURCE, info=info)


@pytest.fixture
def selection(tmp_path):
    return write(
        tmp_path / "selection",
        entry("en/a.jsonl", [1, 0, 0, 1, 1, 0, 0, 0, 0, 1], {0: -5, 1: 2**62}),
        entry("b.jsonl", [0] * 8),
        entry("empty.jsonl", []),
        rule="the rule",
    )


@given(st.lists(st.lists(st.booleans(), max_size=70), min_size=1, max_size=4))
def test_bits_come_back_as_they_were(tmp_path_factory, keeps):
    keeps.append([True])
    folder = tmp_path_factory.mktemp("round_trip") / "selection"
    written = write(folder, *(entry(f"f{i}", keep_N) for i, keep_N in enumerate(keeps)))
    read = read_selection(folder)
    assert [read.keep(f"f{i}").tolist() for i in range(len(keeps))] == keeps
    assert (read.num_rows, read.num_kept) == (sum(map(len, keeps)), sum(map(sum, keeps)))
    assert read.digest == written.digest


def test_the_folder_holds_little_endian_bits_and_the_guards(selection):
    files = toy.tree(selection.folder)
    assert sorted(files) == [
        "b.jsonl.bits",
        "empty.jsonl.bits",
        "en/a.jsonl.bits",
        "selection.json",
    ]
    assert files["en/a.jsonl.bits"] == bytes([0b00011001, 0b10])
    assert selection.files["en/a.jsonl"].row_hashes == {0: -5, 1: 2**62}
    assert selection.files["en/a.jsonl"].num_kept == 4
    assert selection.info["rule"] == "the rule"
    assert selection.source == SOURCE


def test_the_digest_is_of_the_bits_and_their_files(tmp_path):
    first = write(tmp_path / "1", entry("a", [1, 0]), entry("b", [0, 1]), rule="one").digest
    assert write(tmp_path / "2", entry("b", [0, 1]), entry("a", [1, 0]), rule="two").digest == first
    assert write(tmp_path / "3", entry("a", [0, 1]), entry("b", [1, 0])).digest != first
    assert write(tmp_path / "4", entry("a", [1, 0, 0]), entry("b", [0, 1])).digest != first


def test_a_flipped_bit_is_refused(selection):
    path = selection.folder / "en/a.jsonl.bits"
    packed = bytearray(path.read_bytes())
    packed[1] ^= 1
    path.write_bytes(bytes(packed))
    with pytest.raises(
        ValueError, match=r"en/a\.jsonl\.bits have digest .* but selection\.json says"
    ):
        read_selection(selection.folder).keep("en/a.jsonl")
    assert not read_selection(selection.folder).keep("b.jsonl").any()


@pytest.mark.parametrize("change", [{"num_rows": 11}, {"bits_sha256": "0" * 64}, {"path": "c"}])
def test_an_edited_selection_is_refused(selection, change):
    path = selection.folder / "selection.json"
    info = json.loads(path.read_text())
    info["files"][0] |= change
    path.write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"selection\.json says digest .* edited by hand"):
        read_selection(selection.folder)


def test_a_later_format_is_refused(selection):
    path = selection.folder / "selection.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match=r"version 2; this code reads .* version 1"):
        read_selection(selection.folder)


def test_a_folder_without_a_selection_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a selection: it has no selection\.json"):
        read_selection(tmp_path)


def test_an_unknown_file_names_the_known(selection):
    with pytest.raises(
        KeyError, match=r"no file 'a\.jsonl'; it has b\.jsonl, empty\.jsonl, en/a\.jsonl"
    ):
        selection.keep("a.jsonl")


def test_a_selection_is_never_changed(selection):
    before = toy.tree(selection.folder)
    with pytest.raises(FileExistsError, match=r"exists, and a selection never changes"):
        write(selection.folder, entry("a", [1]))
    assert toy.tree(selection.folder) == before


def test_keeping_nothing_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"keeps none of 1,200 documents"):
        write(tmp_path / "new" / "selection", entry("a", [0] * 1200))
    assert toy.tree(tmp_path) == {}


def test_a_broken_off_write_leaves_nothing(tmp_path):
    def entries():
        yield entry("a", [1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_selection(tmp_path / "selection", files=entries(), source=SOURCE, info={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep_N", [np.ones(3, bool), np.ones(4, int), np.ones((4, 1), bool)])
def test_bits_of_another_shape_are_refused(tmp_path, keep_N):
    file = SourceFile(path="a", size=1, mark="", num_rows=4)
    with pytest.raises(ValueError, match=r"Keep bits of a are .* expected bool \(4,\)"):
        write(tmp_path / "selection", (file, keep_N, {}))

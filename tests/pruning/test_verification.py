"""Re-hashing a corpus finds what a look at its beginning cannot."""

import functools
import gzip
import os

import pytest
import toy

from pruning.jobs.open_source import open_source
from pruning.jobs.verify import open_verifier
from pruning.selecting import select
from pruning.selection import Rule
from pruning.verification import verify_selection, verify_store


@pytest.fixture
def corpus(tmp_path):
    toy.write_jsonl(tmp_path / "corpus" / "a.jsonl", toy.texts(300))
    toy.write_jsonl(tmp_path / "corpus" / "b.jsonl", [*toy.texts(30, seed=1), "", "\ud83d"])
    return tmp_path / "corpus"


@pytest.fixture
def source(corpus):
    return open_source(f"jsonl:{corpus}/*.jsonl")


@pytest.fixture
def store(source, tmp_path):
    return toy.score(["random"], source.describe()["spec"], tmp_path / "scores", unit_rows=64)


@pytest.fixture
def selection(store, tmp_path):
    return select(store, tmp_path / "selection", rule=Rule(keep="low", fraction=0.5))


def edit_row(path, row):
    lines = path.read_bytes().split(b"\n")
    before = lines[row]
    lines[row] = before.replace(b'": "', b'": "X', 1)[: len(before) - 2] + b'"}'
    assert lines[row] != before
    path.write_bytes(b"\n".join(lines))


def test_the_corpus_that_was_scored_passes(store, selection, source):
    for found in (verify_store(store, source), verify_selection(selection, source)):
        assert (found.rows, found.num_different, found.differences) == (332, 0, [])


def test_an_edit_of_the_same_size_far_inside_is_found_and_named(store, selection, source, corpus):
    path = corpus / "a.jsonl"
    status = path.stat()
    edit_row(path, 217)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    found = verify_store(store, source)
    assert found.num_different == 1
    assert found.differences[0].startswith("a.jsonl__217: text hash ")
    found = verify_selection(selection, source)
    assert found.num_different == 1
    assert found.differences[0].startswith("a.jsonl, rows 192 to 255: the digest of their text")


def test_two_rows_that_changed_places_are_found(store, selection, source, corpus):
    lines = (corpus / "a.jsonl").read_bytes().split(b"\n")
    lines[100], lines[120] = lines[120], lines[100]
    (corpus / "a.jsonl").write_bytes(b"\n".join(lines))
    assert verify_store(store, source).num_different == 2
    assert verify_selection(selection, source).num_different == 1


def test_a_text_that_was_lost_is_a_difference(store, source, corpus):
    path = corpus / "b.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"text"', b'"texT"', 3))
    found = verify_store(store, source)
    assert found.num_different == 3
    assert found.differences[2].startswith("b.jsonl__2: text hash None, but it was ")


def test_missing_new_and_longer_files_are_named(store, selection, corpus):
    (corpus / "b.jsonl").rename(corpus / "c.jsonl")
    with (corpus / "a.jsonl").open("a") as file:
        file.write('{"text": "more"}\n')
    source = open_source(f"jsonl:{corpus}/*.jsonl")
    for found in (verify_store(store, source), verify_selection(selection, source)):
        assert found.differences == [
            "b.jsonl: only in the scores.",
            "c.jsonl: only in the corpus.",
            "a.jsonl: 301 rows, expected 300.",
        ]


def test_only_the_first_differences_are_listed(store, source, corpus):
    path = corpus / "a.jsonl"
    path.write_text(path.read_text().replace("a", "b"))
    found = verify_store(store, source)
    assert found.num_different > len(found.differences) == 10


def test_a_store_that_is_not_finished_is_compared_as_far_as_it_goes(source, tmp_path):
    spec = source.describe()["spec"]
    store = toy.score(["random"], spec, tmp_path / "part", unit_rows=64, sample=0.5)
    found = verify_store(store, source)
    assert (found.num_different, found.rows) == (0, sum(len(t) for _, t in store.tables()))
    selection = select(
        store, tmp_path / "selection", rule=Rule(keep="low", fraction=0.5), partial=True
    )
    again = verify_selection(selection, source)
    assert (again.num_different, again.rows) == (0, found.rows)


def test_processes_find_what_one_finds(store, selection, source, corpus):
    edit_row(corpus / "a.jsonl", 217)
    edit_row(corpus / "a.jsonl", 3)
    edit_row(corpus / "b.jsonl", 9)
    for kind, verify_one, folder in (
        ("scores", verify_store, store),
        ("selection", verify_selection, selection),
    ):
        make_work = functools.partial(
            open_verifier, kind, str(folder.folder), source.describe(), modules=()
        )
        found = verify_one(folder, source, processes=3, make_work=make_work)
        assert found == verify_one(folder, source)
        assert found.num_different == 3


def test_a_sample_is_a_seeded_share_of_the_units(store, source, corpus):
    for row in range(0, 300, 64):
        edit_row(corpus / "a.jsonl", row)
    whole, tenth = verify_store(store, source), verify_store(store, source, sample=0.1)
    assert (whole.rows, whole.num_different) == (332, 5)
    assert tenth.rows in (32, 44, 64)  # one of six units
    half = verify_store(store, source, sample=0.5)
    assert {*tenth.differences} <= {*half.differences} < {*whole.differences}
    assert len(half.differences) in (2, 3)
    assert half == verify_store(store, source, sample=0.5)
    others = [verify_store(store, source, sample=0.5, seed=seed).differences for seed in range(4)]
    assert any(other != half.differences for other in others)
    with pytest.raises(ValueError, match=r"sample is 1\.5; it is a share"):
        verify_store(store, source, sample=1.5)


def flip_byte(path, at):
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.9])
def test_a_flipped_byte_in_a_finished_unit_is_found(store, source, at):
    flip_byte(store.path(store.units[2]), at)
    (difference,) = verify_store(store, source).differences
    assert difference.startswith("a.jsonl, rows 128 to 191: ")
    assert "a.jsonl/000000000128.parquet cannot be read: its SHA-256 is" in difference


def test_a_unit_that_cannot_be_read_does_not_hide_the_others(store, source, corpus):
    flip_byte(store.path(store.units[0]), 0.999)
    edit_row(corpus / "a.jsonl", 217)
    found = verify_store(store, source)
    assert [d[:24] for d in found.differences] == [
        "a.jsonl, rows 0 to 63: /",
        "a.jsonl__217: text hash ",
    ]
    assert "000000000000.parquet cannot be read" in found.differences[0]


def test_a_unit_that_a_finished_store_lost_is_a_difference(store, source):
    store.path(store.units[1]).unlink()
    (difference,) = verify_store(store, source).differences
    assert difference.startswith("a.jsonl, rows 64 to 127: ")
    assert "000000000064.parquet" in difference


def test_a_flipped_keep_bit_is_found(selection, source, tmp_path):
    flip_byte(tmp_path / "selection" / "b.jsonl.bits", 0.5)
    (difference,) = verify_selection(selection, source).differences
    assert "b.jsonl.bits have digest" in difference


def test_a_source_file_that_breaks_off_does_not_hide_the_others(corpus, tmp_path):
    packed = tmp_path / "packed"
    for name in ("a", "b"):
        lines = (corpus / f"{name}.jsonl").read_bytes()
        packed.mkdir(exist_ok=True)
        (packed / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines))
    spec = f"jsonl:{packed}/*.jsonl.gz"
    store = toy.score(["random"], spec, tmp_path / "packed_scores", unit_rows=64)
    source = open_source(spec)
    files = source.files()
    data = (packed / "a.jsonl.gz").read_bytes()
    (packed / "a.jsonl.gz").write_bytes(data[: len(data) // 2])
    source.files = lambda known=None: files  # counted before the file broke
    found = verify_store(store, source)
    assert found.rows == 332
    assert all(d.startswith("a.jsonl.gz") for d in found.differences)
    assert "has changed since its rows were counted" in found.differences[-1]

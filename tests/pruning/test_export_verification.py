"""`prune verify --export` finds a change of any byte, and names the file and the rows."""

import functools
import gzip
import os
import shutil

import exports
import pytest

from pruning.export_verification import verify_export
from pruning.jobs.export import export_source
from pruning.jobs.verify import open_file_verifier, verify
from pruning.sources.export import finished_export


@pytest.fixture
def source(tmp_path):
    return exports.write_corpus(tmp_path / "corpus", (40, 0, 30, 1, 25))


@pytest.fixture
def export(tmp_path, source):
    """Exports to a folder and verifies it."""

    def export(format, kept=False):
        selection = exports.write_kept(source, tmp_path / "selection") if kept else None
        export_source(source, tmp_path / "out", selection=selection, format=format)
        return tmp_path / "out"

    return export


def look(folder, spec=None, **how):
    make_work = functools.partial(open_file_verifier, str(folder), spec, ())
    return verify_export(finished_export(str(folder)), make_work=make_work, **how)


def replace_bytes(path, old, new):
    """An edit of the same size that leaves the file's time as it was."""
    status, data = path.stat(), path.read_bytes()
    assert len(old) == len(new)
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("format", exports.FORMATS)
@pytest.mark.parametrize("kept", [False, True], ids=["whole", "kept"])
def test_what_was_written_passes(export, format, kept):
    found = look(export(format, kept))
    assert (found.num_different, found.differences) == (0, [])
    assert found.rows == (30 if kept else 96) or kept


@pytest.mark.parametrize("format", exports.FORMATS)
def test_a_flipped_byte_is_found_wherever_it_is(export, format):
    path = export(format) / f"d0/part-2.parquet.{format}"
    data = path.read_bytes()
    for at in range(0, len(data), len(data) // 17):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        found = look(path.parents[1])
        assert found.num_different
        assert str(path) in found.differences[0]


def test_the_row_and_what_differs_are_named(export):
    path = export("jsonl") / "d0/part-4.parquet.jsonl"
    replace_bytes(path, b" 4 16", b" 4 61")
    replace_bytes(path, b"https://4/17?", b"https://4/71?")
    assert look(path.parents[1]).differences == [
        f"{path}, row 16: another text than that of d0/part-4.parquet__16.",
        f"{path}, row 17: another url than that of d0/part-4.parquet__17.",
    ]


def test_rows_of_a_pruned_export_are_named_in_it_and_in_its_source(export):
    path = export("jsonl", kept=True) / "d0/part-0.parquet.jsonl"
    row = next(i for i, line in enumerate(path.read_bytes().splitlines()) if b" 0 31" in line)
    replace_bytes(path, b" 0 31", b" 0 13")
    assert row != 31
    (difference,) = look(path.parents[1]).differences
    assert difference == f"{path}, row {row}: another text than that of d0/part-0.parquet__31."


def test_a_damaged_record_is_named_by_its_own_checksum(export):
    path = export("tfrecord") / "d0/part-4.parquet.tfrecord"
    replace_bytes(path, b" 4 16", b" 4 61")
    (difference,) = look(path.parents[1]).differences
    assert difference.startswith(f"{path}, from row 16 on: {path} is damaged at row 16: the rec")


def test_other_bytes_with_the_same_rows_are_a_difference(export):
    path = export("jsonl.gz") / "d0/part-0.parquet.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    (difference,) = look(path.parents[1]).differences
    assert difference.endswith("when it was written. Its rows are the same.")


def test_missing_shorter_and_longer_files(export):
    folder = export("jsonl")
    (folder / "d0/part-0.parquet.jsonl").unlink()
    path = folder / "d0/part-2.parquet.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-3]))
    differences = look(folder).differences
    assert "part-0.parquet.jsonl cannot be read" in differences[0]
    assert f"{path}, from row 27 on: " in differences[1]
    assert len(differences) == 2


def test_without_the_source_the_file_is_named(export, tmp_path):
    path = export("jsonl") / "d0/part-4.parquet.jsonl"
    shutil.move(tmp_path / "corpus", tmp_path / "moved")
    assert look(path.parents[1]).num_different == 0  # a digest needs no source
    replace_bytes(path, b" 4 16", b" 4 61")
    (difference,) = look(path.parents[1]).differences
    assert difference.startswith(f"{path} is not as it was written. Which rows differ only its so")
    (difference,) = look(path.parents[1], f"parquet:{tmp_path}/moved/**/*.parquet").differences
    assert difference.startswith(f"{path}, row 16: another text")


def test_processes_find_what_one_finds(export):
    folder = export("jsonl")
    for i in (2, 4):
        replace_bytes(folder / f"d0/part-{i}.parquet.jsonl", b" %d 16" % i, b" %d 61" % i)
    assert look(folder, processes=3) == look(folder)
    assert look(folder).num_different == 2


def test_a_sample_is_of_files(export):
    folder = export("jsonl")
    assert look(folder, sample=0.5).rows in {40 + 30, 40 + 1, 40 + 25, 30 + 1, 30 + 25, 1 + 25}
    assert look(folder, sample=0.01).rows in {40, 30, 1, 25}


def test_the_job_prints_and_fails(export, capsys):
    folder = export("jsonl")
    assert verify(export=str(folder)) == 0
    assert "96 rows compared, 0 differences." in capsys.readouterr().out
    replace_bytes(folder / "d0/part-4.parquet.jsonl", b" 4 16", b" 4 61")
    with pytest.raises(SystemExit):
        verify(export=str(folder))
    assert "row 16: another text" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match=r"has no export.json.*let it finish"):
        verify(export=str(folder / "d0"))
    with pytest.raises(ValueError, match="one of them; got --scores and --export"):
        verify(export="a", scores="b")

"""An export through Apache Beam writes the files that local processes write."""

import exports
import pytest
from toy import tree

pytest.importorskip("apache_beam", reason="Apache Beam is not installed (extra `beam`)")

from pruning.jobs.export import export, export_source


@pytest.fixture
def source(tmp_path):
    return exports.write_corpus(tmp_path / "corpus", (40, 0, 30, 1, 50))


@pytest.mark.parametrize("format", exports.FORMATS)
def test_the_direct_runner_one_process_and_three_write_the_same(tmp_path, source, format):
    selection = exports.write_kept(source, tmp_path / "selection")
    how = {"one": {}, "three": {"processes": 3}, "beam": {"runner": "DirectRunner"}}
    for name, over in how.items():
        export_source(source, tmp_path / name, selection=selection, format=format, **over)
    one = tree(tmp_path / "one")
    assert len(one) == 1 + 3
    assert tree(tmp_path / "three") == one
    assert tree(tmp_path / "beam") == one


def test_several_workers(tmp_path, source):
    export_source(source, tmp_path / "one")
    spec, out = source.describe()["spec"], str(tmp_path / "beam")
    options = ["direct_num_workers=2", "direct_running_mode=multi_threading"]
    export(spec, out, fields=exports.FIELDS, runner="DirectRunner", beam_options=options)
    assert tree(tmp_path / "beam") == tree(tmp_path / "one")


def test_it_goes_on_where_a_stopped_one_was(tmp_path, source, monkeypatch):
    export_source(source, tmp_path / "whole")
    read, opened = source.read, []

    def stops(path, first_row, num_rows):
        opened.append(path)
        if len(opened) == 3:
            raise KeyboardInterrupt
        return read(path, first_row, num_rows)

    monkeypatch.setattr(source, "read", stops)
    with pytest.raises(KeyboardInterrupt):
        export_source(source, tmp_path / "out")
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.tfrecord")}
    assert len(done) == 2
    export_source(source, tmp_path / "out", runner="DirectRunner")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert {p: p.stat().st_mtime_ns for p in done} == done


def test_an_error_in_a_worker_is_told(tmp_path, source):
    selection = exports.write_kept(source, tmp_path / "selection")
    path = tmp_path / "corpus" / next(f.path for f in source.files() if "part-2" in f.path)
    path.write_bytes(path.read_bytes().replace(b"PAR1", b"RAP1"))
    with pytest.raises(Exception, match=r"part-2.parquet cannot be read as Parquet"):
        export_source(source, tmp_path / "out", selection=selection, runner="DirectRunner")
    assert not (tmp_path / "out/export.json").exists()

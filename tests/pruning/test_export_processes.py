"""An export over processes, killed or not, has the bytes of one made by one process."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import exports
import pytest
from toy import tree

import pruning
from pruning.exported import EXPORT_JSON
from pruning.jobs.export import export_source

LENGTHS = (40, 0, 30, 1, 50, 9, 33, 20, 40, 30, 50, 33, 20, 45)

# Reads each document slowly, so that there is time to be killed.
DRIVER = """
import sys, time
from pruning.jobs.export import export
from pruning.sources.parquet import ParquetSource

read = ParquetSource.read

def slowly(self, *args):
    for document in read(self, *args):
        time.sleep(0.002)
        yield document

ParquetSource.read = slowly  # in the workers too, which import this file
if __name__ == "__main__":
    source, output, format, processes, selection = sys.argv[1:]
    export(source, output, format=format, fields=("url", "note"), processes=int(processes),
           selection=selection)
"""


@pytest.fixture
def source(tmp_path):
    return exports.write_corpus(tmp_path / "corpus", LENGTHS)


@pytest.mark.parametrize("format", ["array_record", "parquet"])
def test_three_processes_write_what_one_writes(tmp_path, source, format):
    selection = exports.write_kept(source, tmp_path / "selection")
    for processes in (1, 3):
        folder = tmp_path / f"by_{processes}"
        export_source(source, folder, selection=selection, format=format, processes=processes)
    one, three = (tree(tmp_path / f"by_{n}") for n in (1, 3))
    assert one == three
    assert len(one) == 1 + 12


def test_an_error_in_a_worker_is_told_and_the_others_files_stay(tmp_path, source):
    selection = exports.write_kept(source, tmp_path / "selection")
    victim = next(f for f in source.files() if f.path.endswith("part-6.parquet"))
    path = tmp_path / "corpus" / victim.path
    path.write_bytes(path.read_bytes().replace(b"PAR1", b"RAP1"))
    with pytest.raises(ValueError, match=r"part-6.parquet cannot be read as Parquet"):
        export_source(source, tmp_path / "out", selection=selection, processes=2)
    assert not (tmp_path / "out" / EXPORT_JSON).exists()


def start(script, source, output, *, format, processes, selection):
    folders = [pathlib.Path(pruning.__file__).parents[1], pathlib.Path(__file__).parent]
    return subprocess.Popen(
        [sys.executable, script, source, output, format, str(processes), selection],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def files_done(output):
    return {
        p
        for p in output.rglob("*.parquet.*")
        if not p.name.startswith(".") and ".export" not in p.parts
    }


@pytest.mark.parametrize(("format", "processes"), [("tfrecord", 1), ("jsonl.gz", 2)])
def test_sigkill_at_any_moment_leaves_nothing_that_looks_complete(
    tmp_path, source, format, processes
):
    selection = exports.write_kept(source, tmp_path / "selection", share=0.7)
    export_source(source, tmp_path / "undisturbed", selection=selection, format=format)
    undisturbed = tree(tmp_path / "undisturbed")
    script, output, rng = tmp_path / "driver.py", tmp_path / "killed", random.Random(0)
    script.write_text(DRIVER)
    settings = {"format": format, "processes": processes, "selection": str(selection.folder)}
    spec = source.describe()["spec"]
    for _ in range(3):
        before = files_done(output)
        process = start(script, spec, output, **settings)
        while files_done(output) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (output / EXPORT_JSON).exists()
        assert files_done(output) > before, "every start goes on where the last one ended"
        for path in files_done(output):
            assert path.read_bytes() == undisturbed[path.relative_to(output).as_posix()]
    assert start(script, spec, output, **settings).wait() == 0
    assert tree(output) == undisturbed


def test_a_worker_that_is_killed_ends_the_job_and_the_same_command_goes_on(tmp_path, source):
    selection = exports.write_kept(source, tmp_path / "selection")
    script, output = tmp_path / "driver.py", tmp_path / "out"
    script.write_text(DRIVER)
    settings = {"format": "jsonl", "processes": 2, "selection": str(selection.folder)}
    process = start(script, source.describe()["spec"], output, **settings)
    while not files_done(output):
        time.sleep(0.005)
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [
        c
        for c in children
        if "resource_tracker" not in pathlib.Path(f"/proc/{c}/cmdline").read_text()
    ]
    os.kill(int(workers[0]), signal.SIGKILL)
    assert process.wait(timeout=20) == 1
    assert not (output / EXPORT_JSON).exists()
    export_source(source, output, selection=selection, format="jsonl")
    export_source(source, tmp_path / "undisturbed", selection=selection, format="jsonl")
    assert tree(output) == tree(tmp_path / "undisturbed")


def test_a_finished_file_that_was_deleted_or_cut_is_written_again(tmp_path, source, monkeypatch):
    export_source(source, tmp_path / "whole")
    opened = []

    def stops(path, first_row, num_rows):
        opened.append(path)
        if len(opened) == 5:
            raise KeyboardInterrupt
        return read(path, first_row, num_rows)

    read = source.read
    monkeypatch.setattr(source, "read", stops)
    with pytest.raises(KeyboardInterrupt):
        export_source(source, tmp_path / "out")
    done = sorted(files_done(tmp_path / "out"))
    assert len(done) == 4
    done[0].unlink()
    done[1].write_bytes(done[1].read_bytes()[:-1])
    again = len(opened)
    export_source(source, tmp_path / "out")
    assert {f"{path}.tfrecord" for path in opened[again:]} >= {
        p.relative_to(tmp_path / "out").as_posix() for p in done[:2]
    }
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_every_file_appears_by_rename_and_export_json_last(tmp_path, source, monkeypatch):
    renamed, replace = [], os.replace

    def note_and_replace(here, there, **options):
        replace(here, there, **options)
        renamed.append(pathlib.Path(there).relative_to(tmp_path / "out").as_posix())

    monkeypatch.setattr(os, "replace", note_and_replace)
    result = export_source(source, tmp_path / "out")
    assert renamed[0] == ".export/settings.json"
    assert renamed[-1] == EXPORT_JSON
    written = [f.path for f in result.files if f.path]
    notes = [f".export/files/{f.source.path}.json" for f in result.files]
    assert sorted(renamed[1:-1]) == sorted([*written, *notes])
    for path in written:
        assert renamed.index(path) < renamed.index(
            f".export/files/{path[: -len('.tfrecord')]}.json"
        )


def test_what_is_done_says_nothing_of_who_did_it(tmp_path, source):
    export_source(source, tmp_path / "out", processes=2)
    content = json.loads((tmp_path / "out" / EXPORT_JSON).read_text())
    assert [f["source"]["path"] for f in content["files"]] == [f.path for f in source.files()]
    assert not (tmp_path / "out/.export").exists()

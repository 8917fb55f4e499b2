"""What is asked again, what is an error at once, and how an object appears."""

import logging
import os
import pathlib

import fsspec
import numpy as np
import pytest
from etils import epath

from pruning.documents import SourceFile
from pruning.keep_bits import read_selection, write_selection
from pruning.object_stores import objects_below
from pruning.publishing import publish_bytes, publish_bytes_once, publishing
from pruning.score_store import create_or_continue, open_store
from pruning.sources import open_source
from pruning.sources.files import file_mark
from pruning.tokenization import train_vocabulary


@pytest.mark.parametrize("how", ["503", "reset"])
def test_what_passes_is_asked_again_and_said_once(store, how, caplog):
    path = epath.Path(f"{store.root}/folder/object")
    # Two in a row: aiohttp asks again once, and says nothing, where a kept connection is gone.
    with store.proxy.failing(how, every=5, times=2), caplog.at_level(logging.WARNING):
        for i in range(2):
            publish_bytes(path, b"x" * i)
            assert path.read_bytes() == b"x" * i
            assert objects_below(path.parent).keys() == {"object"}
    assert sum(not passed for *_, passed in store.proxy.requests) >= 2
    said = [r for r in caplog.records if "is asked again" in r.getMessage()]
    assert [r.name for r in said] == ["pruning"]
    assert (
        said[0].getMessage().startswith(f"{store.scheme}:// answered with an error that may pass")
    )
    assert [r for r in caplog.records if r.name != "pruning"] == []


def test_what_is_refused_is_an_error_at_once_that_names_the_path(store):
    path = epath.Path(f"{store.root}/secret")
    publish_bytes(path, b"x")
    for act in (path.read_bytes, path.exists, lambda: publish_bytes(path, b"y")):
        with (
            store.proxy.failing("403", every=1),
            pytest.raises(PermissionError, match=rf"^{path} is refused: .*use another account"),
        ):
            act()
        assert len(store.proxy.requests) <= 4, "each of the ways to ask is tried once"


def test_a_bucket_that_is_not_there_is_named_and_not_made(store):
    nowhere = f"{store.scheme}://no-such-bucket"
    path = epath.Path(f"{nowhere}/scores/manifest.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    for act in (path.read_bytes, lambda: publish_bytes(path, b"x")):
        with pytest.raises(FileNotFoundError, match=rf"^{path}: .*Is the bucket's name right\?"):
            act()
    with pytest.raises(FileNotFoundError, match=f"{nowhere}/a.*(no bucket|bucket's name)"):
        open_source(f"jsonl:{nowhere}/a/*.jsonl")
    assert not store.fs.exists("no-such-bucket")


def write_half_and_die(path):
    with publishing(path) as name:
        pathlib.Path(name).write_bytes(b"half")
        raise KeyboardInterrupt


def test_an_object_appears_whole_and_nothing_else_does(store):
    path = epath.Path(f"{store.root}/folder/object")
    with pytest.raises(KeyboardInterrupt):
        write_half_and_die(path)
    assert not path.exists()
    with publishing(path) as name:
        pathlib.Path(name).write_bytes(b"whole")
    publish_bytes_once(path, b"later")
    assert store.tree(store.root) == {"folder/object": b"whole"}


def test_of_two_that_write_once_the_store_itself_picks_one(store):
    """Each asks the server to write only where nothing is; not every emulator obeys."""
    store.proxy.requests.clear()
    path = epath.Path(f"{store.root}/manifest.json")
    if store.scheme == "s3":
        store.fs.pipe_file(os.fspath(path), b"first", mode="create")
        with pytest.raises(FileExistsError):
            store.fs.pipe_file(os.fspath(path), b"second", mode="create")
        assert path.read_bytes() == b"first"
    else:
        publish_bytes_once(path, b"first")
        assert any("ifGenerationMatch=0" in asked for _, asked, _ in store.proxy.requests)


def test_what_another_process_writes_is_seen_at_once(store):
    folder = epath.Path(f"{store.root}/scores")
    publish_bytes(folder / "a", b"1")
    assert [p.name for p in folder.iterdir()] == ["a"]
    assert not (folder / "b").exists()
    elsewhere = fsspec.filesystem(store.scheme, skip_instance_cache=True)
    elsewhere.pipe_file(f"{folder}/b", b"2")
    assert (folder / "b").exists()
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b"]


def test_the_mark_of_a_source_changes_with_its_text_alone(store):
    url = f"{store.root}/a.jsonl"
    store.fs.pipe_file(url, b"{}\n")
    first = file_mark(url)
    store.fs.ls(store.root)
    assert file_mark(url) == first
    assert first[0] == 3
    store.fs.pipe_file(url, b"[]\n")
    assert file_mark(url) != first


@pytest.mark.parametrize("at_most", [0, 1])
def test_a_selection_is_there_when_its_last_object_is(store, at_most):
    files = [SourceFile(path=f"{n}.jsonl", size=1, mark="", num_rows=9) for n in "ab"]
    entries = [(file, np.arange(9) % 2 == 0, {0: 1}) for file in files]
    folder = f"{store.root}/half"
    # Of a writer that died.
    for name in ("a.jsonl.bits", "b.jsonl.bits")[:at_most]:
        store.fs.pipe_file(f"{folder}/{name}", b"rubbish")
    with pytest.raises(FileNotFoundError, match="is not a selection"):
        read_selection(folder)
    made = write_selection(folder, files=entries, source={}, info={})
    assert read_selection(folder).keep("b.jsonl").tolist() == entries[1][1].tolist()
    assert sorted(store.tree(folder)) == ["a.jsonl.bits", "b.jsonl.bits", "selection.json"]
    with pytest.raises(FileExistsError, match=f"{made.folder} exists"):
        write_selection(folder, files=entries, source={}, info={})


def test_a_folder_of_something_else_is_no_place_for_a_store(store):
    store.fs.pipe_file(f"{store.root}/thesis.txt", b"x")
    with pytest.raises(ValueError, match="is not empty and not a score store"):
        create_or_continue(store.root, {"format": "x"})
    with pytest.raises(FileNotFoundError, match=rf"{store.root} is not a score store"):
        open_store(store.root)


def test_a_vocabulary_is_written_and_read(store, tmp_path):
    texts = [f"the cat sat on {i} mats and {i % 7} hats" for i in range(400)]
    there = train_vocabulary(texts, f"{store.root}/vocabulary/spiece.model", vocab_size=60)
    here = train_vocabulary(texts, tmp_path / "spiece.model", vocab_size=60)
    assert there.digest == here.digest
    assert list(store.tree(store.root)) == ["vocabulary/spiece.model"]

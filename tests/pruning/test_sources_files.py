"""Which files a source has, and what they are called."""

import itertools
import os

import fsspec
import pytest

from pruning.sources.files import common_root, expand, file_mark, open_bytes


@pytest.fixture
def tree(tmp_path):
    for name in ("en/a.txt", "en/b.txt", "de/a.txt", "de/deep/er/c.txt", "en/.hidden.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "root"),
    [
        (["/d/a.txt"], "/d"),
        (["/d/*.txt"], "/d"),
        (["/d/x?/deep/b.txt"], "/d"),
        (["/d/[ab]/x.txt"], "/d"),
        (["/d/**/x.txt"], "/d"),
        (["/d/en/*.txt", "/d/de/x.txt"], "/d"),
        (["/d/en/*.txt", "/d/english/*.txt"], "/d"),
        (["/d/en/x.txt", "/d/*.txt"], "/d"),
        (["/d/../e//x.txt"], "/e"),
        (["/*.txt"], "/"),
        (["/x.txt"], "/"),
        (["gs://bucket/c4/x-*.jsonl"], "gs://bucket/c4"),
        (["gs://bucket/x.jsonl", "gs://bucket/de/*"], "gs://bucket"),
    ],
)
def test_the_root_is_the_longest_folder_before_any_wildcard(patterns, root):
    for order in itertools.permutations(patterns):
        assert common_root(order) == root


def test_a_relative_pattern_has_an_absolute_root(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert common_root(["en/*.txt"]) == str(tree / "en")


def test_patterns_of_two_file_systems_are_refused():
    with pytest.raises(ValueError, match=r"one file system.*local files, gs://"):
        common_root(["/d/x", "gs://bucket/x"])


def test_no_pattern_is_refused():
    with pytest.raises(ValueError, match="No file was named"):
        common_root([])


def test_the_order_of_patterns_does_not_matter_and_no_file_comes_twice(tree):
    patterns = [f"{tree}/en/a.txt", f"{tree}/**/a.txt", f"{tree}/**", f"{tree}/d?/deep/**/*.txt"]
    expected = ["de/a.txt", "de/deep/er/c.txt", "en/a.txt", "en/b.txt"]
    for order in itertools.permutations(patterns):
        assert expand(order) == (str(tree), expected)


def test_two_stars_match_no_folder_too(tree):
    assert expand([f"{tree}/de/**/*.txt"])[1] == ["a.txt", "deep/er/c.txt"]


def test_a_hidden_file_is_taken_only_if_named(tree):
    assert expand([f"{tree}/en/*"])[1] == ["a.txt", "b.txt"]
    assert expand([f"{tree}/en/.*.txt"])[1] == [".hidden.txt"]


def test_a_hidden_folder_above_the_wildcard_hides_nothing(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.txt").write_text("x")
    assert expand([f"{tmp_path}/.cache/*"])[1] == ["x.txt"]
    assert expand([f"{tmp_path}/.cach[e]/*"])[1] == [".cache/x.txt"]


def test_a_file_with_wildcards_in_its_name_can_be_named(tmp_path):
    (tmp_path / "a[1].txt").write_text("x")
    assert expand([f"{tmp_path}/a[1].txt"]) == (str(tmp_path), ["a[1].txt"])


def test_a_symbolic_link_to_a_file_counts_as_a_file(tree):
    os.symlink(tree / "en" / "a.txt", tree / "de" / "link.txt")
    assert expand([f"{tree}/de/*.txt"])[1] == ["a.txt", "link.txt"]


def test_each_pattern_must_match(tree):
    with pytest.raises(FileNotFoundError, match=r"No file matches '.*/en/\*\.json'"):
        expand([f"{tree}/en/*.txt", f"{tree}/en/*.json"])


def test_a_folder_is_told_from_nothing(tree):
    with pytest.raises(FileNotFoundError, match=r"It is a folder: write .*/en/\*\*"):
        expand([f"{tree}/en"])


@pytest.mark.parametrize("name", ["manifest.json", "_SUCCESS"])
def test_the_names_of_the_store_are_refused_at_the_root_only(tree, name):
    (tree / "en" / name).write_text("x")
    assert f"en/{name}" in expand([f"{tree}/**"])[1]
    with pytest.raises(ValueError, match=f"{name} has a name that a score store needs"):
        expand([f"{tree}/en/*"])


def test_the_mark_changes_when_the_file_is_written_again(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    assert file_mark(str(path)) == (3, "1700000000123456789")
    path.write_text("two")
    assert file_mark(str(path))[1] != "1700000000123456789"


def test_another_file_system_goes_through_the_same_functions():
    memory = fsspec.filesystem("memory")
    memory.pipe("memory://corpus/en/a.txt", b"one")
    memory.pipe("memory://corpus/de/b.txt", b"three")
    root, paths = expand(["memory://corpus/**/*.txt"])
    assert (root, paths) == ("memory://corpus", ["de/b.txt", "en/a.txt"])
    size, mark = file_mark(f"{root}/{paths[0]}")
    assert size == 5
    assert mark == file_mark(f"{root}/{paths[0]}")[1]
    with open_bytes(f"{root}/{paths[0]}") as file:
        assert file.read() == b"three"

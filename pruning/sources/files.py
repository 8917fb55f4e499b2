"""Which files a source has: patterns to a root and the paths below it.

A document is named by its file's path relative to the root, so the root must
depend on the patterns alone, and neither on their order nor on what they match.
"""

import itertools
import os
import posixpath
from collections.abc import Sequence
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem

_WILDCARDS = frozenset("*?[")

# A score store writes these beside its mirror of the source files.
_NAMES_OF_THE_STORE = ("_SUCCESS", "manifest.json")


def common_root(patterns: Sequence[str]) -> str:
    """The longest folder before any wildcard that all patterns share.

    Args:
      patterns: paths or URLs (`gs://...`), which may hold `*`, `?`, `[...]`, `**`.

    Returns:
      An absolute path or a URL without a slash at its end.

    Raises:
      ValueError: there is no pattern, or they are not all on one file system.

    >>> common_root(["/data/en/*.txt", "/data/de/a?/b.txt"])
    '/data'
    >>> common_root(["gs://bucket/c4/train.jsonl"])
    'gs://bucket/c4'
    """
    if not patterns:
        raise ValueError("No file was named. Give at least one path or pattern.")
    split = [_scheme_and_path(p) for p in patterns]
    schemes = sorted({scheme for scheme, _ in split})
    if len(schemes) > 1:
        raise ValueError(
            f"The files of one source lie on one file system, but these patterns name "
            f"{', '.join(s or 'local files' for s in schemes)}: {', '.join(patterns)}."
        )
    folders = [_folder_before_wildcards(path) for _, path in split]
    return schemes[0] + posixpath.commonpath(folders)


def expand(patterns: Sequence[str]) -> tuple[str, list[str]]:
    """The files that the patterns match, once each, in the same order for any order of patterns.

    Files and folders whose name begins with a dot are left out, unless the
    pattern itself names one: they are other programs' leftovers.

    Returns:
      The common root, and the sorted paths relative to it.

    Raises:
      FileNotFoundError: a pattern matches no file.
      ValueError: a file lies where a store keeps its own `manifest.json` or `_SUCCESS`.
    """
    root = common_root(patterns)
    _, root_path = file_system(root)
    start = len(root_path.rstrip("/")) + 1
    paths = sorted({match[start:] for pattern in patterns for match in _matches(pattern)})
    for name in _NAMES_OF_THE_STORE:
        if name in paths:
            raise ValueError(
                f"The source file {root}/{name} has a name that a score store needs for itself. "
                "Rename it, or name the files so that it is left out."
            )
    return root, paths


def file_mark(path: str) -> tuple[int, str]:
    """Size in bytes, and what changes when the file is written again.

    The mark is the modification time in nanoseconds for a local file, the
    generation or else the ETag of an object, and the file system's own key elsewhere.
    """
    fs, fs_path = file_system(path)
    if isinstance(fs, LocalFileSystem):
        status = os.stat(fs_path)
        return status.st_size, str(status.st_mtime_ns)
    info = fs.info(fs_path)
    mark = info.get("generation") or info.get("ETag") or info.get("etag")
    return info["size"], str(mark).strip('"') if mark else fs.ukey(fs_path)


def open_bytes(path: str) -> IO[bytes]:
    """Opens a local file or a URL for reading its bytes as they are."""
    fs, fs_path = file_system(path)
    return fs.open(fs_path, "rb")


def file_system(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path or URL, and the path on it."""
    if "://" in path:
        return fsspec.core.url_to_fs(path)
    return LocalFileSystem(), absolute(path)


def absolute(pattern: str) -> str:
    """The pattern as it can be used from any working folder."""
    return "".join(_scheme_and_path(pattern))


def _scheme_and_path(path: str) -> tuple[str, str]:
    if "://" in path:
        scheme, rest = path.split("://", 1)
        return f"{scheme}://", posixpath.normpath(rest)
    return "", os.path.abspath(os.path.expanduser(path))


def _folder_before_wildcards(path: str) -> str:
    parts = path.split("/")
    plain = itertools.takewhile(lambda part: not set(part) & _WILDCARDS, parts[:-1])
    return "/".join(plain) or ("/" if path.startswith("/") else "")


def _matches(pattern: str) -> list[str]:
    fs, path = file_system(pattern)
    if fs.isfile(path):
        return [path]
    found = [
        name
        for name, info in fs.glob(path, detail=True).items()
        if info["type"] == "file" or (info.get("islink") and fs.isfile(name))
    ]
    if "/." not in path:
        folder = _folder_before_wildcards(path)
        found = [name for name in found if "/." not in name[len(folder.rstrip("/")) :]]
    if not found:
        folder_hint = (
            f" It is a folder: write {pattern}/** for all in it." if fs.isdir(path) else ""
        )
        bucket = path.partition("/")[0]
        if bucket and not fs.exists(bucket):
            folder_hint = f" There is no bucket {bucket!r}, or no right to look into it."
        whole = absolute(pattern)
        looked_for = "" if whole == pattern else f" (looked for {whole})"
        raise FileNotFoundError(f"No file matches {pattern!r}{looked_for}.{folder_hint}")
    return found

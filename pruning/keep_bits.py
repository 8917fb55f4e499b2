"""The folder of keep bits: what a selection is on disk.

    selection.json        the rule, thresholds, seed, counts, and a guard per file
    <source file>.bits    one little-endian bit per record, 1 = kept

A selection is immutable: it is written under a temporary name, renamed, and
never changed. Its digest is taken over the bits, so another rule that keeps
the same documents has the same digest.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from pruning.documents import SourceFile
from pruning.object_stores import is_object, objects_below
from pruning.publishing import publish_folder

FORMAT = "t5x-pruning selection"
VERSION = 1

# Rows whose text hash is kept as a guard: dense at the start of a file, so
# that a shifted or exchanged file is seen after reading little of it.
GUARD_ROWS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileGuard:
    """What a file must look like for its keep bits to apply.

    Attributes:
      path: relative to the source's root.
      size: bytes on disk.
      num_rows, num_kept: records in the file, and how many of them are kept.
      row_hashes: text hash by row, for some rows near the beginning. A row
        without text has none.
      bits_sha256: of the bits file.
    """

    path: str
    size: int
    num_rows: int
    num_kept: int
    row_hashes: Mapping[int, int]
    bits_sha256: str


@dataclasses.dataclass(frozen=True)
class Selection:
    """A selection read from disk. `keep` reads a file's bits when asked."""

    folder: epath.Path
    info: Mapping[str, Any]
    files: Mapping[str, FileGuard]

    @property
    def digest(self) -> str:
        """Of all keep bits and their files' paths, 64 hexadecimal digits."""
        return bits_digest(self.files.values())

    @property
    def num_rows(self) -> int:
        return sum(f.num_rows for f in self.files.values())

    @property
    def num_kept(self) -> int:
        return sum(f.num_kept for f in self.files.values())

    @property
    def source(self) -> Mapping[str, Any]:
        """`Source.describe()` of the corpus that the selection was made on."""
        return self.info["source"]

    @property
    def thresholds(self) -> tuple[float, float] | None:
        """Scores of the first and the last document kept, infinite where the end is open.

        None for a selection that does not go by scores.
        """
        if self.info["thresholds"] is None:
            return None
        low, high = self.info["thresholds"]
        return -np.inf if low is None else low, np.inf if high is None else high

    def keep(self, path: str) -> np.ndarray:
        """Keep bits of one file, bool [num_rows].

        Raises:
          KeyError: the selection has no such file.
          ValueError: the bits on disk are not those that were written.
        """
        if path not in self.files:
            raise KeyError(
                f"Selection {self.folder} has no file {path!r}; it has {_some(self.files)}."
            )
        guard = self.files[path]
        packed = (self.folder / f"{path}.bits").read_bytes()
        found = hashlib.sha256(packed).hexdigest()
        if found != guard.bits_sha256:
            raise ValueError(
                f"Keep bits {self.folder / path}.bits have digest {found[:12]}, but selection.json "
                f"says {guard.bits_sha256[:12]}. A selection never changes once written: restore "
                "the folder, or make the selection again under another name."
            )
        return np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")[
            : guard.num_rows
        ].astype(bool)


def read_selection(folder: str | os.PathLike) -> Selection:
    """Opens a selection folder.

    Raises:
      FileNotFoundError: there is no selection.json.
      ValueError: it was written in another format or by a later version, or its
        digest does not fit its own files.
    """
    root = epath.Path(folder)
    path = root / "selection.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{root} is not a selection: it has no selection.json. "
            "`prune select --output DIR` writes one."
        )
    info = json.loads(path.read_text())
    if info.get("format") != FORMAT or info.get("version") != VERSION:
        raise ValueError(
            f"{path} has format {info.get('format')!r} version {info.get('version')!r}; this code "
            f"reads {FORMAT!r} version {VERSION}. Use the code version that wrote it: "
            f"{info.get('code_version')!r}."
        )
    files = {
        f["path"]: FileGuard(**{**f, "row_hashes": {int(r): h for r, h in f["row_hashes"].items()}})
        for f in info["files"]
    }
    selection = Selection(root, info, files)
    if selection.digest != info["digest"]:
        raise ValueError(
            f"{path} says digest {info['digest'][:12]}, but its files add up to "
            f"{selection.digest[:12]}. It was edited by hand: make the selection again."
        )
    return selection


def write_selection(
    folder: str | os.PathLike,
    *,
    files: Iterable[tuple[SourceFile, np.ndarray, Mapping[int, int]]],
    source: Mapping[str, Any],
    info: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
) -> Selection:
    """Writes a selection in one step: it appears whole or not at all.

    Args:
      folder: must not exist.
      files: each file of the source with its keep bits (bool [num_rows]) and
        the text hashes of its guard rows.
      source: `Source.describe()` of the corpus.
      info: what else belongs into selection.json (rule, seed, counts, stores); a function
        is called when all files are written.

    Raises:
      FileExistsError: the folder exists.
      ValueError: the selection keeps nothing.
    """
    target = epath.Path(folder)
    _check_free(target)
    packed = [_pack(*entry) for entry in files]
    guards = [guard for guard, _ in packed]
    kept, rows = sum(g.num_kept for g in guards), sum(g.num_rows for g in guards)
    if not kept:
        raise ValueError(
            f"This selection keeps none of {rows:,} documents, and training on nothing never "
            "ends. Look at the scores with `prune report`, or keep a larger fraction."
        )
    everything = {
        "format": FORMAT,
        "version": VERSION,
        "digest": bits_digest(guards),
        **(info() if callable(info) else info),
        "source": dict(source),
        "files": [dataclasses.asdict(g) for g in guards],
    }
    contents = {f"{guard.path}.bits": bits for guard, bits in packed}
    # Last: in an object store, where folders have no names, it is what makes a selection.
    contents["selection.json"] = (json.dumps(everything, indent=1) + "\n").encode()
    publish_folder(target, contents)
    return read_selection(target)


def bits_digest(guards: Iterable[FileGuard]) -> str:
    """SHA-256 over (path, rows, digest of the bits) of every file, sorted by path."""
    lines = sorted(f"{g.path}\t{g.num_rows}\t{g.bits_sha256}\n" for g in guards)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _check_free(target: epath.Path) -> None:
    if is_object(target):
        # What a writer that died has left is written anew.
        is_taken = any(not name.endswith(".bits") for name in objects_below(target))
    else:
        is_taken = target.exists()
    if is_taken:
        raise FileExistsError(
            f"{target} exists, and a selection never changes once written. "
            "Give another --output, or delete the folder."
        )


def _pack(
    file: SourceFile, keep: np.ndarray, row_hashes: Mapping[int, int]
) -> tuple[FileGuard, bytes]:
    if keep.shape != (file.num_rows,) or keep.dtype != bool:
        raise ValueError(
            f"Keep bits of {file.path} are {keep.dtype} {keep.shape}; expected bool ({file.num_rows},)."
        )
    packed = np.packbits(keep, bitorder="little").tobytes()
    guard = FileGuard(
        path=file.path,
        size=file.size,
        num_rows=file.num_rows,
        num_kept=int(keep.sum()),
        row_hashes=dict(row_hashes),
        bits_sha256=hashlib.sha256(packed).hexdigest(),
    )
    return guard, packed


def _some(names: Iterable[str], most: int = 5) -> str:
    names = sorted(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest

"""export.json: which source file each file written by `prune export` came from.

A selection made on the source (JSON Lines, Parquet, ...) applies to a whole
export of it, because record i of an exported file is row i of its source file.
An export that is already pruned numbers its rows anew.
"""

import collections
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from pruning.documents import SourceFile

EXPORT_JSON = "export.json"
FORMAT = "t5x-pruning export"
VERSION = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """One exported file.

    Attributes:
      path: relative to the export folder; None if nothing of the source file was kept.
      size: bytes on disk.
      sha256: of those bytes, hexadecimal.
      num_records: records in it.
      counts: records that have an empty text in place of one that could not be read or
        written, by reason.
      source: the file it came from, with its size and mark at that time.
    """

    path: str | None
    size: int
    sha256: str
    num_records: int
    counts: Mapping[str, int]
    source: SourceFile

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ExportedFile":
        return cls(**{**content, "source": SourceFile(**content["source"])})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """A folder written by `prune export`.

    Attributes:
      folder: where export.json lies.
      settings: everything that decides what is in the files.
      selection: folder of the selection it was pruned by, None if it is whole.
      files: in the order of the source's files.
    """

    folder: epath.Path
    settings: Mapping[str, Any]
    selection: str | None = None
    files: tuple[ExportedFile, ...] = ()

    @property
    def format(self) -> str:
        """A key of `pruning.export_formats.FORMATS`."""
        return self.settings["format"]

    @property
    def selection_digest(self) -> str | None:
        """Of the selection it was pruned by, None if it is whole."""
        return self.settings["selection"]

    @property
    def counts(self) -> dict[str, int]:
        """Records without their text, by reason, over all files."""
        total: collections.Counter[str] = collections.Counter()
        for file in self.files:
            total.update(file.counts)
        return dict(sorted(total.items()))

    def to_json(self) -> str:
        content = {
            "format": FORMAT,
            "version": VERSION,
            "rows": "numbered anew" if self.selection_digest else "as in the source",
            "selection": self.selection,
            "settings": dict(self.settings),
            "counts": self.counts,
            "files": [dataclasses.asdict(f) for f in self.files],
        }
        return json.dumps(content, indent=1) + "\n"


def read_export(path: epath.Path) -> Export:
    """Reads an export.json.

    Raises:
      ValueError: it was written in another format or by a later version.
    """
    content = json.loads(path.read_text())
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise ValueError(
            f"{path} has format {content.get('format')!r} version {content.get('version')!r}; this "
            f"code reads {FORMAT!r} version {VERSION}. Use the code version that wrote it, or "
            "export again."
        )
    return Export(
        folder=path.parent,
        settings=content["settings"],
        selection=content["selection"],
        files=tuple(ExportedFile.from_json(f) for f in content["files"]),
    )


def find_export(folder: str) -> Export | None:
    """The export that a folder belongs to: its own export.json, or that of the nearest parent."""
    path = epath.Path(folder)
    for parent in (path, *path.parents):
        if (parent / EXPORT_JSON).exists():
            return read_export(parent / EXPORT_JSON)
    return None

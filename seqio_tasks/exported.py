"""export.json: which source file each file written by `prune export` came from.

A selection made on the source (JSON Lines, Parquet, ...) applies to a whole
export of it, because record i of an exported file is row i of its source file.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from pruning.documents import SourceFile

EXPORT_JSON = "export.json"
FORMAT = "t5x-pruning export"
VERSION = 1

# The feature that holds the text in every exported file, whatever its name was.
TEXT_FEATURE = "text"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """One exported file.

    Attributes:
      path: relative to the export folder; None if nothing of the source file was kept.
      size: bytes on disk.
      num_records: records in it.
      source: the file it came from, with its size and mark at that time.
    """

    path: str | None
    size: int
    num_records: int
    source: SourceFile


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """A folder written by `prune export`.

    Attributes:
      folder: where export.json lies.
      selection_digest: of the selection it was pruned by, None if it is whole.
      settings: everything that decides what is in the files.
      files: in the order of the source's files.
      counts: documents written, and rows without readable text by reason.
    """

    folder: epath.Path
    selection_digest: str | None
    settings: Mapping[str, Any]
    files: tuple[ExportedFile, ...]
    counts: Mapping[str, int]

    def to_json(self) -> str:
        content = {
            "format": FORMAT,
            "version": VERSION,
            "selection_digest": self.selection_digest,
            "settings": dict(self.settings),
            "counts": dict(self.counts),
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
        selection_digest=content["selection_digest"],
        settings=content["settings"],
        counts=content["counts"],
        files=tuple(
            ExportedFile(**{**f, "source": SourceFile(**f["source"])}) for f in content["files"]
        ),
    )


def find_export(folder: str) -> Export | None:
    """The export that a folder belongs to: its own export.json, or that of the nearest parent."""
    path = epath.Path(folder)
    for parent in (path, *path.parents):
        if (parent / EXPORT_JSON).exists():
            return read_export(parent / EXPORT_JSON)
    return None

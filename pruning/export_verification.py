"""Compares the files of an export with their digests, and names the rows that differ.

A digest needs no source. Only a file whose bytes are others than those written
is compared with the documents that it was written from.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from pruning.documents import Document, DocumentId, Source, Unit
from pruning.export_formats import FORMATS
from pruning.exported import Export, ExportedFile
from pruning.keep_bits import Selection
from pruning.local_processes import Work, run_tasks
from pruning.progress import Advance, progress
from pruning.sharding import sampled_units
from pruning.sources.files import open_bytes
from pruning.verification import Verification

_BLOCK_BYTES = 1 << 20
_ROWS = 16_384


@dataclasses.dataclass(frozen=True)
class Originals:
    """The documents that an export was written from.

    Attributes:
      source: of the documents.
      selection: that the export was pruned by; None if it is whole.
    """

    source: Source
    selection: Selection | None

    def documents(self, file: ExportedFile) -> Iterator[Document]:
        """Those of one exported file, in order."""
        path, num_rows = file.source.path, file.source.num_rows
        keep_N = self.selection.keep(path) if self.selection else np.ones(num_rows, bool)
        for first_row in range(0, num_rows, _ROWS):
            documents = self.source.read(path, first_row, min(_ROWS, num_rows - first_row))
            yield from (d for d in documents if keep_N[d.row])


@dataclasses.dataclass(frozen=True)
class FileVerifier:
    """Verifies exported files one by one; what a process does.

    Attributes:
      export: whose files they are.
      originals: opens the documents that it was written from, or raises ValueError or OSError.
    """

    export: Export
    originals: Callable[[], Originals]

    def __call__(self, file: ExportedFile, advance: Advance) -> tuple[str, Verification]:
        found = Verification(rows=file.num_records)
        path = str(self.export.folder / (file.path or ""))
        digest = hashlib.sha256()
        try:
            with open_bytes(path) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
                    advance(len(block))
        except OSError as error:
            found.add(f"{path} cannot be read: {error}.")
            return path, found
        if digest.hexdigest() != file.sha256:
            self._name_rows(file, path, found)
            if not found.num_different:
                found.add(
                    f"{path} has digest {digest.hexdigest()[:12]}, but it was {file.sha256[:12]} when "
                    "it was written. Its rows are the same."
                )
        return path, found

    def _name_rows(self, file: ExportedFile, path: str, found: Verification) -> None:
        fields = self.export.settings["source"]["fields"]
        try:
            expected = self.originals().documents(file)
        except (ValueError, OSError) as error:
            found.add(
                f"{path} is not as it was written. Which rows differ only its source tells, and "
                f"that cannot be read: {error}"
            )
            return
        row = -1
        try:
            read = FORMATS[self.export.format].read(path, fields)(0, file.num_records)
            for row, (now, original) in enumerate(zip(read, expected, strict=True)):
                was, origin = _contents(original), DocumentId(file.source.path, original.row)
                if other := [name for name, text in _contents(now).items() if text != was[name]]:
                    found.add(
                        f"{path}, row {row:,}: another {' and '.join(other)} than that of {origin}."
                    )
        except (ValueError, OSError) as error:
            found.add(f"{path}, from row {row + 1:,} on: {error}")


def verify_export(
    export: Export,
    *,
    sample: float | None = None,
    seed: int = 0,
    processes: int = 1,
    make_work: Callable[[], Work],
) -> Verification:
    """Compares the files of an export with what was written.

    Args:
      export: finished.
      sample: share of the files, at least one; all by default.
      seed: of the sample, which is drawn by hash(id, seed).
      processes: that share the files.
      make_work: makes a FileVerifier.
    """
    by_path = {f.path: f for f in export.files if f.path}
    units = [Unit(path, 0, file.num_records) for path, file in by_path.items()]
    files = [by_path[unit.file] for unit in sampled_units(units, sample, seed)]
    found = Verification()
    with progress("verify", sum(f.size for f in files), "bytes") as advance:
        results = run_tasks(make_work, files, processes=processes, advance=advance)
        for _, part in sorted(results, key=lambda result: result[0]):
            found.merge(part)
    return found


def _contents(document: Document) -> dict[str, bytes]:
    """The text and the fields, which an export cannot tell from empty ones if they are none."""
    fields = {name: (value or "").encode() for name, value in document.fields.items()}
    return {"text": document.text or b"", **fields}

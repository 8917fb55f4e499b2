"""Writes one file of an export at a time, in any order, in any process.

.export/settings.json              what the files hold; written first, removed last
.export/files/<source file>.json   its exported file, once that is in place
<source file>.<format>             appears by rename or not at all
export.json                        all files; written last
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from etils import epath

from pruning.documents import Document, Source, SourceFile
from pruning.export_formats import FORMATS, NotTextError, OpenWriter
from pruning.exported import EXPORT_JSON, Export, ExportedFile, read_export
from pruning.hashing import text_hash
from pruning.keep_bits import Selection
from pruning.manifests import first_difference
from pruning.progress import Advance
from pruning.publishing import publish_bytes, publishing
from pruning.sources.files import file_mark

# Rows read at a time; between two reads the file's place is remembered.
_ROWS = 16_384

_THREADS = 16

_NOTES = ".export"
_SETTINGS = f"{_NOTES}/settings.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileExporter:
    """Exports files of a source one by one.

    Attributes:
      source: of the documents.
      selection: only what it keeps is written; None for every row.
      folder: of the export.
      format: a key of FORMATS.
    """

    source: Source
    selection: Selection | None
    folder: epath.Path
    format: str

    def __call__(self, file: SourceFile, advance: Advance) -> ExportedFile:
        """Writes the documents of a source file, and notes that it is done.

        Args:
          file: of the source.
          advance: told of the rows that were read.

        Raises:
          ValueError: a guard row of the selection has another text.
        """
        keep_N = np.ones(file.num_rows, bool)
        if self.selection:
            keep_N = self.selection.keep(file.path)
        if keep_N.any():
            exported = self._write(file, keep_N, advance)
        else:
            # An empty file would be an empty share for some reader, and training on nothing hangs.
            exported = ExportedFile(
                path=None, size=0, sha256="", num_records=0, counts={}, source=file
            )
            advance(file.num_rows)
        note = _note_path(self.folder, file)
        note.parent.mkdir(parents=True, exist_ok=True)
        publish_bytes(note, json.dumps(dataclasses.asdict(exported)).encode())
        return exported

    def _write(self, file: SourceFile, keep_N: np.ndarray, advance: Advance) -> ExportedFile:
        open_writer, otherwise = FORMATS[self.format].write, FORMATS[self.format].write_any_bytes
        rows_read = 0

        def count(n: int, **also: str) -> None:
            nonlocal rows_read
            rows_read += n
            advance(n, **also)

        try:
            return self._write_with(
                open_writer, file, keep_N, count, invalid_as_empty=otherwise is None
            )
        except NotTextError:
            assert otherwise is not None
            advance(-rows_read)
            return self._write_with(otherwise, file, keep_N, advance)

    def _write_with(
        self,
        open_writer: OpenWriter,
        file: SourceFile,
        keep_N: np.ndarray,
        advance: Advance,
        *,
        invalid_as_empty: bool = False,
    ) -> ExportedFile:
        name = f"{file.path}.{self.format}"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        counts: collections.Counter[str] = collections.Counter()
        with publishing(path) as local:
            with (
                _errors_naming(local),
                contextlib.closing(open_writer(local, self.source.describe()["fields"])) as writer,
            ):
                for document in self._chosen(file, keep_N, advance):
                    if document.text is None:
                        counts[document.reason or "missing_field"] += 1
                    try:
                        writer.write(document)
                    except NotTextError:
                        if not invalid_as_empty:
                            raise
                        counts["invalid_utf8"] += 1
                        writer.write(dataclasses.replace(document, text=None))
            size, sha256 = _size_and_digest(local, path)
        return ExportedFile(
            path=name,
            size=size,
            sha256=sha256,
            num_records=int(keep_N.sum()),
            counts=dict(sorted(counts.items())),
            source=file,
        )

    def _chosen(self, file: SourceFile, keep_N: np.ndarray, advance: Advance) -> Iterator[Document]:
        guards = self.selection.files[file.path].row_hashes if self.selection else {}
        for first_row in range(0, file.num_rows, _ROWS):
            num_rows = min(_ROWS, file.num_rows - first_row)
            for document in self.source.read(file.path, first_row, num_rows):
                expected = guards.get(document.row)
                if expected is not None and expected != text_hash(document.text or b""):
                    raise ValueError(
                        f"Row {document.row} of {file.path} has another text than when the "
                        "selection was made. Score and select again."
                    )
                if keep_N[document.row]:
                    yield document
            advance(num_rows)


def begin(export: Export) -> dict[str, ExportedFile]:
    """Makes the folder of an export, or finds what an earlier run has finished of it.

    Returns:
      The files that are done, by the path of their source file.

    Raises:
      ValueError: the folder holds another export, or something else.
    """
    folder = export.folder
    for known in (folder / EXPORT_JSON, folder / _SETTINGS):
        if known.exists():
            _check_same_settings(read_export(known), export)
            break
    else:
        # A selection, a score store or a model has a file here; of a writer that died it begins
        # with a dot.
        here = folder.iterdir() if folder.exists() else ()
        if any(path.is_file() and not path.name.startswith(".") for path in here):
            raise ValueError(
                f"{folder} is not empty and not an export. Give another --output, or empty it."
            )
        (folder / _SETTINGS).parent.mkdir(parents=True, exist_ok=True)
        publish_bytes(folder / _SETTINGS, export.to_json().encode())
    return finished_files(export)


def finished_files(export: Export) -> dict[str, ExportedFile]:
    """The files of an export that are written, by the path of their source file."""

    def look(file: SourceFile) -> ExportedFile | None:
        note = _note_path(export.folder, file)
        if not note.exists():
            return None
        exported = ExportedFile.from_json(json.loads(note.read_text()))
        if exported.path is None:
            return exported
        path = export.folder / exported.path
        is_there = path.exists() and file_mark(str(path))[0] == exported.size
        return exported if is_there else None

    files = [SourceFile(**f) for f in export.settings["files"]]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(look, files)
        return {e.source.path: e for e in found if e}


def finish(export: Export) -> None:
    """Writes export.json, which says that all files are there, and removes the notes."""
    publish_bytes(export.folder / EXPORT_JSON, export.to_json().encode())
    remove_notes(export.folder)


def remove_notes(folder: epath.Path) -> None:
    """Removes what only an unfinished export needs."""
    # Another exporter of the same may still write there; it removes them itself.
    with contextlib.suppress(OSError):
        if (folder / _NOTES).exists():
            (folder / _NOTES).rmtree()


def _size_and_digest(local: str, path: epath.Path) -> tuple[int, str]:
    # One that is gone was cleared by another writer of the same bytes that was first.
    with open(local, "rb") if os.path.exists(local) else path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


@contextlib.contextmanager
def _errors_naming(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        # A full disk does not say which file it was.
        raise OSError(error.errno, error.strerror or str(error), path) from error


def _note_path(folder: epath.Path, file: SourceFile) -> epath.Path:
    return folder / _NOTES / "files" / f"{file.path}.json"


def _check_same_settings(found: Export, export: Export) -> None:
    if difference := first_difference(found.settings, export.settings):
        where, before, now = difference
        raise ValueError(
            f"{export.folder} holds an export with {where} = {before}, this run has {now}. "
            "Give another --output, or delete the folder."
        )

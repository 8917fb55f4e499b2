"""`prune export`: documents as TFRecord files that training reads.

TensorFlow has no stateless reader for JSON Lines, Parquet and compressed files.
A whole export keeps every row, so that a selection made on the source applies
to it; a pruned one has only what a selection keeps.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pruning.documents import Source, SourceFile
    from pruning.keep_bits import Selection
    from seqio_tasks.exported import Export

# What an export in the making is called: export.json says that all files are there.
_UNFINISHED = ".export.json"


def export(
    source: str,
    output: str,
    *,
    selection: str | None = None,
    text_field: str = "text",
    fields: Sequence[str] = (),
    split: str = "train",
) -> str:
    """Writes the documents of a source as files that training reads.

    Each source file becomes one TFRecord file of tf.Example with the features `text` and
    the fields. A whole export keeps every row, an unreadable one with empty text. An
    export that was stopped goes on where it was; one that is finished is left alone.

    Args:
      source: documents, such as `jsonl:PATTERN`.
      output: folder of the export.
      selection: folder of a selection; only what it keeps is written.
      text_field: of a record.
      fields: other fields to write, as text; an empty one where a record has none.
      split: of tfds and seqio sources.

    Returns:
      The folder.
    """
    from pruning.jobs.open_source import open_source
    from pruning.keep_bits import read_selection

    opened = open_source(source, text_field=text_field, fields=tuple(fields), split=split)
    chosen = None if selection is None else read_selection(selection)
    result = export_source(opened, output, selection=chosen)
    print(summary(result))
    return os.fspath(output)


def export_source(
    source: "Source", output: str | os.PathLike, *, selection: "Selection | None" = None
) -> "Export":
    """Exports an open source; see `export`.

    Raises:
      ValueError: the folder holds another export, the selection was made on
        other files, or a carried field has the name of the text's feature.
    """
    from etils import epath

    from pruning.jobs.open_where import check_same_files
    from pruning.progress import progress
    from seqio_tasks.exported import EXPORT_JSON, Export, read_export
    from seqio_tasks.write_export import write_file, write_json

    folder = epath.Path(output)
    files = source.files()
    if selection:
        check_same_files(selection, files, f"Selection {selection.folder}")
    digest = selection.digest if selection else None
    settings = _settings(source.describe(), files, digest)
    for name in (EXPORT_JSON, _UNFINISHED):
        if (folder / name).exists():
            so_far = read_export(folder / name)
            _check_same_settings(so_far, settings)
            break
    else:
        # A selection, a score store or a model has a file here; of a writer that died it begins
        # with a dot.
        here = folder.iterdir() if folder.exists() else ()
        if any(path.is_file() and not path.name.startswith(".") for path in here):
            raise ValueError(
                f"{folder} is not empty and not an export. Give another --output, or empty it."
            )
        so_far = Export(
            folder=folder, selection_digest=digest, settings=settings, files=(), counts={}
        )
    if (folder / EXPORT_JSON).exists():
        print(f"{folder} has this export already, and is left as it is.")
        return so_far
    folder.mkdir(parents=True, exist_ok=True)
    write_json(so_far, _UNFINISHED)  # before any file, so that the folder is known as an export
    done = {f.source.path for f in so_far.files}
    rows_done = sum(f.source.num_rows for f in so_far.files)
    total = sum(f.num_rows for f in files)
    with progress("export", total, "records", done=rows_done) as advance:
        for file in files:
            if file.path not in done:
                so_far = write_file(source, file, so_far, selection, advance)
                write_json(so_far, _UNFINISHED)
    write_json(so_far, EXPORT_JSON)
    (folder / _UNFINISHED).unlink(missing_ok=True)
    return so_far


def summary(result: "Export") -> str:
    """What was written, and what could not be read, as text."""
    records = sum(f.num_records for f in result.files)
    files = sum(f.path is not None for f in result.files)
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(result.counts.items()))
    empty = f" Without text: {reasons}." if reasons else ""
    return f"{result.folder}: {records:,} records in {files:,} files.{empty}"


def _settings(
    described: dict[str, Any], files: "Sequence[SourceFile]", digest: str | None
) -> dict[str, Any]:
    from seqio_tasks.exported import TEXT_FEATURE

    if TEXT_FEATURE in described["fields"]:
        raise ValueError(
            f"A carried field is named {TEXT_FEATURE!r}, and an export has the text of "
            f"{described['text_field']!r} under that name. The --fields are "
            f"{', '.join(described['fields'])}; expected other names than {TEXT_FEATURE!r}. Leave "
            f"{TEXT_FEATURE!r} out of --fields, or rename the field in the source."
        )
    return {
        "source": {"kind": described["spec"].partition(":")[0], **described},
        "selection": digest,
        "files": [dataclasses.asdict(f) for f in files],
    }


def _check_same_settings(found: "Export", settings: dict[str, Any]) -> None:
    from pruning.score_store import first_difference

    if difference := first_difference(found.settings, settings):
        where, before, now = difference
        raise ValueError(
            f"{found.folder} holds an export with {where} = {before}, this run has {now}. "
            "Give another --output, or delete the folder."
        )


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("export")

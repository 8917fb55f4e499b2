"""`prune export`: documents as files that training reads.

TensorFlow has no stateless reader for JSON Lines, Parquet and compressed files.
A whole export keeps every row, so that a selection made on the source applies
to it; a pruned one has only what a selection keeps.
"""

import dataclasses
import functools
import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pruning.wording import plural

if TYPE_CHECKING:
    from pruning.documents import Source, SourceFile
    from pruning.exported import Export, ExportedFile
    from pruning.exporting import FileExporter
    from pruning.keep_bits import Selection


def export(
    source: str,
    output: str,
    *,
    selection: str | None = None,
    format: Literal[
        "tfrecord", "array_record", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"
    ] = "tfrecord",
    text_field: str = "text",
    fields: Sequence[str] = (),
    split: str = "train",
    processes: int | None = None,
    runner: str | None = None,
    beam_options: Sequence[str] = (),
) -> str:
    """Writes the documents of a source as files that training reads.

    Each source file becomes one file: TFRecord or ArrayRecord of tf.Example with the features
    `text` and the fields, JSON Lines or Parquet with the same names. A whole export keeps every
    row, an unreadable one with empty text; a pruned one numbers its rows anew. An export that
    was stopped goes on where it was; one that is finished is left alone.

    Args:
      source: documents, such as `jsonl:PATTERN`.
      output: folder of the export.
      selection: folder of a selection; only what it keeps is written.
      format: of the files.
      text_field: of a record.
      fields: other fields to write, as text; an empty one where a record has none.
      split: of tfds and seqio sources.
      processes: on this machine; by default the cores, and fewer for a small corpus.
      runner: of Apache Beam, such as DirectRunner or DataflowRunner, in place of processes.
      beam_options: more for Apache Beam, such as `project=NAME region=NAME`.

    Returns:
      The folder.
    """
    from pruning.jobs.open_source import open_source
    from pruning.keep_bits import read_selection

    opened = open_source(source, text_field=text_field, fields=tuple(fields), split=split)
    chosen = None if selection is None else read_selection(selection)
    result = export_source(
        opened,
        output,
        selection=chosen,
        format=format,
        processes=processes,
        runner=runner,
        beam_options=beam_options,
    )
    print(summary(result))
    return os.fspath(output)


def export_source(
    source: "Source",
    output: str | os.PathLike,
    *,
    selection: "Selection | None" = None,
    format: str = "tfrecord",
    processes: int | None = 1,
    runner: str | None = None,
    beam_options: Sequence[str] = (),
) -> "Export":
    """Exports an open source; see `export`.

    More than one process, or a runner, opens the source again by what it says of itself.

    Raises:
      ValueError: the folder holds another export, the selection was made on
        other files, or a carried field has the name of the text's feature.
      RuntimeError: a worker process died.
    """
    from etils import epath

    from pruning.exported import EXPORT_JSON, Export, read_export
    from pruning.exporting import FileExporter, begin, finish, remove_notes
    from pruning.jobs.open_where import check_same_files
    from pruning.sources.files import absolute

    files = source.files()
    if selection:
        check_same_files(selection, files, f"Selection {selection.folder}")
    digest = selection.digest if selection else None
    planned = Export(
        folder=epath.Path(absolute(os.fspath(output))),
        settings=_settings(source.describe(), files, digest, format),
        selection=absolute(os.fspath(selection.folder)) if selection else None,
    )
    done = begin(planned)
    if (planned.folder / EXPORT_JSON).exists():
        print(f"{planned.folder} has this export already, and is left as it is.")
        remove_notes(planned.folder)
        return read_export(planned.folder / EXPORT_JSON)
    work = FileExporter(source=source, selection=selection, folder=planned.folder, format=format)
    left = [f for f in files if f.path not in done]
    if runner:
        done |= _over_beam(work, left, planned, runner, beam_options)
    else:
        done |= _over_processes(work, left, files, processes)
    exported = dataclasses.replace(planned, files=tuple(done[f.path] for f in files))
    finish(exported)
    return exported


def summary(result: "Export") -> str:
    """What was written, and what could not be read, as text."""
    records = sum(f.num_records for f in result.files)
    files = sum(f.path is not None for f in result.files)
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in result.counts.items())
    empty = f" Without text: {reasons}." if reasons else ""
    anew = (
        " Rows are numbered anew: scores and selections of the source do not fit them."
        if result.selection_digest
        else ""
    )
    return f"{result.folder}: {plural(records, 'record')} in {plural(files, 'file')}.{empty}{anew}"


def _over_processes(
    work: "FileExporter",
    left: "Sequence[SourceFile]",
    files: "Sequence[SourceFile]",
    processes: int | None,
) -> "dict[str, ExportedFile]":
    from pruning.local_processes import run_tasks, worth_starting
    from pruning.progress import progress

    if processes is None:
        processes = worth_starting(len(left), sum(f.size for f in left))
    # The largest first, so that none is begun when the others are done.
    tasks = sorted(left, key=lambda f: (-f.size, f.path))
    total, to_do = (sum(f.num_rows for f in some) for some in (files, left))
    make_work = (lambda: work) if processes == 1 or len(left) == 1 else _opened_again(work)
    with progress("export", total, "records", done=total - to_do) as advance:
        results = run_tasks(make_work, tasks, processes=processes, advance=advance)
        return {done.source.path: done for done in results}


def _over_beam(
    work: "FileExporter",
    left: "Sequence[SourceFile]",
    planned: "Export",
    runner: str,
    beam_options: Sequence[str],
) -> "dict[str, ExportedFile]":
    from pruning.exporting import finished_files
    from pruning.jobs.over_beam import run_over_beam

    def num_done() -> int:
        return len(finished_files(planned)) - (len(planned.settings["files"]) - len(left))

    run_over_beam(
        _opened_again(work), left, num_done, what="export", runner=runner, options=beam_options
    )
    return finished_files(planned)


def _opened_again(work: "FileExporter") -> "functools.partial[FileExporter]":
    from pruning.jobs.run_job import imported_modules

    return functools.partial(
        open_exporter,
        work.source.describe(),
        str(work.selection.folder) if work.selection else None,
        str(work.folder),
        work.format,
        tuple(imported_modules),
    )


def open_exporter(
    source: dict[str, Any], selection: str | None, folder: str, format: str, modules: Sequence[str]
) -> "FileExporter":
    """A FileExporter in another process than the one that was asked to export.

    Args:
      source: `Source.describe()`.
      selection: folder of the selection.
      folder: of the export.
      format: of the files.
      modules: that register seqio tasks.
    """
    from etils import epath

    from pruning.exporting import FileExporter
    from pruning.jobs.open_source import open_source
    from pruning.keep_bits import read_selection

    for module in modules:
        importlib.import_module(module)
    return FileExporter(
        source=open_source(**source),
        selection=None if selection is None else read_selection(selection),
        folder=epath.Path(folder),
        format=format,
    )


def _settings(
    described: dict[str, Any], files: "Sequence[SourceFile]", digest: str | None, format: str
) -> dict[str, Any]:
    from pruning.export_formats import TEXT_FEATURE

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
        "format": format,
        "files": [dataclasses.asdict(f) for f in files],
    }


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("export")

"""`prune verify`: are the corpus, the scores, the selection or the export as they were?"""

import functools
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pruning.export_verification import FileVerifier, Originals
    from pruning.exported import Export
    from pruning.verification import Baseline, RowVerifier, Verification


def verify(
    *,
    selection: str | None = None,
    scores: str | None = None,
    export: str | None = None,
    source: str | None = None,
    sample: float | None = None,
    seed: int = 0,
    processes: int | None = None,
) -> int:
    """Re-hashes all rows, or a sample, against a selection, a score store or an export.

    Args:
      selection: folder of a selection; names the files that differ.
      scores: folder of a score store; names the rows that differ.
      export: folder of an export; names the rows that differ from those of its source.
      source: where the corpus is now, or export:DIR for what was exported of it; by default where it was scored.
      sample: look only at this share of the units, or of an export's files.
      seed: of the sample.
      processes: on this machine; by default the cores, and fewer for little work.

    Returns:
      How many rows or files differ.
    """
    given = {"selection": selection, "scores": scores, "export": export}
    chosen = [(kind, folder) for kind, folder in given.items() if folder is not None]
    if len(chosen) != 1:
        raise ValueError(
            "Give --selection, --scores or --export, one of them; got "
            f"{' and '.join(f'--{kind}' for kind, _ in chosen) or 'none'}."
        )
    ((kind, folder),) = chosen
    verify_one = _verify_export if kind == "export" else functools.partial(_verify_rows, kind)
    found = verify_one(folder, source, processes, sample=sample, seed=seed)
    for difference in found.differences:
        print(difference)
    more = found.num_different - len(found.differences)
    print(
        f"{found.rows:,} rows compared, {found.num_different:,} differences"
        + (f" ({more:,} not listed)." if more else ".")
    )
    if found.num_different:
        raise SystemExit(1)
    return 0


def _verify_rows(
    kind: str, folder: str, spec: str | None, processes: int | None, **how: Any
) -> "Verification":
    from pruning.jobs.open_source import open_source
    from pruning.jobs.run_job import imported_modules
    from pruning.local_processes import worth_starting
    from pruning.verification import RowVerifier, verify_rows

    baseline = open_baseline(kind, folder)
    opened = open_source(**_moved(baseline.source, spec))
    make_work: functools.partial[RowVerifier] | None = None
    if processes is None:
        size = sum(f.size for f in baseline.files.values()) * (how["sample"] or 1)
        processes = worth_starting(len(baseline.units), int(size))
    if processes > 1:
        modules = tuple(imported_modules)
        make_work = functools.partial(open_verifier, kind, folder, opened.describe(), modules)
    return verify_rows(baseline, opened, processes=processes, make_work=make_work, **how)


def open_baseline(kind: str, folder: str) -> "Baseline":
    """Opens the folder of a selection, or of scores."""
    from pruning.keep_bits import read_selection
    from pruning.score_store import open_store
    from pruning.verification import SelectionBaseline, StoreBaseline

    if kind == "selection":
        return SelectionBaseline(read_selection(folder))
    return StoreBaseline(open_store(folder))


def open_verifier(
    kind: str, folder: str, source: Mapping[str, Any], modules: Sequence[str]
) -> "RowVerifier":
    """A RowVerifier in another process than the one that was asked to verify."""
    from pruning.jobs.open_source import open_source
    from pruning.verification import RowVerifier

    for module in modules:
        importlib.import_module(module)
    return RowVerifier(open_baseline(kind, folder), open_source(**source))


def _verify_export(
    folder: str, spec: str | None, processes: int | None, **how: Any
) -> "Verification":
    from pruning.export_verification import verify_export
    from pruning.jobs.run_job import imported_modules
    from pruning.local_processes import worth_starting
    from pruning.sources.export import finished_export

    export = finished_export(folder)
    if processes is None:
        size = sum(f.size for f in export.files) * (how["sample"] or 1)
        processes = worth_starting(len(export.files), int(size))
    make_work = functools.partial(open_file_verifier, folder, spec, tuple(imported_modules))
    return verify_export(export, processes=processes, make_work=make_work, **how)


def open_file_verifier(folder: str, spec: str | None, modules: Sequence[str]) -> "FileVerifier":
    """A FileVerifier, in this process or another."""
    from pruning.export_verification import FileVerifier
    from pruning.sources.export import finished_export

    for module in modules:
        importlib.import_module(module)
    export = finished_export(folder)
    return FileVerifier(export, functools.cache(functools.partial(_originals, export, spec)))


def _originals(export: "Export", spec: str | None) -> "Originals":
    from pruning.export_verification import Originals
    from pruning.jobs.open_source import open_source
    from pruning.keep_bits import read_selection

    selection = read_selection(export.selection) if export.selection else None
    if selection and selection.digest != export.selection_digest:
        raise ValueError(
            f"{selection.folder} has digest {selection.digest[:12]}, and the export was pruned by "
            f"{(export.selection_digest or '')[:12]}."
        )
    source = open_source(**_moved(export.settings["source"], spec))
    return Originals(source, selection)


def _moved(description: Mapping[str, Any], spec: str | None) -> dict[str, Any]:
    return {**description, "spec": spec or description["spec"]}


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("verify")

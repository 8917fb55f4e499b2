"""What every job that fills a score store does before, after and around its loop."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from pruning.documents import Source, SourceFile
from pruning.score_store import ScoreStore, open_store
from pruning.sharding import Shard
from pruning.sources import SEQIO_KINDS, spec_kind
from pruning.sources.jsonl import JsonlSource
from pruning.store_counts import count
from pruning.throughput import Throughput
from pruning.wording import plural

# Looked at before a run, for a field that is not there.
FIRST_RECORDS = 100


def finish(
    store: ScoreStore, done: Throughput | None = None, *, missing: int | None = None, **more: Any
) -> dict[str, Any]:
    """Marks a store as complete if it is, and prints what it holds and what this run did.

    Args:
      store: to mark.
      done: by this run.
      missing: units, if the caller has looked.
      more: to count beside what the store holds.

    Returns:
      The store's counts, and `this_run` if `done` is given.
    """
    if missing is None:  # before counting: others may write meanwhile
        missing = len(store.missing_units())
    counts = {**count(store), **more}
    if not missing:
        store.write_success(counts)
    print(_summary(str(store.folder), counts, missing, len(store.units)))
    if done is None:
        return counts
    if done.documents:
        print(_this_run(done))
    of_run = {"documents": done.documents, "tokens": done.tokens, "seconds": done.seconds}
    return {**counts, "this_run": of_run}


def print_plan(store: ScoreStore, units: Sequence[Any], shard: Shard) -> None:
    """Says what this process does of a store, and how large its vectors will be."""
    if len(units) < len(store.units):
        print(
            f"{len(units):,} of {plural(len(store.units), 'unit')} of up to {store.manifest['unit_rows']:,} "
            f"records, as shard {shard.index} of {shard.count}.",
            flush=True,
        )
    size = sum(2 * c.get("size", 0) for c in store.manifest["columns"])
    rows = sum(unit.num_rows for unit in units)
    if size:
        print(
            f"Vectors of {size:,} bytes for {plural(rows, 'document')}: {size * rows / 1e9:,.1f} GB.",
            flush=True,
        )


def earlier_store(output: str) -> ScoreStore | None:
    """The store that a run continues."""
    return open_store(output) if (epath.Path(output) / "manifest.json").exists() else None


def look_at_fields(corpus: Source, files: Sequence[SourceFile], text_field: str) -> None:
    """Refuses a field that none of the first records has, before anything is scored.

    Raises:
      ValueError: names the field, and where the source can tell the fields that there are.
    """
    first = next((file for file in files if file.num_rows), None)
    if first is None:
        return
    documents = list(corpus.read(first.path, 0, min(first.num_rows, FIRST_RECORDS)))
    if len(documents) == FIRST_RECORDS and all(d.reason == "missing_field" for d in documents):
        raise ValueError(
            f"None of the first {FIRST_RECORDS} records of {first.path} has a field {text_field!r}. "
            "Give --text_field the name of the field that holds the text."
        )
    described = corpus.describe()
    absent = [n for n in described["fields"] if all(d.fields.get(n) is None for d in documents)]
    names: list[str] | None = None
    if absent and isinstance(corpus, JsonlSource):
        names = corpus.field_names(first.path, len(documents))
    # Other sources have checked that what they carry is there.
    may_be_absent = bool(names) or spec_kind(described["spec"]) in SEQIO_KINDS
    for name in absent:
        message = f"None of the first {len(documents)} records of {first.path} has a field {name!r}"
        if may_be_absent and name.partition(".")[0] not in (names or ()):
            known = f": they have {', '.join(names)}" if names else ""
            raise ValueError(f"{message}{known}. Give --fields names that records have.")
        print(f"{message} that is not empty.", flush=True)


def check_unchanged(corpus: Source, store: ScoreStore) -> None:
    """A file that was written to while it was read has rows that nobody can vouch for."""
    known = store.files
    for file in corpus.files(known):
        if file != known.get(file.path):
            raise ValueError(
                f"{file.path} changed while it was scored: it was {known.get(file.path)}, and is {file}. "
                f"Delete {store.folder} and score the corpus when nothing writes to it."
            )


def _this_run(done: Throughput) -> str:
    rates = f"{done.documents_per_second:,.1f} documents/s"
    read = plural(done.documents, "document")
    if not done.allocated_positions:
        return f"This run: {read} in {done.seconds:.1f} s ({rates})."
    return (
        f"This run: {read}, {done.tokens:,} tokens in {done.seconds:.1f} s ({rates}, "
        f"{done.tokens_per_second:,.0f} tokens/s), fill {done.fill:.1%}."
    )


def _summary(output: str, counts: dict[str, Any], missing: int, units: int) -> str:
    lines = [
        f"{output}: {counts['scored']:,} of {plural(counts['rows'], 'document')} scored, "
        f"{counts['n_tokens']:,} tokens."
    ]
    if counts["truncated"]:
        lines.append(f"  {counts['truncated']:,} longer than the window, scored on their beginning")
    for what, numbers in (("without a score", counts["unscored"]), ("noted", counts["notes"])):
        for key, n in numbers.items():
            ids = counts["examples"].get(key, [])
            lines.append(f"  {n:,} {what}: {key}" + (f" (such as {', '.join(ids)})" if ids else ""))
    if missing:
        lines.append(
            f"  {missing:,} of {plural(units, 'unit')} still to do, by other shards or by the same command "
            "without --sample."
        )
    return "\n".join(lines)

"""What every job that fills a score store does before, after and around its loop."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from pruning.documents import Source, SourceFile
from pruning.score_store import ScoreStore, open_store
from pruning.sharding import Shard
from pruning.store_counts import count

# Looked at before a run, for a text field that is not there.
FIRST_RECORDS = 100


def finish(store: ScoreStore, **more: Any) -> dict[str, Any]:
    """Marks a store as complete if it is, and prints what it holds.

    Args:
      store: to mark.
      more: to count beside what the store holds.

    Returns:
      The store's counts.
    """
    counts = {**count(store), **more}
    missing = len(store.missing_units())
    if not missing:
        store.write_success(counts)
    print(_summary(str(store.folder), counts, missing, len(store.units)))
    return counts


def print_plan(store: ScoreStore, units: Sequence[Any], shard: Shard) -> None:
    """Says what this process does of a store, and how large its vectors will be."""
    if len(units) < len(store.units):
        print(
            f"{len(units):,} of {len(store.units):,} units of up to {store.manifest['unit_rows']:,} "
            f"records, as shard {shard.index} of {shard.count}.",
            flush=True,
        )
    size = sum(2 * c.get("size", 0) for c in store.manifest["columns"])
    rows = sum(unit.num_rows for unit in units)
    if size:
        print(
            f"Vectors of {size:,} bytes for {rows:,} documents: {size * rows / 1e9:,.1f} GB.",
            flush=True,
        )


def earlier_store(output: str) -> ScoreStore | None:
    """The store that a run continues."""
    return open_store(output) if (epath.Path(output) / "manifest.json").exists() else None


def look_at_fields(corpus: Source, files: Sequence[SourceFile], text_field: str) -> None:
    """Refuses a text field that none of the first records has, and names other such fields."""
    first = next((file for file in files if file.num_rows), None)
    if first is None:
        return
    documents = list(corpus.read(first.path, 0, min(first.num_rows, FIRST_RECORDS)))
    if len(documents) == FIRST_RECORDS and all(d.reason == "missing_field" for d in documents):
        raise ValueError(
            f"None of the first {FIRST_RECORDS} records of {first.path} has a field {text_field!r}. "
            "Give --text_field the name of the field that holds the text."
        )
    for name in corpus.describe()["fields"]:
        if all(document.fields.get(name) is None for document in documents):
            print(
                f"None of the first {len(documents)} records of {first.path} has a field {name!r}."
            )


def check_unchanged(corpus: Source, store: ScoreStore) -> None:
    """A file that was written to while it was read has rows that nobody can vouch for."""
    known = store.files
    for file in corpus.files(known):
        if file != known.get(file.path):
            raise ValueError(
                f"{file.path} changed while it was scored: it was {known.get(file.path)}, and is {file}. "
                f"Delete {store.folder} and score the corpus when nothing writes to it."
            )


def _summary(output: str, counts: dict[str, Any], missing: int, units: int) -> str:
    lines = [
        f"{output}: {counts['scored']:,} of {counts['rows']:,} documents scored, "
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
            f"  {missing:,} of {units:,} units are still to do, by other shards or by the same command "
            "without --sample."
        )
    return "\n".join(lines)

"""Re-hashes the rows of a corpus against a score store or a selection.

What guards a pruned task looks at the beginning of each file; this looks at
every row, and finds an edit of the same size far inside a file.
"""

import dataclasses
from collections.abc import Iterator

import pyarrow as pa

from pruning.documents import DocumentId, Source, SourceFile, Unit, cut_into_units
from pruning.hashing import text_hash
from pruning.keep_bits import Selection
from pruning.progress import progress
from pruning.score_store import ScoreStore
from pruning.selecting import text_hashes_digest

DIFFERENCES_NAMED = 10

# A record without text and one with an empty text count as the same.
EMPTY = text_hash(b"")


@dataclasses.dataclass
class Verification:
    """What a look at every row found.

    Attributes:
      rows: compared.
      num_different: rows or files that differ.
      differences: one sentence for each of the first few.
    """

    rows: int = 0
    num_different: int = 0
    differences: list[str] = dataclasses.field(default_factory=list)

    def add(self, difference: str) -> None:
        self.num_different += 1
        if len(self.differences) < DIFFERENCES_NAMED:
            self.differences.append(difference)


def verify_store(store: ScoreStore, source: Source) -> Verification:
    """Compares the text hash of every scored unit's rows with the corpus, row by row."""
    found = Verification()
    files = _same_files(store.files, source, found)
    units = [u for u in store.units if u.file in files and store.path(u).exists()]
    for unit, ours_N in _hashed(source, units):
        theirs_N = store.read(unit, ["text_hash"])["text_hash"]
        found.rows += unit.num_rows
        if text_hashes_digest(ours_N) == text_hashes_digest(theirs_N):
            continue
        pairs = zip(ours_N.to_pylist(), theirs_N.to_pylist(), strict=True)
        for i, (ours, theirs) in enumerate(pairs):
            if (ours or EMPTY) != (theirs or EMPTY):
                row = DocumentId(unit.file, unit.first_row + i)
                found.add(f"{row}: text hash {ours}, but it was {theirs} when it was scored.")
    return found


def verify_selection(selection: Selection, source: Source) -> Verification:
    """Compares digests of text hashes with the corpus, unit by unit.

    Units that were not scored when the selection was made have none, and are
    passed over.
    """
    found = Verification()
    files = _same_files(selection.files, source, found)
    digests = selection.info["text_hashes"]
    units = cut_into_units(list(files.values()), selection.info["unit_rows"])
    expected = {u: digests[u.file][u.first_row // selection.info["unit_rows"]] for u in units}
    for unit, hashes_N in _hashed(source, [u for u in units if expected[u] is not None]):
        found.rows += unit.num_rows
        if text_hashes_digest(hashes_N) != expected[unit]:
            found.add(
                f"{unit.file}, rows {unit.first_row:,} to {unit.first_row + unit.num_rows - 1:,}: "
                f"the digest of their text hashes is {text_hashes_digest(hashes_N)[:12]}, but it was "
                f"{expected[unit][:12]} when they were scored. `prune verify --scores` names the rows."
            )
    return found


def _same_files(expected, source: Source, found: Verification) -> dict[str, SourceFile]:
    """The source's files that have the expected number of rows; the others are noted."""
    files = {f.path: f for f in source.files()}
    for path in sorted({*files} ^ {*expected}):
        where = "the corpus" if path in files else "the scores"
        found.add(f"{path}: only in {where}.")
    same = {}
    for path in sorted({*files} & {*expected}):
        if files[path].num_rows == expected[path].num_rows:
            same[path] = files[path]
        else:
            found.add(f"{path}: {files[path].num_rows} rows, expected {expected[path].num_rows}.")
    return same


def _hashed(source: Source, units: list[Unit]) -> Iterator[tuple[Unit, pa.ChunkedArray]]:
    """Text hashes of each unit's rows, null where a record has no text."""
    with progress("verify", sum(u.num_rows for u in units), "documents") as advance:
        for unit in units:
            documents = source.read(unit.file, unit.first_row, unit.num_rows)
            hashes = [None if d.text is None else text_hash(d.text) for d in documents]
            yield unit, pa.chunked_array([pa.array(hashes, pa.int64())])
            advance(unit.num_rows)

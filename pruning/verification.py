"""Re-hashes the rows of a corpus against a score store or a selection.

What guards a pruned task looks at the beginning of each file; this looks at
every row, or at all rows of a sample of units, and finds an edit of the same
size far inside a file. On the way it compares the store's or selection's own
files with their digests.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from pruning.documents import DocumentId, Source, SourceFile, Unit, cut_into_units
from pruning.hashing import text_hash
from pruning.keep_bits import FileGuard, Selection
from pruning.local_processes import Work, run_tasks
from pruning.progress import Advance, progress
from pruning.score_store import ScoreStore
from pruning.sharding import sampled_units
from pruning.store_digests import text_hashes_digest

DIFFERENCES_NAMED = 10

# A record without text and one with an empty text count as the same.
EMPTY = text_hash(b"")


@dataclasses.dataclass
class Verification:
    """What a look at the rows found.

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

    def merge(self, other: "Verification") -> None:
        """Adds what a look at other rows found."""
        self.rows += other.rows
        self.num_different += other.num_different
        room = DIFFERENCES_NAMED - len(self.differences)
        self.differences += other.differences[:room]


class Baseline(Protocol):
    """What the rows of a corpus are compared with."""

    @property
    def source(self) -> Mapping[str, Any]:
        """`Source.describe()` of the corpus."""
        ...

    @property
    def files(self) -> Mapping[str, SourceFile | FileGuard]: ...

    @property
    def units(self) -> list[Unit]:
        """Units that have something to compare with."""
        ...

    def check_itself(self, found: Verification) -> None:
        """Notes what is wrong with files that no unit's comparison reads."""
        ...

    def compare(self, unit: Unit, hash_N: pa.ChunkedArray, found: Verification) -> None:
        """Notes where the text hashes of a unit's rows differ.

        Raises:
          ValueError, OSError: the unit's own file is damaged or missing.
        """
        ...


@dataclasses.dataclass(frozen=True)
class StoreBaseline:
    """The text hashes of a score store, row by row. Its units' files know their own digests."""

    store: ScoreStore

    @property
    def source(self) -> Mapping[str, Any]:
        return self.store.manifest["source"]

    @property
    def files(self) -> Mapping[str, SourceFile]:
        return self.store.files

    @property
    def units(self) -> list[Unit]:
        # One that is missing from a finished store is a difference.
        units = self.store.units
        return units if self.store.is_complete else [*self.store.appeared(units)]

    def check_itself(self, found: Verification) -> None: ...

    def compare(self, unit: Unit, hash_N: pa.ChunkedArray, found: Verification) -> None:
        scored_N = self.store.read(unit, ["text_hash"])["text_hash"]
        if text_hashes_digest(hash_N) == text_hashes_digest(scored_N):
            return
        pairs = zip(hash_N.to_pylist(), scored_N.to_pylist(), strict=True)
        for i, (now, scored) in enumerate(pairs):
            if (now or EMPTY) != (scored or EMPTY):
                row = DocumentId(unit.file, unit.first_row + i)
                found.add(f"{row}: text hash {now}, but it was {scored} when it was scored.")


@dataclasses.dataclass(frozen=True)
class SelectionBaseline:
    """The digests of text hashes that a selection has, unit by unit, and those of its keep bits.

    Units that were not scored when the selection was made have none, and are
    passed over.
    """

    selection: Selection

    @property
    def source(self) -> Mapping[str, Any]:
        return self.selection.source

    @property
    def files(self) -> Mapping[str, FileGuard]:
        return self.selection.files

    @property
    def units(self) -> list[Unit]:
        files = [
            SourceFile(path=f.path, size=f.size, mark="", num_rows=f.num_rows)
            for f in self.files.values()
        ]
        units = cut_into_units(files, self.selection.info["unit_rows"])
        return [unit for unit in units if self._digest(unit) is not None]

    def check_itself(self, found: Verification) -> None:
        for path in self.files:
            try:
                self.selection.keep(path)
            except (ValueError, OSError) as error:
                found.add(str(error))

    def compare(self, unit: Unit, hash_N: pa.ChunkedArray, found: Verification) -> None:
        now, scored = text_hashes_digest(hash_N), self._digest(unit) or ""
        if now != scored:
            found.add(
                f"{unit.file}, {_rows(unit)}: the digest of their text hashes is {now[:12]}, but it "
                f"was {scored[:12]} when they were scored. `prune verify --scores` names the rows."
            )

    def _digest(self, unit: Unit) -> str | None:
        digests = self.selection.info["text_hashes"][unit.file]
        return digests[unit.first_row // self.selection.info["unit_rows"]]


@dataclasses.dataclass(frozen=True)
class RowVerifier:
    """Compares the rows of some units; what a process does."""

    baseline: Baseline
    source: Source

    def __call__(self, units: Sequence[Unit], advance: Advance) -> tuple[Unit, Verification]:
        found = Verification()
        for unit in units:
            try:
                documents = self.source.read(unit.file, unit.first_row, unit.num_rows)
                hashes = [None if d.text is None else text_hash(d.text) for d in documents]
                hash_N = pa.chunked_array([pa.array(hashes, pa.int64())])
                self.baseline.compare(unit, hash_N, found)
            except (ValueError, OSError) as error:
                found.add(f"{unit.file}, {_rows(unit)}: {error}")
            found.rows += unit.num_rows
            advance(unit.num_rows)
        return units[0], found


def verify_rows(
    baseline: Baseline,
    source: Source,
    *,
    sample: float | None = None,
    seed: int = 0,
    processes: int = 1,
    make_work: Callable[[], Work] | None = None,
) -> Verification:
    """Compares a corpus with what was scored.

    Args:
      baseline: a store or a selection.
      source: the corpus as it is now.
      sample: share of the units, at least one; all by default.
      seed: of the sample, which is drawn by hash(id, seed).
      processes: that share the files, and parts of files where those are few.
      make_work: makes a RowVerifier in another process.
    """
    found = Verification()
    baseline.check_itself(found)
    same = _same_files(baseline.files, source, found)
    units = sampled_units([u for u in baseline.units if u.file in same], sample, seed)
    tasks = _in_runs(units, processes)
    total = sum(unit.num_rows for unit in units)
    make_work = make_work or functools.partial(RowVerifier, baseline, source)
    with progress("verify", total, "documents") as advance:
        results = run_tasks(make_work, tasks, processes=processes, advance=advance)
        for _, part in sorted(results, key=lambda result: result[0]):
            found.merge(part)
    return found


def verify_store(store: ScoreStore, source: Source, **how) -> Verification:
    """Compares the text hash of every scored unit's rows with the corpus; see `verify_rows`."""
    return verify_rows(StoreBaseline(store), source, **how)


def verify_selection(selection: Selection, source: Source, **how) -> Verification:
    """Compares digests of text hashes with the corpus, unit by unit; see `verify_rows`."""
    return verify_rows(SelectionBaseline(selection), source, **how)


def _same_files(
    expected: Mapping[str, SourceFile | FileGuard], source: Source, found: Verification
) -> set[str]:
    """The paths of files that have the expected number of rows; the others are noted."""
    files = {f.path: f for f in source.files()}
    for path in sorted({*files} ^ {*expected}):
        where = "the corpus" if path in files else "the scores"
        found.add(f"{path}: only in {where}.")
    same = set()
    for path in sorted({*files} & {*expected}):
        if files[path].num_rows == expected[path].num_rows:
            same.add(path)
        else:
            found.add(f"{path}: {files[path].num_rows} rows, expected {expected[path].num_rows}.")
    return same


def _in_runs(units: Sequence[Unit], processes: int) -> list[list[Unit]]:
    """The units of each file, which are read one after the other; in parts if files are few."""
    by_file = [list(group) for _, group in itertools.groupby(units, key=lambda u: u.file)]
    parts = -(-processes // max(len(by_file), 1))
    runs = []
    for group in by_file:
        length = -(-len(group) // parts)
        runs += [group[i : i + length] for i in range(0, len(group), length)]
    return runs


def _rows(unit: Unit) -> str:
    return f"rows {unit.first_row:,} to {unit.first_row + unit.num_rows - 1:,}"

"""Documents to read: drawn in one pass over a store, the same ones each time."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pruning.documents import DocumentId
from pruning.hashing import id_hash, text_hash
from pruning.keep_bits import Selection
from pruning.report.histograms import BINS, Histogram, kept_rows
from pruning.report.markup import number
from pruning.score_store import ScoreStore

# (file, row) to the stored bytes, or None where there is no text.
ReadText = Callable[[str, int], bytes | None]

SHOWN_CHARACTERS = 600
_TAIL_SHARE = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draw:
    """Which documents may be drawn, and which of them come first.

    Attributes:
      title: as a person reads it.
      column: their score.
      low, high: both included.
      near: those nearest to this score come first; else the first by hash(id, seed).
      selection, kept: only what it keeps (or drops), if one is given.
    """

    title: str
    column: str
    low: float = -math.inf
    high: float = math.inf
    near: float | None = None
    selection: Selection | None = None
    kept: bool = True


class Sample(NamedTuple):
    """A document drawn; the first three put samples in order."""

    distance: float
    id_hash: int
    id: DocumentId
    score: float
    fields: tuple[str, ...]
    text_hash: int | None


class ShownText(NamedTuple):
    """The beginning of a text and how many characters follow, or why there is none."""

    text: str
    more: int
    problem: str | None = None


def tail_draws(column: str, histogram: Histogram, at_least: int) -> list[Draw]:
    """The lowest and the highest hundredth of a column, to whole bins."""
    n = histogram.range.n
    if not n:
        return []
    share = max(_TAIL_SHARE, at_least / n)
    up_to = np.cumsum(histogram.total)
    last = min(int(np.searchsorted(up_to, share * n)), BINS + 1)
    from_top = np.cumsum(histogram.total[::-1])
    first = BINS + 1 - min(int(np.searchsorted(from_top, share * n)), BINS + 1)
    low, high = histogram.edge(last), histogram.edge(first - 1)
    return [
        Draw(title=f"Among the lowest: {column} up to {number(low)}", column=column, high=low),
        Draw(title=f"Among the highest: {column} from {number(high)}", column=column, low=high),
    ]


def cut_draws(column: str, selection: Selection) -> list[Draw]:
    """Both sides of both ends of what a selection keeps."""
    assert selection.thresholds is not None
    low, high = selection.thresholds
    sides = [
        ("Just below {}, dropped", low, {"high": low}, False),
        ("From {} up, kept", low, {"low": low}, True),
        ("Up to {}, kept", high, {"high": high}, True),
        ("Just above {}, dropped", high, {"low": high}, False),
    ]
    return [
        Draw(
            title=title.format(number(near)),
            column=column,
            near=near,
            selection=selection,
            kept=kept,
            **limits,
        )
        for title, near, limits, kept in sides
        if math.isfinite(near)
    ]


def draw(
    store: ScoreStore, draws: Sequence[Draw], *, fields: Sequence[str], each: int, seed: int
) -> list[list[Sample]]:
    """Samples of every draw, at most `each`.

    Args:
      store: of the scores.
      draws: what to look for.
      fields: carried along.
      each: documents per draw.
      seed: of the order among equals.
    """
    drawn: list[list[Sample]] = [[] for _ in draws]
    if not draws:
        return drawn
    bits = [None if d.selection is None else kept_rows(d.selection) for d in draws]
    columns = [*dict.fromkeys(d.column for d in draws), *fields, "text_hash"]
    for unit, table in store.tables(columns):
        rows_N = unit.first_row + np.arange(unit.num_rows)
        hash_N = id_hash(unit.file, rows_N, seed)
        for wanted, samples, keep_N in zip(draws, drawn, bits, strict=True):
            score_N = table[wanted.column].to_numpy().astype(np.float64)
            distance_N = _distance(wanted, score_N)
            if keep_N is not None:
                distance_N[keep_N(unit) != wanted.kept] = np.inf
            for i in np.lexsort((hash_N, distance_N))[:each]:
                if np.isfinite(distance_N[i]):
                    row = table.slice(int(i), 1).to_pylist()[0]
                    samples.append(
                        Sample(
                            float(distance_N[i]),
                            int(hash_N[i]),
                            DocumentId(unit.file, int(rows_N[i])),
                            float(score_N[i]),
                            tuple(row[f] or "" for f in fields),
                            row["text_hash"],
                        )
                    )
            samples[:] = sorted(samples, key=lambda s: s[:3])[:each]
    return [sorted(samples, key=lambda s: (s.score, s.id)) for samples in drawn]


def read_shown(
    samples: Iterable[Sample], read_text: ReadText | None
) -> Mapping[DocumentId, ShownText]:
    """The beginnings of the samples' texts, read in order of file and row."""
    by_id = {sample.id: sample for sample in samples}
    return {id_: _read(by_id[id_], read_text) for id_ in sorted(by_id)}


def _read(sample: Sample, read_text: ReadText | None) -> ShownText:
    if read_text is None:
        return ShownText("", 0, "The corpus was not at hand.")
    stored = read_text(*sample.id)
    if stored is None or text_hash(stored) != sample.text_hash:
        return ShownText("", 0, "The text is no longer the one that was scored.")
    text = stored.decode("utf-8", "replace")
    return ShownText(text[:SHOWN_CHARACTERS], max(0, len(text) - SHOWN_CHARACTERS))


def _distance(wanted: Draw, score_N: np.ndarray) -> np.ndarray:
    """0 or the distance to `near`; infinite for what may not be drawn."""
    eligible_N = (score_N >= wanted.low) & (score_N <= wanted.high) & np.isfinite(score_N)
    distance_N = np.zeros(len(score_N)) if wanted.near is None else np.abs(score_N - wanted.near)
    return np.where(eligible_N, distance_N, np.inf)

"""Documents to read: drawn in one pass, the same ones each time."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pruning.documents import DocumentId
from pruning.hashing import id_hash, text_hash
from pruning.report.draws import Draw
from pruning.report.kept_rows import kept_rows
from pruning.report.sampling import FILE, PLACE, ROW
from pruning.report.scored_corpus import HASH, ScoredCorpus

# (file, row) to the stored bytes, or None where there is no text.
ReadText = Callable[[str, int], bytes | None]

SHOWN_CHARACTERS = 600
# Of what is shown: a text that is longer by no more is shown whole.
_NOT_WORTH_A_CUT = 1 / 3
_SHOWN_FIELD_CHARACTERS = 80


class Sample(NamedTuple):
    """A document drawn; the first three put samples in order."""

    distance: float
    id_hash: int
    id: DocumentId
    score: float
    fields: tuple[str, ...]
    text_hash: int | None
    scores: Mapping[str, float]


class ShownText(NamedTuple):
    """The beginning of a text and how many characters follow, or why there is none."""

    text: str
    more: int
    problem: str | None = None


def draw(
    corpus: ScoredCorpus,
    draws: Sequence[Draw],
    *,
    fields: Sequence[str] = (),
    scores: Sequence[str] = (),
    each: int,
    seed: int,
) -> list[list[Sample]]:
    """Samples of every draw, at most `each`, in the order of their scores.

    Args:
      corpus: of the scores.
      draws: what to look for.
      fields, scores: carried along.
      each: documents per draw.
      seed: of the order among equals.
    """
    drawn: list[list[Sample]] = [[] for _ in draws]
    if not draws:
        return drawn
    bits = [None if d.selection is None else kept_rows(d.selection) for d in draws]
    columns = [*dict.fromkeys([*(d.column for d in draws), *fields, *scores]), HASH]
    for unit, table in corpus.tables(columns, "find documents"):
        row_N = unit.first_row + np.arange(unit.num_rows)
        hash_N = id_hash(unit.file, row_N, seed)
        for wanted, samples, keep_N in zip(draws, drawn, bits, strict=True):
            score_N = table[wanted.column].to_numpy().astype(np.float64)
            distance_N = _distance(wanted, score_N)
            if keep_N is not None:
                distance_N[keep_N(unit) != wanted.kept] = np.inf
            for i in _first(distance_N, hash_N, each):
                row = table.slice(int(i), 1).to_pylist()[0]
                place = float(distance_N[i]), int(hash_N[i])
                id_ = DocumentId(unit.file, int(row_N[i]))
                samples.append(_sample(place, id_, row, wanted.column, fields, scores))
            samples[:] = sorted(samples, key=lambda s: s[:3])[:each]
    return [sorted(samples, key=lambda s: (s.score, s.id)) for samples in drawn]


def _first(distance_N: np.ndarray, hash_N: np.ndarray, num: int) -> np.ndarray:
    """Indices of the nearest that are not infinitely far, in order."""
    at_N = np.flatnonzero(np.isfinite(distance_N))
    if len(at_N) > num:  # sorting all of a unit for each draw would take most of the time
        limit = np.partition(distance_N[at_N], num - 1)[num - 1]
        at_N = at_N[distance_N[at_N] <= limit]
    return at_N[np.lexsort((hash_N[at_N], distance_N[at_N]))[:num]]


def samples_of(
    table: pa.Table, column: str, fields: Sequence[str], scores: Sequence[str]
) -> list[Sample]:
    """The rows of a table of `take_sample` as samples, in their order."""
    return [
        _sample((0.0, row[PLACE]), DocumentId(row[FILE], row[ROW]), row, column, fields, scores)
        for row in table.to_pylist()
    ]


def _sample(
    place: tuple[float, int],
    id_: DocumentId,
    row: Mapping[str, Any],
    column: str,
    fields: Sequence[str],
    scores: Sequence[str],
) -> Sample:
    return Sample(
        *place,
        id_,
        _number(row[column]),
        tuple((row[f] or "")[:_SHOWN_FIELD_CHARACTERS] for f in fields),
        row[HASH],
        {name: _number(row[name]) for name in scores},
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def read_shown(
    samples: Iterable[Sample], read_text: ReadText | None, characters: int = SHOWN_CHARACTERS
) -> Mapping[DocumentId, ShownText]:
    """The beginnings of the samples' texts, read in order of file and row."""
    by_id = {sample.id: sample for sample in samples}
    return {id_: _read(by_id[id_], read_text, characters) for id_ in sorted(by_id)}


def _read(sample: Sample, read_text: ReadText | None, characters: int) -> ShownText:
    if read_text is None:
        return ShownText("", 0, "The corpus was not at hand.")
    stored = read_text(*sample.id)
    if stored is None or text_hash(stored) != sample.text_hash:
        return ShownText("", 0, "The text is no longer the one that was scored.")
    text = stored.decode("utf-8", "replace")
    if len(text) <= characters * (1 + _NOT_WORTH_A_CUT):
        characters = len(text)
    return ShownText(text[:characters], len(text) - characters)


def _distance(wanted: Draw, score_N: np.ndarray) -> np.ndarray:
    """0 or the distance to `near`; infinite for what may not be drawn."""
    eligible_N = (score_N >= wanted.low) & (score_N <= wanted.high) & np.isfinite(score_N)
    distance_N = np.zeros(len(score_N)) if wanted.near is None else np.abs(score_N - wanted.near)
    return np.where(eligible_N, distance_N, np.inf)

"""One threshold over the score stores of several sources, such as the tasks of a mixture.

The stores hold the same score of different documents. Under one threshold the sources with better
scores grow and the others shrink, as in "Perplexed by Perplexity"; with a threshold of its own
each would keep its share.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Literal, NamedTuple

import numpy as np
import pyarrow.compute as pc
from etils import epath

from pruning.keep_bits import Selection, read_selection
from pruning.manifests import difference_in_scores
from pruning.object_stores import is_object
from pruning.publishing import temporary_name
from pruning.ranking import ordered, unordered
from pruning.score_store import ScoreStore
from pruning.selecting import select
from pruning.selection import Rule

Unit = Literal["documents", "tokens"]

_DIGIT = 1 << 16


class Threshold(NamedTuple):
    """Lowest and highest score that are kept; None where that end is open."""

    min_score: float | None
    max_score: float | None


def select_together(
    stores: Mapping[str, ScoreStore],
    output: str | os.PathLike,
    *,
    keep: Literal["low", "middle", "high"],
    fraction: float,
    score: str,
    unit: Unit = "documents",
    rates: Mapping[str, float] | None = None,
) -> dict[str, Selection]:
    """Writes a selection for each source, in a subfolder of its name, all with one threshold.

    Args:
      stores: by name of the source; `seqio_tasks.pruned_mixture` looks for the tasks' names.
      output: folder of the selections.
      keep: which end or part of all scores together.
      fraction: see `common_threshold`.
      score: column, or expression of columns.
      unit: see `common_threshold`.
      rates: see `common_threshold`.

    Raises:
      ValueError: as of `common_threshold`, the stores' scores are of different models or settings,
        or a source would keep nothing.
      FileExistsError: the folder exists.
    """
    target = epath.Path(output)
    if target.exists():
        raise FileExistsError(f"{target} exists. Give another output, or delete the folder.")
    _check_comparable(stores, score)
    threshold = common_threshold(
        stores, keep=keep, fraction=fraction, score=score, unit=unit, rates=rates
    )
    everything = Rule(keep="low", fraction=1.0)
    is_cut = threshold != (None, None)
    rule = Rule(keep="threshold", **threshold._asdict()) if is_cut else everything
    together = {
        "keep": keep,
        "fraction": fraction,
        "unit": unit,
        "rates": None if rates is None else dict(rates),
        "sources": list(stores),
    }
    written = target if is_object(target) else temporary_name(target)
    try:
        for name, store in stores.items():
            select(store, written / name, rule=rule, score=score, together=together)
        if written != target:
            written.rename(target)
    except BaseException:
        written.rmtree(missing_ok=True)
        raise
    return {name: read_selection(target / name) for name in stores}


def common_threshold(
    stores: Mapping[str, ScoreStore],
    *,
    keep: Literal["low", "middle", "high"],
    fraction: float,
    score: str,
    unit: Unit = "documents",
    rates: Mapping[str, float] | None = None,
) -> Threshold:
    """The scores between which a part of all documents lies.

    Found exactly, in two streaming passes per end over the 32 bits of the score. Documents of
    equal scores stay or go together, and what is kept never exceeds the fraction.

    Args:
      stores: by name of the source.
      keep: the part with the lowest or the highest scores, or the middle.
      fraction: of the documents or tokens that have a score.
      score: column, or expression of columns, in every store.
      unit: what the fraction counts.
      rates: mixing rates by source. A source then counts as much as its rate, whatever its size;
        without them, as much as it holds.

    Raises:
      ValueError: a source has no rate, no scored document, or no token counts; a rate is not above
        0, or of no source.
    """
    if keep not in ("low", "middle", "high") or not 0 < fraction <= 1:
        raise ValueError(
            f"keep is {keep!r} and fraction {fraction}; expected low, middle or high, and a "
            "fraction above 0 and at most 1."
        )
    opened = {name: _weighted(store, score, unit) for name, store in stores.items()}
    totals = {name: _total(scores) for name, scores in opened.items()}
    share = _shares(totals, unit, rates)
    total = sum(totals[name] * share[name] for name in opened)
    # As decimal: 0.29 of 100 must be 29, and in binary it is less.
    kept = float(Decimal(repr(float(fraction))) * Decimal(total))
    if keep == "low":
        return Threshold(None, _below(_passing(opened, share, kept)[0]))
    if keep == "high":
        # All but the fewest that leave no more than what is to be kept.
        last_dropped, _ = _passing(opened, share, total - kept, or_reaching=True)
        return Threshold(_above(last_dropped) if kept < total else None, None)
    kept = kept if rates else np.floor(kept)  # as `Rule.stretch` counts documents
    first, dropped = _passing(opened, share, (total - kept) / 2)
    return Threshold(first, _below(_passing(opened, share, dropped + kept)[0]))


def _check_comparable(stores: Mapping[str, ScoreStore], score: str) -> None:
    (_, first), *others = stores.items()
    computed = first.with_scores([score]).expressions.get(score)
    if computed and computed.corpus_calls:
        raise ValueError(
            f"{score} has {', '.join(computed.corpus_calls)}, which says where a document stands in one "
            "corpus. One threshold over several sources is for what each document has by itself: leave "
            "out rank and zscore."
        )
    columns = computed.columns if computed else [score]
    for _, store in others:
        if difference := difference_in_scores(first.manifest, store.manifest, columns):
            where, ours, theirs = difference
            learner = where.removeprefix("fitted.")
            mend = (
                "One threshold is for one score: score every source with the same model and settings."
                if learner == where
                else f"What {learner} says is of the corpus that it looked at: score the sources as one, or "
                "select from each with a threshold of its own."
            )
            raise ValueError(
                f"Scores of {store.folder} are not comparable with those of {first.folder}: {where} "
                f"is {theirs} there and {ours} here. {mend}"
            )


# Opens the scores of a source for a pass: ordered keys, uint32 [N], and int64 weights [N].
_Weighted = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


def _weighted(store: ScoreStore, score: str, unit: Unit) -> _Weighted:
    columns = [score, *(["n_tokens"] if unit == "tokens" else [])]
    store = store.with_scores([score])

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _, table in store.tables(columns):
            score_N = table[score].to_numpy().astype(np.float32)
            weight_N = (
                pc.fill_null(table["n_tokens"], 0).to_numpy().astype(np.int64)
                if unit == "tokens"
                else np.ones(len(score_N), np.int64)
            )
            scored_N = ~np.isnan(score_N)
            yield ordered(score_N[scored_N]), weight_N[scored_N]

    return read


def _total(scores: _Weighted) -> int:
    return sum(int(weight_N.sum()) for _, weight_N in scores())


def _shares(
    totals: Mapping[str, int], unit: Unit, rates: Mapping[str, float] | None
) -> dict[str, float]:
    """What one document or token of each source counts."""
    for name, total in totals.items():
        if not total:
            raise ValueError(f"The store of {name} has no {unit} with a score. Score it again.")
    if rates is not None and (rates.keys() != totals.keys() or not min(rates.values()) > 0):
        found = ", ".join(f"{name}={rate:g}" for name, rate in rates.items())
        raise ValueError(
            f"The mixing rates are {found}. Give one above 0 for each of {', '.join(totals)}."
        )
    return {name: 1.0 if rates is None else rates[name] / total for name, total in totals.items()}


def _passing(
    opened: Mapping[str, _Weighted],
    share: Mapping[str, float],
    amount: float,
    *,
    or_reaching: bool = False,
) -> tuple[float | None, float]:
    """The first score with which the running total passes an amount, and the total before it.

    Args:
      opened: the scores.
      share: what each source's weights count.
      amount: of the total.
      or_reaching: whether it is enough to reach the amount.

    Returns:
      None for the score, where even the last does not.
    """
    # Sums of shares carry rounding errors; those of whole documents and tokens do not.
    if any(value != 1 for value in share.values()):
        amount *= 1 - 1e-9 if or_reaching else 1 + 1e-9
    before, prefix = 0.0, 0
    for digit in (0, 1):
        histogram = sum(_histogram(s, prefix, digit) * share[name] for name, s in opened.items())
        up_to = before + np.cumsum(histogram)
        value = int(np.searchsorted(up_to, amount, side="left" if or_reaching else "right"))
        if value == _DIGIT:
            return None, float(up_to[-1])
        before = float(up_to[value - 1]) if value else before
        prefix = prefix * _DIGIT + value
    return float(unordered(np.array([prefix], np.uint32))[0]), before


def _below(score: float | None) -> float | None:
    return None if score is None else float(np.nextafter(np.float32(score), np.float32(-np.inf)))


def _above(score: float | None) -> float | None:
    return None if score is None else float(np.nextafter(np.float32(score), np.float32(np.inf)))


def _histogram(scores: _Weighted, prefix: int, digit: int) -> np.ndarray:
    """Weights by the upper 16 bits of the key, or by the lower of those with the upper ones given."""
    histogram = np.zeros(_DIGIT, np.int64)
    for key_N, weight_N in scores():
        upper_N, lower_N = key_N >> np.uint32(16), key_N & np.uint32(_DIGIT - 1)
        if digit == 1:
            matches_N = upper_N == prefix
            lower_N, weight_N = lower_N[matches_N], weight_N[matches_N]
        np.add.at(histogram, upper_N if digit == 0 else lower_N, weight_N)
    return histogram

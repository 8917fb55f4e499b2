"""What several rules would keep of one corpus, without writing any."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pruning.accounting import Accounting
from pruning.documents import Unit
from pruning.expression_grammar import parse_expression
from pruning.judged_documents import Judge, Judged
from pruning.kept_scores import KeptScores
from pruning.prepared_units import Where
from pruning.ranked_documents import rank_documents
from pruning.selection import Rule
from pruning.several_stores import SeveralStores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A rule to try.

    Attributes:
      name: as it is shown.
      rule: what to keep.
      score: column or expression to rank by.
      where: documents that may be ranked; all by default.
    """

    name: str
    rule: Rule
    score: str
    where: Where | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a rule keeps.

    Attributes:
      candidate: that was tried.
      counts, groups: as they would stand in selection.json.
      thresholds: scores of the first and the last document kept, if they decide.
      bits: keep bits of all files one after the other, uint8, each file from a new byte.
    """

    candidate: Candidate
    counts: Mapping[str, Any]
    groups: Mapping[str, Mapping[str, Mapping[str, int]]]
    thresholds: Sequence[float | None] | None
    bits: np.ndarray


def try_rule(stores: SeveralStores, candidate: Candidate, by: Sequence[str]) -> Outcome:
    """Finds the cut of a rule and counts what it keeps: the same as `prune select` would.

    Args:
      stores: of the scores.
      candidate: the rule.
      by: carried fields to keep books by.

    Raises:
      ValueError: as `select` does.
    """
    expression = parse_expression(candidate.score, stores.scores)
    ranked = rank_documents(stores, expression, candidate.rule, candidate.where)
    cut = ranked.find_cut(candidate.rule)
    accounting, kept = Accounting(by), KeptScores(cut)
    keep = {path: np.zeros(file.num_rows, bool) for path, file in stores.first.files.items()}
    judge = Judge(ranked=ranked, cut=cut, fields=by)

    def look_at(unit: Unit, table: pa.Table) -> tuple[Unit, Judged | None]:
        return unit, judge(unit, table)

    for unit, judged in stores.each(look_at, judge.places, "count what stays"):
        if judged is None:
            accounting.add_unread(unit.num_rows, "not_sampled")
            continue
        keep[unit.file][unit.first_row :][: unit.num_rows] = judged.keep_N
        judged.enter(accounting, kept)
    return Outcome(
        candidate=candidate,
        thresholds=kept.thresholds,
        bits=np.concatenate([np.packbits(keep_N) for keep_N in keep.values()]),
        **accounting.result(),
    )


def shared(a: Outcome, b: Outcome) -> int:
    """Documents that both keep."""
    return int(np.bitwise_count(a.bits & b.bits).sum(dtype=np.int64))

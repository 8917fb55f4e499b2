"""What several rules would keep of one corpus, without writing any."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pruning.accounting import Accounting
from pruning.expression_grammar import parse_expression
from pruning.kept_scores import KeptScores
from pruning.prepared_units import Where
from pruning.ranked_documents import rank_documents
from pruning.selection import Rule
from pruning.several_stores import Place, SeveralStores


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
    accounting, kept = Accounting([*by]), KeptScores(cut)
    keep = {path: np.zeros(file.num_rows, bool) for path, file in stores.first.files.items()}
    places = {**ranked.places, **_book_places(stores, by)}
    for unit, table in stores.tables(places):
        chunk = ranked.chunk(unit, table)
        keep_N = cut.keeps(chunk)
        keep[unit.file][unit.first_row :][: unit.num_rows] = keep_N
        reasons = {name: table[f"{name} reason"] for name in stores.stores}
        n_bytes_N = pc.coalesce(*(table[f"{name} n_bytes"] for name in stores.stores))
        books = table.append_column("reason", ranked.reasons(unit, table, reasons, chunk.score_N))
        books = books.append_column("n_bytes", n_bytes_N)
        accounting.add(books, keep_N, ~np.isnan(chunk.score_N))
        kept.add(chunk, keep_N)
    return Outcome(
        candidate=candidate,
        thresholds=kept.thresholds,
        bits=np.concatenate([np.packbits(keep_N) for keep_N in keep.values()]),
        **accounting.result(),
    )


def shared(a: Outcome, b: Outcome) -> int:
    """Documents that both keep."""
    return int(np.bitwise_count(a.bits & b.bits).sum(dtype=np.int64))


def _book_places(stores: SeveralStores, by: Sequence[str]) -> dict[str, Place]:
    facts = ("reason", "n_bytes")
    return {
        **{f"{name} {fact}": Place(name, fact) for name in stores.stores for fact in facts},
        "n_tokens": Place(stores.with_tokens, "n_tokens"),
        **{field: stores.fields[field] for field in by},
    }

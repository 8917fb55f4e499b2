"""From score stores to a selection folder: rank, cut, keep bits, books."""

import collections
import dataclasses
import functools
import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import pruning
from pruning.accounting import Accounting
from pruning.documents import SourceFile, Unit
from pruning.expression_grammar import parse_expression
from pruning.expressions import Expression
from pruning.judged_documents import Judge, Judged
from pruning.keep_bits import GUARD_ROWS, Selection, write_selection
from pruning.kept_scores import KeptScores
from pruning.prepared_units import Where
from pruning.ranked_documents import rank_documents
from pruning.score_store import ScoreStore
from pruning.selection import Rule
from pruning.several_stores import Place, SeveralStores, one_text_hash
from pruning.store_digests import digest, manifest_digest, text_hashes_digest
from pruning.training_plan import training_plan


def select(
    stores: ScoreStore | Mapping[str, ScoreStore],
    output: str | os.PathLike,
    *,
    rule: Rule,
    score: str | None = None,
    by: list[str] | None = None,
    partial: bool = False,
    where: Where | None = None,
    training_tokens: int | None = None,
    together: Mapping[str, Any] | None = None,
) -> Selection:
    """Applies a rule to a score column, or an expression of several, and writes the keep bits.

    Args:
      stores: of the scores; several of one source by name, one of them may be "".
      output: folder of the selection; must not exist.
      rule: what to keep.
      score: column, or expression of columns, to rank by; the only store's main column by
        default. Documents whose numbers give an expression no finite value are dropped as
        `undefined`.
      by: carried fields to keep books by; by default `domain`, and the rule's `per`, if
        they are carried.
      partial: take stores that are not complete. Rows without a unit are dropped
        as `not_sampled`.
      where: only these documents are ranked and counted; the others are dropped as `excluded`.
      training_tokens: that a run on the selection will see; its epochs are recorded.
      together: how the rule's threshold was found over several sources, to be recorded.

    Raises:
      ValueError: no such column or field, no expression, a store that is not complete or of
        another source or other texts, or a budget above what is there.
    """
    several = SeveralStores({"": stores} if isinstance(stores, ScoreStore) else stores)
    expression = _expression(several, score)
    by = _book_fields(several, rule, by)
    if not partial:
        several.check_complete()
    ranked = rank_documents(several, expression, rule, where)
    cut = ranked.find_cut(rule)
    judge = Judge(ranked=ranked, cut=cut, fields=by)
    accounting, kept = Accounting(by), KeptScores(cut)
    text_hashes: dict[str, list[str | None]] = {}

    def info() -> dict[str, Any]:
        books = accounting.result()
        return {
            "code_version": pruning.__version__,
            "rule": dataclasses.asdict(rule),
            "score": ranked.expression.text,
            "corpus": {text: f.describe() for text, f in ranked.expression.fitted.items()},
            "thresholds": kept.thresholds,
            **({"together": dict(together)} if together else {}),
            "per_group": kept.by_group,
            "where": where.describe() if where else None,
            "plan": training_plan(training_tokens, books["counts"]),
            "stores": [_describe(name, several) for name in several.stores],
            **books,
            "unit_rows": several.first.manifest["unit_rows"],
            "text_hashes": text_hashes,
        }

    return write_selection(
        output,
        files=_kept_files(judge, accounting, kept, text_hashes),
        source=several.first.manifest["source"],
        info=info,
    )


def _expression(stores: SeveralStores, score: str | None) -> Expression:
    if not stores.scores:
        raise ValueError(
            f"{stores.first.folder} has no column of one number a document to rank by."
        )
    if score is None and len(stores.stores) > 1:
        raise ValueError(
            f"Several stores need --score: an expression of {', '.join(stores.scores)}."
        )
    return parse_expression(score or next(iter(stores.scores)), stores.scores)


def _book_fields(stores: SeveralStores, rule: Rule, by: list[str] | None) -> list[str]:
    if by is None:
        return [f for f in dict.fromkeys(("domain", rule.per)) if f in stores.fields]
    for field in by:
        if field not in stores.fields:
            known = ", ".join(stores.fields) or "none"
            raise ValueError(f"The store has no field {field!r}; it has {known}.")
    return by


def _describe(name: str, stores: SeveralStores) -> dict[str, Any]:
    store = stores.stores[name]
    return {
        **({"name": name} if name else {}),
        "path": os.fspath(store.folder.resolve()),
        "manifest": manifest_digest(store),
        "digest": digest(store, stores.there[name]),
    }


def _kept_files(
    judge: Judge,
    accounting: Accounting,
    kept: KeptScores,
    text_hashes: dict[str, list[str | None]],
) -> Iterator[tuple[SourceFile, np.ndarray, Mapping[int, int]]]:
    """Keep bits and guards of each file; fills the books and the digests of text hashes."""
    stores = judge.ranked.stores
    num_units = collections.Counter(unit.file for unit in stores.first.units)
    hashes = {_hash_of(name): Place(name, "text_hash") for name in stores.stores}
    look = functools.partial(_look_at, judge)
    looked_at = stores.each(look, {**judge.places, **hashes}, "write keep bits")
    for path, file in stores.first.files.items():
        keep_N, text_hashes[path] = np.zeros(file.num_rows, bool), []
        guards: dict[int, int] = {}
        for unit, found in itertools.islice(looked_at, num_units[path]):
            if found is None:
                accounting.add_unread(unit.num_rows, "not_sampled")
                text_hashes[path].append(None)
                continue
            keep_N[unit.first_row :][: unit.num_rows] = found.judged.keep_N
            found.judged.enter(accounting, kept)
            text_hashes[path].append(found.text_hashes)
            guards = guards or _guards(unit, found.text_hash_N)
        yield file, keep_N, guards


class _Unit(NamedTuple):
    """What is made of a unit, on a thread.

    Attributes:
      judged: its keep bits.
      text_hash_N: of the rows.
      text_hashes: digest of all of them; None where a store has not all rows.
    """

    judged: Judged
    text_hash_N: pa.ChunkedArray
    text_hashes: str | None


def _look_at(judge: Judge, unit: Unit, table: pa.Table) -> tuple[Unit, _Unit | None]:
    judged = judge(unit, table)
    if judged is None:
        return unit, None
    stores = judge.ranked.stores.stores
    hash_N = one_text_hash(unit, {name: table[_hash_of(name)] for name in stores})
    text_hashes = text_hashes_digest(hash_N) if judged.is_whole else None
    return unit, _Unit(judged, hash_N, text_hashes)


def _hash_of(store: str) -> str:
    return f"{store} text_hash"


def _guards(unit: Unit, text_hash_N: pa.ChunkedArray) -> dict[int, int]:
    """Text hashes of some rows from the first one on that has a text."""
    has_text_N = pc.is_valid(text_hash_N).to_numpy()
    if not has_text_N.any():
        return {}
    candidates = int(has_text_N.argmax()) + np.array(GUARD_ROWS)
    chosen = [i for i in candidates if i < unit.num_rows and has_text_N[i]]
    return {int(unit.first_row + i): text_hash_N[int(i)].as_py() for i in chosen}

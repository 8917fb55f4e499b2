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
from pruning.cuts import Cut
from pruning.documents import SourceFile, Unit
from pruning.expression_grammar import parse_expression
from pruning.expressions import Expression
from pruning.keep_bits import GUARD_ROWS, Selection, write_selection
from pruning.kept_scores import KeptScores
from pruning.prepared_units import Where
from pruning.ranked_documents import RankedDocuments, rank_documents
from pruning.ranking import Chunk
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
            "stores": [_describe(name, store) for name, store in several.stores.items()],
            **books,
            "unit_rows": several.first.manifest["unit_rows"],
            "text_hashes": text_hashes,
        }

    return write_selection(
        output,
        files=_kept_files(ranked, cut, accounting, kept, text_hashes),
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


def _describe(name: str, store: ScoreStore) -> dict[str, Any]:
    return {
        **({"name": name} if name else {}),
        "path": os.fspath(store.folder.resolve()),
        "manifest": manifest_digest(store),
        "digest": digest(store),
    }


def _kept_files(
    ranked: RankedDocuments,
    cut: Cut,
    accounting: Accounting,
    kept: KeptScores,
    text_hashes: dict[str, list[str | None]],
) -> Iterator[tuple[SourceFile, np.ndarray, Mapping[int, int]]]:
    """Keep bits and guards of each file; fills the books and the digests of text hashes."""
    stores = ranked.stores
    num_units = collections.Counter(unit.file for unit in stores.first.units)
    places = {**ranked.places, **_book_places(stores, accounting.fields)}
    look = functools.partial(_look_at, ranked, cut)
    looked_at = stores.each(look, places, "write keep bits")
    for path, file in stores.first.files.items():
        keep_N, text_hashes[path] = np.zeros(file.num_rows, bool), []
        guards: dict[int, int] = {}
        for unit, found in itertools.islice(looked_at, num_units[path]):
            if found is None:
                accounting.add_unread(unit.num_rows, "not_sampled")
                text_hashes[path].append(None)
                continue
            keep_N[unit.first_row :][: unit.num_rows] = found.keep_N
            accounting.add(found.books, found.keep_N, ~np.isnan(found.chunk.score_N))
            kept.add(found.chunk, found.keep_N)
            text_hashes[path].append(found.text_hashes)
            guards = guards or _guards(unit, found.text_hash_N)
        yield file, keep_N, guards


class _Unit(NamedTuple):
    """What is made of a unit, on a thread.

    Attributes:
      chunk: what was ranked.
      keep_N: the keep bits.
      books: what is counted.
      text_hash_N: of the rows.
      text_hashes: digest of all of them; None where a store has not all rows.
    """

    chunk: Chunk
    keep_N: np.ndarray
    books: pa.Table
    text_hash_N: pa.ChunkedArray
    text_hashes: str | None


def _look_at(
    ranked: RankedDocuments, cut: Cut, unit: Unit, table: pa.Table
) -> tuple[Unit, _Unit | None]:
    """Keep bits, books and hashes of a unit; None where no store has it."""
    stores = ranked.stores
    reasons = {name: table[f"{name} reason"] for name in stores.stores}
    unread_N = np.logical_and.reduce([_is_unread(reason_N) for reason_N in reasons.values()])
    if unread_N.all():
        return unit, None
    chunk = ranked.chunk(unit, table)
    hash_N = one_text_hash(unit, {name: table[f"{name} text_hash"] for name in stores.stores})
    return unit, _Unit(
        chunk=chunk,
        keep_N=cut.keeps(chunk),
        books=_books(ranked, unit, table, reasons, chunk.score_N),
        text_hash_N=hash_N,
        text_hashes=None if unread_N.any() else text_hashes_digest(hash_N),
    )


def _is_unread(reason_N: pa.ChunkedArray) -> np.ndarray:
    if reason_N.null_count == len(reason_N):
        return np.zeros(len(reason_N), bool)
    return pc.fill_null(pc.equal(reason_N, "not_sampled"), False).to_numpy()


def _books(
    ranked: RankedDocuments,
    unit: Unit,
    table: pa.Table,
    reasons: dict[str, pa.ChunkedArray],
    score_N: np.ndarray,
) -> pa.Table:
    """The table with the size of each text and why it is not ranked."""
    n_bytes_N, *of_others = (table[f"{name} n_bytes"] for name in ranked.stores.stores)
    if of_others:
        n_bytes_N = pc.coalesce(n_bytes_N, *of_others)
    return table.append_column("n_bytes", n_bytes_N).append_column(
        "reason", ranked.reasons(unit, table, reasons, score_N)
    )


def _book_places(stores: SeveralStores, fields: list[str]) -> dict[str, Place]:
    """What the books and the guards read, beside what is ranked."""
    facts = {
        f"{name} {fact}": Place(name, fact)
        for name in stores.stores
        for fact in ("reason", "text_hash", "n_bytes")
    }
    tokens = {"n_tokens": Place(stores.with_tokens, "n_tokens")}
    return {**facts, **tokens, **{field: stores.fields[field] for field in fields}}


def _guards(unit: Unit, text_hash_N: pa.ChunkedArray) -> dict[int, int]:
    """Text hashes of some rows from the first one on that has a text."""
    has_text_N = pc.is_valid(text_hash_N).to_numpy()
    if not has_text_N.any():
        return {}
    candidates = int(has_text_N.argmax()) + np.array(GUARD_ROWS)
    chosen = [i for i in candidates if i < unit.num_rows and has_text_N[i]]
    return {int(unit.first_row + i): text_hash_N[int(i)].as_py() for i in chosen}

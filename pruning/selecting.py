"""From score stores to a selection folder: rank, cut, keep bits, books."""

import collections
import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import pruning
from pruning.accounting import Accounting
from pruning.cuts import Cut, find_cut
from pruning.documents import SourceFile, Unit
from pruning.expression_grammar import parse_expression
from pruning.expressions import Expression
from pruning.keep_bits import GUARD_ROWS, Selection, write_selection
from pruning.kept_scores import KeptScores
from pruning.prepared_units import Where
from pruning.ranked_documents import RankedDocuments, rank_documents
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
    cut = find_cut(rule, ranked.chunks(), ranked.groups.names if ranked.groups else ("",))
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
    tables = stores.tables(places, "write keep bits")
    for path, file in stores.first.files.items():
        keep_N, text_hashes[path] = np.zeros(file.num_rows, bool), []
        guards: dict[int, int] = {}
        for unit, table in itertools.islice(tables, num_units[path]):
            reasons = {name: table[f"{name} reason"] for name in stores.stores}
            unread_N = np.logical_and.reduce(
                [
                    pc.fill_null(pc.equal(reason_N, "not_sampled"), False).to_numpy()
                    for reason_N in reasons.values()
                ]
            )
            if unread_N.all():
                accounting.add_unread(unit.num_rows, "not_sampled")
                text_hashes[path].append(None)
                continue
            chunk = ranked.chunk(unit, table)
            kept_N = cut.keeps(chunk)
            keep_N[unit.first_row :][: unit.num_rows] = kept_N
            hash_N = _one_text_hash(unit, table, stores)
            accounting.add(_books(ranked, unit, table, reasons), kept_N, ~np.isnan(chunk.score_N))
            kept.add(chunk, kept_N)
            text_hashes[path].append(None if unread_N.any() else text_hashes_digest(hash_N))
            guards = guards or _guards(unit, hash_N)
        yield file, keep_N, guards


def _one_text_hash(unit: Unit, table: pa.Table, stores: SeveralStores) -> pa.ChunkedArray:
    return one_text_hash(unit, {name: table[f"{name} text_hash"] for name in stores.stores})


def _books(
    ranked: RankedDocuments, unit: Unit, table: pa.Table, reasons: dict[str, pa.ChunkedArray]
) -> pa.Table:
    """The table with the size of each text and why it is not ranked."""
    n_bytes_N = pc.coalesce(*(table[f"{name} n_bytes"] for name in ranked.stores.stores))
    return table.append_column("n_bytes", n_bytes_N).append_column(
        "reason", ranked.reasons(unit, table, reasons)
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

"""What a report looks at: the documents of a source with all that its stores say of them."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pruning.corpus_statistics import fit_expression
from pruning.documents import Unit
from pruning.expression_grammar import parse_expression
from pruning.expressions import Expression
from pruning.keep_bits import Selection
from pruning.score_store import ScoreStore
from pruning.several_stores import Place, SeveralStores
from pruning.store_digests import manifest_digest

TOKENS, BYTES, HASH, SCORED = "n_tokens", "n_bytes", "text_hash", "(scored)"

_COMPUTED = {"unit": "none", "keeps": "unknown", "meaning": "computed from the scores"}


@dataclasses.dataclass(frozen=True)
class ScoredCorpus:
    """Score stores of one source as one table.

    Attributes:
      stores: by name; an only store has the name "".
      expressions: columns that are computed when read, by name.
    """

    stores: SeveralStores
    expressions: Mapping[str, Expression] = dataclasses.field(default_factory=dict)

    @property
    def score_columns(self) -> dict[str, dict[str, str]]:
        """Name, unit, keeps and meaning of each score; those of expressions follow."""
        stored = {
            name: {**self.stores.stores[place.store].score_columns[place.column], "name": name}
            for name, place in self.stores.scores.items()
        }
        return stored | {name: {"name": name, **_COMPUTED} for name in self.expressions}

    @property
    def main_columns(self) -> list[str]:
        """The first score of every store, then the other stored ones."""
        first: dict[str, str] = {}
        for name, place in self.stores.scores.items():
            first.setdefault(place.store, name)
        return [*dict.fromkeys([*first.values(), *self.stores.scores])]

    @property
    def fields(self) -> list[str]:
        """Names of the carried fields, without those of their stores."""
        return [*dict.fromkeys(place.column for place in self.stores.fields.values())]

    @property
    def has_tokens(self) -> bool:
        store = self.stores.stores[self.stores.with_tokens]
        return bool(store.manifest.get("vocabulary"))

    def with_scores(self, scores: Iterable[str]) -> "ScoredCorpus":
        """This corpus with more score columns, named by the expressions that they are."""
        made = dict(self.expressions)
        for text in scores:
            if text not in self.stores.scores and text not in made:
                made[text] = self._fit(parse_expression(text, self.stores.scores))
        return dataclasses.replace(self, expressions=made)

    def score_of(self, selection: Selection) -> str | None:
        """What a selection ranked by, in the names of these stores; None where they cannot tell."""
        info = selection.info
        if info.get("corpus") and info.get("where"):
            return None  # ranks among documents that only the selection's --where knows
        ours = {manifest_digest(store): name for name, store in self.stores.stores.items()}
        theirs = {stored.get("name", ""): stored["manifest"] for stored in info["stores"]}
        if not theirs or any(manifest not in ours for manifest in theirs.values()):
            return None
        found = {name: self.stores.stores[ours[m]] for name, m in theirs.items()}
        places = SeveralStores(found).scores
        names = {place: name for name, place in reversed(self.stores.scores.items())}
        text = info["score"]
        for column in parse_expression(text, places).columns:
            place = places[column]
            name = names[Place(ours[theirs[place.store]], place.column)]
            # Marked, so that a name put in is not taken for one to replace.
            text = re.sub(rf"(?<![\w.\0]){re.escape(column)}(?![\w.])", f"\0{name}", text)
        return text.replace("\0", "")

    def tables(
        self, columns: Sequence[str], what: str = "read scores"
    ) -> Iterator[tuple[Unit, pa.Table]]:
        """Some columns of all documents, unit by unit; units that no store has are left out.

        Args:
          columns: scores, fields, `n_tokens` (0 where there is no score), `n_bytes`, `text_hash`,
            and `(scored)`: some store has a score.
          what: is being done, for the progress.
        """
        columns = [*dict.fromkeys(columns)]
        places = dict(p for name in columns for p in self._places(name).items())
        if not places:
            places = self._places(TOKENS)
        for unit, table in self.stores.tables(places, what):
            if self._is_there(unit):
                yield unit, pa.table({name: self._column(name, table) for name in columns})

    def _places(self, name: str) -> dict[str, Place]:
        if name in self.expressions:
            return {c: self.stores.scores[c] for c in self.expressions[name].columns}
        if name == TOKENS:
            return {TOKENS: Place(self.stores.with_tokens, TOKENS)}
        fact = {HASH: HASH, BYTES: BYTES, SCORED: "reason"}.get(name)
        if fact is not None:
            return {f"{fact} of {store}": Place(store, fact) for store in self.stores.stores}
        return {name: self.stores.scores.get(name) or self.stores.fields[name]}

    def _column(self, name: str, table: pa.Table) -> pa.ChunkedArray | pa.Array:
        if name in self.expressions:
            inputs = {c: table[c].to_numpy() for c in self.expressions[name].columns}
            return pa.array(self.expressions[name](inputs))
        if name == TOKENS:
            return pc.fill_null(table[TOKENS], 0)
        if name in (HASH, BYTES, SCORED):
            of_stores = [table[place] for place in self._places(name)]
            if name == SCORED:
                has_N = [pc.is_null(reason).to_numpy() for reason in of_stores]
                return pa.array(np.logical_or.reduce(has_N))
            return pc.coalesce(*of_stores)
        return table[name]

    def _is_there(self, unit: Unit) -> bool:
        """Whether some store has some of its rows."""
        end = unit.first_row + unit.num_rows
        for store in self.stores.stores.values():
            step, rows = store.manifest["unit_rows"], store.files[unit.file].num_rows
            firsts = range(unit.first_row - unit.first_row % step, end, step)
            if any(store.path(Unit(unit.file, f, min(step, rows - f))).exists() for f in firsts):
                return True
        return False

    def _fit(self, expression: Expression) -> Expression:
        def inputs() -> Iterator[dict[str, np.ndarray]]:
            for _, table in self.tables(expression.columns):
                yield {name: table[name].to_numpy() for name in expression.columns}

        return fit_expression(expression, inputs, self.stores.num_rows)


def see(stores: Mapping[str, ScoreStore]) -> ScoredCorpus:
    """The documents of some stores; those with scores first, for they have the facts that count."""
    if len(stores) == 1:
        return ScoredCorpus(SeveralStores({"": next(iter(stores.values()))}))
    ordered = sorted(stores.items(), key=lambda item: not item[1].score_columns)
    return ScoredCorpus(SeveralStores(dict(ordered)))

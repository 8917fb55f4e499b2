"""A seeded sample of the scored documents: the same for any order and any cut into units."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pruning.hashing import id_hash
from pruning.report.options import SAMPLE
from pruning.report.scored_corpus import HASH, SCORED, TOKENS, ScoredCorpus

FILE, ROW, PLACE = "(file)", "(row)", "(hash)"


def take_sample(
    corpus: ScoredCorpus, columns: Sequence[str], *, size: int = SAMPLE, seed: int = 0
) -> pa.Table:
    """The documents that come first by hash(id, seed), in that order.

    Args:
      corpus: of the scores; documents without any score are left out.
      columns: to carry, beside `(file)`, `(row)`, `n_tokens`, `text_hash` and `(hash)`.
      size: documents at most.
      seed: of the sample; a larger one contains a smaller one.
    """
    parts: list[pa.Table] = []
    held, limit = 0, np.iinfo(np.uint64).max
    columns = [*dict.fromkeys([*columns, SCORED, HASH, TOKENS])]
    for unit, table in corpus.tables(columns, "draw a sample"):
        row_N = unit.first_row + np.arange(unit.num_rows)
        hash_N = id_hash(unit.file, row_N, seed)
        wanted_N = np.flatnonzero((hash_N <= limit) & table[SCORED].to_numpy())
        if not len(wanted_N):
            continue
        file_N = pa.array([unit.file]).dictionary_encode().take(pa.array([0] * len(wanted_N)))
        part = table.take(wanted_N).append_column(FILE, file_N.cast(pa.string()))
        part = part.append_column(ROW, pa.array(row_N[wanted_N]))
        parts.append(part.append_column(PLACE, pa.array(hash_N[wanted_N])))
        held += len(wanted_N)
        if held > 2 * size:
            parts = [_first(parts, size)]
            held, limit = size, parts[0][PLACE][-1].as_py()
    return _first(parts, size) if parts else pa.table({name: [] for name in [*columns, FILE, ROW]})


def _first(parts: Sequence[pa.Table], size: int) -> pa.Table:
    table = pa.concat_tables(parts)
    order_N = np.argsort(table[PLACE].to_numpy(), kind="stable")[:size]
    return table.take(order_N)

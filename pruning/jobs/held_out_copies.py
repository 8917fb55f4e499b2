"""Held-out texts that also stand in the pool, word for word: a model may have read them."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pruning.jobs.experiment_setting import Setting


def is_in_pool(setting: "Setting", text_hash_I: np.ndarray) -> np.ndarray:
    """Whether some document of the pool has the same text.

    Documents are held out by their id, and web text repeats itself. Texts that differ in a
    character are not found.

    Args:
      setting: of the experiment, whose splits are made.
      text_hash_I: int64, of held-out documents.

    Returns:
      bool [I].
    """
    from pruning.keep_bits import read_selection
    from pruning.prepared_units import Where
    from pruning.score_store import open_store
    from pruning.several_stores import Place, SeveralStores
    from pruning.sorted_lookup import find

    pool = Where(read_selection(setting.pool))
    stores = SeveralStores({"": open_store(setting.path("splits", "random"))})
    sought = np.unique(text_hash_I)
    is_there = np.zeros(len(sought), bool)
    hashes = {"text_hash": Place("", "text_hash")}
    for unit, table in stores.tables(hashes, "look for copies"):
        kept_N = table["text_hash"].filter(pool.rows(unit)).drop_null().to_numpy()
        at_N = find(sought, kept_N)
        is_there[at_N[at_N >= 0]] = True
    return is_there[find(sought, text_hash_I)]

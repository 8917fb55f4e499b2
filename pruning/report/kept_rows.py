"""The keep bits of a selection unit by unit, packed while they wait."""

import functools
from collections.abc import Callable

import numpy as np

from pruning.documents import Unit
from pruning.keep_bits import Selection


def kept_rows(selection: Selection) -> Callable[[Unit], np.ndarray]:
    """Keep bits by unit, bool [num_rows]; a file's bits are read once for all its units."""

    @functools.lru_cache(maxsize=1)
    def packed(file: str) -> np.ndarray:
        return np.packbits(selection.keep(file), bitorder="little")

    def rows(unit: Unit) -> np.ndarray:
        first = unit.first_row // 8
        end = unit.first_row + unit.num_rows
        bits = np.unpackbits(packed(unit.file)[first : -(-end // 8)], bitorder="little")
        return bits[unit.first_row - 8 * first :][: unit.num_rows].astype(bool)

    return rows

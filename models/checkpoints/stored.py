"""Arrays of a checkpoint that have not been read yet."""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """One array as it lies on disk.

    Attributes:
        shape: Of the array.
        dtype: As stored; bfloat16 is `ml_dtypes.bfloat16`.
        read: Reads it, whole, into host memory.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


# By path in the tree of t5x's `examples/t5`, e.g. `encoder/layers_0/attention/query/kernel`.
StoredParams = dict[str, StoredArray]

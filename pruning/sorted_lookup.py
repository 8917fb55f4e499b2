"""Looking up many keys at once in a sorted array."""

import numpy as np


def find(keys: np.ndarray, wanted_N: np.ndarray) -> np.ndarray:
    """Where each wanted key stands.

    Args:
      keys: rising; of equal ones the first is found.
      wanted_N: of the same type.

    Returns:
      int64 [N]: indices into `keys`, -1 for what is not there.

    >>> find(np.array([2, 3, 5]), np.array([5, 4, 2])).tolist()
    [2, -1, 0]
    """
    at_N = np.searchsorted(keys, wanted_N)
    is_inside_N = at_N < len(keys)
    is_found_N = is_inside_N.copy()
    is_found_N[is_inside_N] = keys[at_N[is_inside_N]] == wanted_N[is_inside_N]
    return np.where(is_found_N, at_N, -1)

"""How well a score tells two sets of documents apart."""

import numpy as np


def auc(positive_N: np.ndarray, negative_N: np.ndarray) -> float:
    """Area under the ROC curve, exactly, from ranks.

    The probability that a random positive has a higher score than a random
    negative, ties counting one half: 1 and 0 are perfect separation, 0.5 is none.

    Args:
      positive_N, negative_N: scores of the two sets, of any lengths. NaN is left out.

    Returns:
      In [0, 1]; NaN where one of the sets is empty.
    """
    positive_N = np.asarray(positive_N)
    positive_N = positive_N[~np.isnan(positive_N)]
    sorted_N = np.sort(np.asarray(negative_N))  # NaN goes last
    sorted_N = sorted_N[: len(sorted_N) - np.isnan(sorted_N).sum()]
    pairs = len(positive_N) * len(sorted_N)
    if not pairs:
        return float("nan")
    below = np.searchsorted(sorted_N, positive_N, "left").sum(dtype=np.int64)
    up_to = np.searchsorted(sorted_N, positive_N, "right").sum(dtype=np.int64)
    return int(below + up_to) / (2 * pairs)

"""Sampling without replacement as a ranking: Gumbel top-k.

The k documents with the highest log weight + Gumbel noise are a draw of k without
replacement, each in proportion to the weights of those that are left. The noise is a
function of hash(id, seed), so a draw is the same in any order and any cut into units,
and a larger one with the same seed contains the smaller.

DSIR and QuRating draw so. "How to Train Data-Efficient LLMs" Algorithm 2 prints the
weights of its density sampler as S / sum(S); section 3.3 and Theorem A.2 mean the
inverse, which is `inverse` here.
"""

import numpy as np

from pruning.documents import DocumentId
from pruning.hashing import id_hash
from pruning.selection import Rule

# The largest float64 below 1.
_BELOW_ONE = np.nextafter(1.0, 0.0)


def drawn_scores(rule: Rule, file: str, rows_N: np.ndarray, score_N: np.ndarray) -> np.ndarray:
    """Log weight plus noise: the documents with the highest are the sample.

    Args:
      rule: says which weights, and the seed.
      file: path of the documents' file.
      rows_N: their rows.
      score_N: float64, none of them NaN.

    Returns:
      float64 [N].

    Raises:
      ValueError: a weight 1 / score or score of no positive number.
    """
    noise_N = gumbel_noise(file, rows_N, rule.seed)
    if rule.weights == "softmax":
        return score_N / (rule.temperature or 1.0) + noise_N
    if not (score_N > 0).all():
        i = int(np.argmin(score_N > 0))
        raise ValueError(
            f"--weights {rule.weights} takes scores above 0, but {DocumentId(file, int(rows_N[i]))} "
            f"has {score_N[i]:g}. Rank by an expression that is positive, such as --score "
            "'exp(COLUMN)' for a logarithm, or 'maximum(COLUMN, 1e-6)'."
        )
    sign = -1 if rule.weights == "inverse" else 1
    return sign * np.log(score_N) + noise_N


def gumbel_noise(file: str, rows_N: np.ndarray, seed: int) -> np.ndarray:
    """Standard Gumbel noise of each document, float64 [N], from all 64 bits of hash(id, seed).

    -log(E) with E = -log(1 - u) exponential: the high end, which decides what is drawn,
    comes from small u, where a float is finest.
    """
    uniform_N = (id_hash(file, rows_N, seed).astype(np.float64) + 0.5) * 2.0**-64
    return -np.log(-np.log1p(-np.minimum(uniform_N, _BELOW_ONE)))

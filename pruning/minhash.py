"""Which documents share most of their word n-grams, by MinHash signatures.

Signatures, and how they are cut into bands, are datasketch's. Its index of Python
dictionaries takes kilobytes a document; here every band is sorted instead, which gives the
same candidates from arrays alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse.csgraph

from pruning.hashed_ngrams import ngram_hashes
from pruning.hashing import splitmix64

# Fixed, not datasketch's default: signatures outlive its versions.
_SCHEME = "affine32"
_INSTALL = "pip install 't5x-pruning[near-duplicates]'."
_LOW_BITS = np.uint64(0xFFFFFFFF)


def datasketch() -> Any:
    """The library.

    Raises:
      ImportError: it is not installed, or too old.
    """
    try:
        import datasketch
    except ImportError as error:
        raise ImportError(
            f"near_duplicates needs datasketch, which is missing: {_INSTALL}"
        ) from error
    if int(datasketch.__version__.partition(".")[0]) < 2:
        raise ImportError(
            f"near_duplicates needs datasketch 2 or later, and {datasketch.__version__} is installed: "
            f"{_INSTALL}"
        )
    return datasketch


def signatures(texts: Sequence[str], *, ngram: int, num_perm: int, seed: int) -> np.ndarray:
    """MinHash signatures of the sets of word n-grams, uint32 [N, num_perm].

    A text of fewer than `ngram` words is the one n-gram of all its words.
    """
    signature_NM = np.empty((len(texts), num_perm), np.uint32)
    sets = (_shingles(text, ngram) for text in texts)
    options = {"num_perm": num_perm, "seed": seed, "scheme": _SCHEME, "hashfunc": int}
    for i, minhash in enumerate(datasketch().MinHash.generator(sets, **options)):
        signature_NM[i] = minhash.hashvalues
    return signature_NM


def _shingles(text: str, n: int) -> list[int]:
    """Their hashes, 32 bits each as datasketch takes them."""
    longest = next(hash_W for hash_W in reversed(ngram_hashes(text, n)) if len(hash_W))
    return (np.unique(longest) & _LOW_BITS).tolist()


def bands(threshold: float, num_perm: int) -> tuple[int, int]:
    """How many bands a signature is cut into, and the places of each, as datasketch chooses.

    Raises:
      ValueError: it finds no such bands, as for a threshold near 1.
    """
    try:
        index = datasketch().MinHashLSH(threshold=threshold, num_perm=num_perm)
    except ValueError as error:
        raise ValueError(
            f"Signatures of num_perm={num_perm} cannot find a similarity of threshold={threshold}: "
            f"{str(error).rstrip('.')}. Lower the threshold, or give more permutations; for equal "
            "texts there is the scorer duplicates."
        ) from error
    return index.b, index.r


def groups(signature_NM: np.ndarray, threshold: float) -> np.ndarray:
    """Connected components of documents whose estimated Jaccard similarity reaches the threshold.

    Two documents are compared if one of their bands is equal; datasketch chooses the bands
    so that few pairs above the threshold are missed and few below it compared. The
    estimate is the share of equal places of two signatures.

    Args:
      signature_NM: uint32.
      threshold: in (0, 1].

    Returns:
      The number of its group for every document, int32 [N].
    """
    n, num_perm = signature_NM.shape
    num_bands, width = bands(threshold, num_perm)
    edges = [np.zeros((2, 0), np.int64)]
    for first in range(0, num_bands * width, width):
        for rows in _equal_rows(signature_NM[:, first : first + width]):
            edges.extend(_edges(signature_NM, rows, threshold))
    left, right = np.concatenate(edges, axis=1)
    graph = scipy.sparse.coo_array((np.ones(len(left), bool), (left, right)), shape=(n, n))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _equal_rows(band_NR: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of rows that are equal, for every row that occurs twice."""
    key_N = np.zeros(len(band_NR), np.uint64)
    for value_N in band_NR.T:
        key_N = splitmix64(key_N ^ value_N)
    order_N = np.argsort(key_N, kind="stable")
    ends = np.flatnonzero(np.diff(key_N[order_N])) + 1
    starts = np.concatenate([[0], ends])
    ends = np.concatenate([ends, [len(key_N)]])
    for i in np.flatnonzero(ends - starts > 1):
        yield order_N[starts[i] : ends[i]]


def _edges(signature_NM: np.ndarray, rows: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """Pairs of rows that are similar: as many as connect what all similar pairs connect.

    What has been reached is compared with what has not, so that a large group of copies
    takes one comparison a copy, and not one a pair.
    """
    unreached = rows
    reached: list[int] = []
    while len(unreached) > 1 or (reached and len(unreached)):
        if reached:
            row = reached.pop()
        else:
            row, unreached = unreached[0], unreached[1:]
        similarity = (signature_NM[unreached] == signature_NM[row]).mean(axis=1)
        is_similar = similarity >= threshold
        similar, unreached = unreached[is_similar], unreached[~is_similar]
        reached.extend(similar.tolist())
        yield np.stack([np.full(len(similar), row), similar])

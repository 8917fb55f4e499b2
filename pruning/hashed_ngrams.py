"""Word n-grams of a text as 64-bit hashes: no vocabulary, and the same on every machine.

A word is a run of letters, digits and underscores, or a run of other characters that are
not white space, of the lower-cased text: what NLTK calls WordPunct, as DSIR cuts text.
Scripts without spaces give long words, one for each run between punctuation.
"""

import re
from collections.abc import Sequence

import farmhash
import numpy as np

from pruning.hashing import splitmix64

_WORD = re.compile(r"\w+|[^\w\s]+")


def words(text: str) -> list[str]:
    """The words of a text, at least one unless it is empty or white space only.

    >>> words("Isn't it 3.5 %?")
    ['isn', "'", 't', 'it', '3', '.', '5', '%?']
    """
    return _WORD.findall(text.lower())


def ngram_hashes(text: str, n: int) -> list[np.ndarray]:
    """Hashes of a text's 1-grams, 2-grams, ... n-grams, in the order of the text.

    A word's is FarmHash Fingerprint64 of its UTF-8. That of more words is
    splitmix64(hash of all but the last) + hash of the last, modulo 2**64.

    Returns:
      n arrays, uint64 [W], [W - 1], ...; empty where the text has too few words.
    """
    word_W = np.fromiter(map(farmhash.fingerprint64, words(text)), np.uint64)
    hashes = [word_W]
    for length in range(2, n + 1):
        before = hashes[-1][: max(len(word_W) - length + 1, 0)]
        hashes.append(splitmix64(before) + word_W[length - 1 :])
    return hashes


def ngram_buckets(text: str, n: int, num_buckets: int) -> np.ndarray:
    """Buckets of all 1-grams to n-grams of a text: hash modulo `num_buckets`, int64 [W]."""
    return (np.concatenate(ngram_hashes(text, n)) % np.uint64(num_buckets)).astype(np.int64)


def count_ngrams(texts: Sequence[str], n: int, num_buckets: int) -> np.ndarray:
    """How often each bucket occurs in all texts together, int64 [num_buckets]."""
    count_V = np.zeros(num_buckets, np.int64)
    for text in texts:
        np.add.at(count_V, ngram_buckets(text, n, num_buckets), 1)
    return count_V

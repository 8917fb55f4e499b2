"""Pairs of a held-out text as it is and damaged: does the model prefer the intact one?"""

import itertools
import json
import random
from collections.abc import Iterable, Iterator

import numpy as np

from pruning.experiments.statistics import credit
from pruning.hashing import id_hash
from pruning.sources.damage import DAMAGE_FIELD, DAMAGES, INTACT

# Ways to damage that keep every character: a text that is cut or repeats itself is easier to
# predict by its nature.
KINDS = ("words_shuffled", "characters_swapped")
# Of longer texts, any model tells all damage.
_CHARACTERS = 200
_LEAST_CHARACTERS = 100
CATEGORY = "minimal_pairs"


def pair_lines(texts: Iterable[str], number: int, seed: int) -> Iterator[str]:
    """JSON Lines of pairs: an intact text, then the same one damaged, kind by kind.

    Texts that are too short, or that the damage does not change, are passed over.

    Args:
      texts: intact ones, in an order that is already drawn.
      number: of pairs of each kind.
      seed: of the damage.

    Raises:
      ValueError: there are not enough texts.
    """
    long_enough = (text[:_CHARACTERS] for text in texts if len(text) >= _LEAST_CHARACTERS)
    for kind in KINDS:
        pairs = _damaged(long_enough, kind, seed)
        made = 0
        for intact, damaged in itertools.islice(pairs, number):
            for label, version in ((INTACT, intact), (kind, damaged)):
                yield json.dumps({"text": version, "pair": kind, DAMAGE_FIELD: label}) + "\n"
            made += 1
        if made < number:
            raise ValueError(
                f"The held-out documents give {made} pairs of {kind}, and {number} of each kind are "
                "asked for. Use a smaller --minimal_pairs or a larger --held_out_fraction."
            )


def _damaged(texts: Iterator[str], kind: str, seed: int) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts):
        damaged = DAMAGES[kind](text, random.Random(int(id_hash(kind, number, seed))))
        if damaged != text:
            yield text, damaged


def pair_credits(bits_per_byte_N: np.ndarray, kinds_N: np.ndarray) -> dict[str, np.ndarray]:
    """By kind of damage, of each pair: 1 where the intact text is the more likely, 1/2 if equal.

    Compared are bits per byte. Both texts have the same characters, so for a causal model this
    compares their total log probabilities; span corruption predicts a share of both.

    Args:
      bits_per_byte_N: of the lines of `pair_lines`, intact and damaged in turn.
      kinds_N: their `pair`.
    """
    pairs_I2 = bits_per_byte_N.reshape(-1, 2)
    credits_I = np.array([credit(pair, 0) for pair in pairs_I2])
    return {str(kind): credits_I[kinds_N[::2] == kind] for kind in dict.fromkeys(kinds_N)}

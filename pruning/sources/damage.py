"""Ways to spoil a text on purpose, so that a score can be checked against a known truth."""

import random
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

# Carried field with the kind of damage, and its value where nothing was done.
DAMAGE_FIELD = "damage"
INTACT = "none"

_SWAP_PROBABILITY = 0.14  # of a swap at each place not swapped already: an eighth of all places
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+|\n+")
_SENTENCE_CHARACTERS = range(20, 300)
_WORDS_PER_CHANGE = 100  # leaves nine tenths of the 5-grams of words as they are


def words_shuffled(text: str, rng: random.Random) -> str:
    """All words in another order; white space stays where it was."""
    parts = re.split(r"(\s+)", text)
    words = parts[::2]
    rng.shuffle(words)
    parts[::2] = words
    return "".join(parts)


def characters_swapped(text: str, rng: random.Random) -> str:
    """About an eighth of the places between two characters swap them."""
    characters = list(text)
    place = 0
    while place < len(characters) - 1:
        if rng.random() < _SWAP_PROBABILITY:
            characters[place : place + 2] = reversed(characters[place : place + 2])
            place += 1
        place += 1
    return "".join(characters)


def truncated(text: str, rng: random.Random) -> str:
    """The first 20 to 60 percent, cut wherever that falls."""
    return text[: int(len(text) * rng.uniform(0.2, 0.6))]


def repeated(text: str, rng: random.Random) -> str:
    """One sentence or line, again and again, to the length of the text."""
    sentences = [s for s in _SENTENCE_END.split(text) if len(s) in _SENTENCE_CHARACTERS]
    sentence = rng.choice(sentences) if len(sentences) > 1 else text[:80]
    return ((sentence + "\n") * (len(text) // len(sentence) + 1))[: len(text)]


def few_words_changed(text: str, rng: random.Random) -> str:
    """One word in a hundred, and at least one, becomes another word of the text.

    No damage, but what makes a near-duplicate of a copy.
    """
    parts = re.split(r"(\s+)", text)
    words = [place for place, part in enumerate(parts) if part.strip()]
    others = sorted({parts[place] for place in words})
    for place in rng.sample(words, -(-len(words) // _WORDS_PER_CHANGE)):
        word = parts[place]
        parts[place] = rng.choice([o for o in others if o != word] or [word * 2])
    return "".join(parts)


DAMAGES: Mapping[str, Callable[[str, random.Random], str]] = MappingProxyType(
    {
        "words_shuffled": words_shuffled,
        "characters_swapped": characters_swapped,
        "truncated": truncated,
        "repeated": repeated,
    }
)

"""Words, n-grams and their hashes as one would write them down: one at a time, in Python."""

import farmhash

MASK = (1 << 64) - 1


def words(text: str) -> list[str]:
    found: list[str] = []
    kinds: list[str] = []
    for character in text.lower() + " ":
        kind = "word" if character.isalnum() or character == "_" else "other"
        kind = "space" if character.isspace() else kind
        if kinds and kinds[-1] == kind != "space":
            found[-1] += character
        elif kind != "space":
            found.append(character)
        kinds.append(kind)
    return found


def splitmix64(x: int) -> int:
    z = (x + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def ngram_hash(ngram: list[str]) -> int:
    first, *rest = (farmhash.fingerprint64(word.encode()) for word in ngram)
    for word in rest:
        first = (splitmix64(first) + word) & MASK
    return first


def ngrams(text: str, n: int) -> list[list[str]]:
    found = words(text)
    return [found[i : i + n] for i in range(len(found) - n + 1)]


def all_hashes(text: str, n: int) -> list[int]:
    """Of 1-grams to n-grams."""
    return [ngram_hash(g) for length in range(1, n + 1) for g in ngrams(text, length)]

"""The two hashes that files on disk depend on: golden values, and their public definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.hashing import id_hash, id_uniform, splitmix64, text_hash

GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
UINT64 = st.integers(0, MASK)

TEXT_HASHES = {
    b"": -7286425919675154353,
    b"hello": -5436999610281751320,
    # The examples in BigQuery's documentation of FARM_FINGERPRINT.
    b"1footrue": -1541654101129638711,
    b"2applefalse": 2794438866806483259,
    b"3true": -4880158226897771312,
    "café 😀".encode(): -4783779853485712372,
    b"\x00\xff" * 40: -262593835525871522,
}


def splitmix64_by_definition(state: int) -> int:
    """Steele, Lea, Flood 2014: the first number of a generator in this state."""
    z = (state + GAMMA) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@pytest.mark.parametrize(("text", "expected"), TEXT_HASHES.items())
def test_text_hash_golden(text, expected):
    assert text_hash(text) == expected


def test_text_hash_is_the_fingerprint_that_tensorflow_computes_in_a_graph():
    import tensorflow as tf

    # All lengths at which Fingerprint64 takes another branch.
    texts = [*TEXT_HASHES, *(bytes(range(7, 7 + n)) for n in (1, 3, 4, 8, 16, 17, 32, 33, 64, 65))]
    theirs = tf.fingerprint(tf.constant(texts), method="farmhash64").numpy()
    assert [text_hash(t) for t in texts] == theirs.view("<i8")[:, 0].tolist()


def test_splitmix64_golden():
    states = np.array([0, GAMMA, 2 * GAMMA & MASK], np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert splitmix64(states).tolist() == expected


@given(st.lists(UINT64, min_size=1))
def test_splitmix64_follows_its_definition(states):
    expected = [splitmix64_by_definition(s) for s in states]
    assert splitmix64(np.array(states, np.uint64)).tolist() == expected


def test_id_hash_golden():
    rows = np.array([0, 1, 1 << 40])
    expected = [14471826508581858021, 8038294122890886292, 4312685822101722300]
    assert id_hash("en/a.jsonl", rows, 0).tolist() == expected
    expected = [1874531377798226404, 148307548893013915, 15795012780085809633]
    assert id_hash("en/a.jsonl", rows, -7).tolist() == expected


@given(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.integers(0, 1 << 62),
    st.integers(-(1 << 70), 1 << 70),
)
def test_id_hash_follows_its_definition(file, row, seed):
    key = (text_hash(file.encode()) ^ seed ^ (row * GAMMA)) & MASK
    assert int(id_hash(file, np.array([row]), seed)[0]) == splitmix64_by_definition(key)


def test_id_uniform_golden():
    expected = [0.3546592593193054, 0.7238889932632446, 0.4417991042137146]
    assert id_uniform("en/a.jsonl", np.arange(3), 1).tolist() == expected


def test_id_uniform_is_uniform_below_one_and_differs_by_file_and_seed():
    rows = np.arange(100_000)
    uniform = id_uniform("a", rows, 0)
    assert uniform.dtype == np.float32
    assert uniform.min() >= 0
    assert uniform.max() < 1
    counts = np.histogram(uniform, 20, (0, 1))[0]
    assert abs(counts - 5000).max() < 5 * np.sqrt(5000)
    for other in (id_uniform("b", rows, 0), id_uniform("a", rows, 1)):
        assert abs(np.corrcoef(uniform, other)[0, 1]) < 0.02

"""Span corruption and prefix LM: lengths and statistics of T5's, nothing lost, nothing doubled."""

import collections
import itertools

import numpy as np
import pytest
import seqio
import tensorflow as tf

from pruning.span_corruption import SpanCorruption
from seqio_tasks import denoising
from seqio_tasks.denoising import noise_mask, prefix_lm, span_corruption

# 1000 ids, the last 100 of them sentinels, the first 3 special.
VOCAB_SIZE, SENTINELS = 1000, 100
LENGTHS = {"inputs": 512, "targets": 114}


class Vocabulary(seqio.PassThroughVocabulary):
    def __init__(self):
        super().__init__(VOCAB_SIZE - SENTINELS)
        self._extra_ids = SENTINELS


FEATURES = {name: seqio.Feature(Vocabulary()) for name in ("inputs", "targets")}


def documents(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(3, VOCAB_SIZE - SENTINELS, n, np.int32) for n in lengths]


def as_dataset(tokens):
    ragged = tf.ragged.constant([t.tolist() for t in tokens], tf.int32)
    return tf.data.Dataset.from_tensor_slices(ragged).map(lambda t: {"targets": t})


def examples(preprocess, tokens, lengths=LENGTHS, seed=0, **kwargs):
    with seqio.map_seed_manager(seed):
        dataset = preprocess(as_dataset(tokens), lengths, FEATURES, **kwargs)
    return list(dataset.as_numpy_iterator())


def is_sentinel(tokens):
    return tokens >= VOCAB_SIZE - SENTINELS


def spans_by_sentinel(tokens):
    """What follows each sentinel, and what comes before the first, under None."""
    found, current = {None: []}, None
    for token in tokens.tolist():
        if token >= VOCAB_SIZE - SENTINELS:
            assert token not in found
            found[current := token] = []
        else:
            found[current].append(token)
    return found


def restored(example):
    """The segment: spans of inputs and of targets in turn, as the sentinels say."""
    kept, hidden = spans_by_sentinel(example["inputs"]), spans_by_sentinel(example["targets"])
    whole = list(kept[None])
    for sentinel in kept:
        if sentinel is not None:
            # In the targets, a sentinel stands for what is kept, and begins with that.
            whole += hidden[sentinel] + kept[sentinel]
    return whole


def masks(n, number, density=0.15, span=3.0):
    """Noise masks of the same number of tokens, bool [number, n]."""

    @seqio.map_over_dataset(num_seeds=2)
    def mask(n_tokens, seeds):
        return noise_mask(n_tokens, seeds, noise_density=density, mean_span_length=span)

    with seqio.map_seed_manager(0):
        dataset = mask(tf.data.Dataset.from_tensors(n).repeat(number))
    return np.stack([*dataset.as_numpy_iterator()])


def test_full_inputs_of_512_take_568_tokens_and_give_114_targets():
    (tokens,) = documents([568 * 3 + 100])
    lengths = [
        (len(e["inputs"]) + 1, len(e["targets"]) + 1) for e in examples(span_corruption, [tokens])
    ]
    assert lengths[:3] == [(512, 114)] * 3
    # 100 tokens: 15 hidden in 5 spans.
    assert lengths[3:] == [(85 + 5 + 1, 15 + 5 + 1)]


def test_lengths_are_those_by_which_documents_are_scored():
    """For every number of tokens, against the objective that scorers use."""
    objective = SpanCorruption(vocab_size=VOCAB_SIZE, num_sentinels=SENTINELS, window=512)
    tokens = documents(range(1, 569))
    made = examples(span_corruption, tokens, joined_documents=1)
    for i, (document, example) in enumerate(zip(tokens, made, strict=True)):
        expected = objective.example(document, seed=i)
        assert len(example["inputs"]) == len(expected.inputs) - 1
        assert len(example["targets"]) == len(expected.targets) - 1
        assert np.sum(~is_sentinel(example["targets"])) == expected.n_predicted


def test_inputs_and_targets_restore_the_documents():
    tokens = documents([300, 40, 1, 700, 2, 9])
    made = examples(span_corruption, tokens)
    assert [t for e in made for t in restored(e)] == np.concatenate(tokens).tolist()


def test_sentinels_count_down_from_the_last_id():
    (example,) = examples(span_corruption, documents([400]))
    for feature in ("inputs", "targets"):
        found = example[feature][is_sentinel(example[feature])]
        np.testing.assert_array_equal(found, VOCAB_SIZE - 1 - np.arange(len(found)))
    assert not is_sentinel(example["inputs"][:1])
    assert is_sentinel(example["targets"][:1])


def test_spans_have_the_density_and_mean_length_of_the_paper():
    is_noise = masks(568, 400)
    starts = is_noise & ~np.pad(is_noise, [(0, 0), (1, 0)])[:, :-1]
    assert (is_noise.sum(1) == 85).all()  # round(568 * 0.15)
    assert (starts.sum(1) == 28).all()  # round(85 / 3)
    assert not is_noise[:, 0].any()
    assert is_noise[:, -1].all()
    # Every position away from both ends is hidden about as often: 15 %, give or take 5 sigma.
    share = is_noise[:, 40:-40].mean(0)
    assert abs(share.mean() - 0.15) < 0.005
    assert abs(share - 0.15).max() < 5 * np.sqrt(0.15 * 0.85 / 400)


def test_every_way_to_cut_is_equally_likely():
    # 12 tokens, 4 hidden in 2 spans: 3 ways to cut what is hidden, 7 what stays.
    counts = collections.Counter(tuple(m) for m in masks(12, 4200, density=1 / 3, span=2.0))
    assert len(counts) == 3 * 7
    deviation = np.array([*counts.values()]) - 200
    assert (deviation**2 / 200).sum() < 45.3  # chi square of 20 degrees of freedom at 0.001


def test_random_numbers_follow_the_seed_and_differ_between_segments():
    tokens = documents([568] * 3)
    same = [np.arange(3, 571, dtype=np.int32)] * 3
    first, again, other = (
        [e["inputs"].tolist() for e in examples(span_corruption, tokens, seed=s)] for s in (0, 0, 1)
    )
    assert first == again != other
    masks_of_same = [tuple(e["inputs"]) for e in examples(span_corruption, same)]
    assert len(set(masks_of_same)) == 3


def test_a_document_of_over_65536_tokens_gives_one_chunk_of_it(monkeypatch):
    monkeypatch.setattr(denoising, "LONGEST_DOCUMENT", 50)
    long = [np.arange(3, 153, dtype=np.int32)] * 20
    seen = {tuple(restored(e)) for e in examples(span_corruption, long, joined_documents=1)}
    assert seen == {tuple(range(3 + i, 53 + i)) for i in (0, 50, 100)}


def test_documents_are_joined_by_128():
    made = examples(span_corruption, documents([10] * 130))
    assert [len(restored(e)) for e in made] == [568, 568, 144, 20]


@pytest.mark.parametrize("lengths", [{"inputs": 64, "targets": 32}, {"inputs": 32, "targets": 64}])
def test_prefix_lm_splits_segments_in_two(lengths):
    tokens = documents([100, 5, 1, 33, 32])
    made = examples(prefix_lm, tokens, lengths)
    sizes = [(len(e["inputs"]), len(e["targets"])) for e in made]
    # Segments of 32, and a single token is left out, be it a document or the end of one.
    assert [a + b for a, b in sizes] == [32, 32, 32, 4, 5, 32, 32]
    assert all(a >= 1 and b >= 1 for a, b in sizes)
    whole = [np.concatenate([e["inputs"], e["targets"]]) for e in made]
    np.testing.assert_array_equal(np.concatenate(whole[:4]), tokens[0])
    np.testing.assert_array_equal(whole[4], tokens[1])


def test_every_split_of_a_prefix_lm_is_equally_likely():
    tokens = documents([9] * 1600)
    made = examples(prefix_lm, tokens, {"inputs": 16, "targets": 16})
    counts = collections.Counter(len(e["inputs"]) for e in made)
    assert sorted(counts) == [*range(1, 9)]
    assert sum((n - 200) ** 2 / 200 for n in counts.values()) < 24.3  # 7 degrees, 0.001


def test_targets_too_short_for_the_inputs_are_refused():
    with pytest.raises(ValueError, match=r"up to 114, but their length is 113. .*'targets': 114"):
        examples(span_corruption, documents([10]), {"inputs": 512, "targets": 113})


def test_too_few_sentinels_are_refused():
    with pytest.raises(ValueError, match=r"needs 114 sentinels, but the vocabulary has 100"):
        examples(span_corruption, documents([10]), {"inputs": 2048, "targets": 512})


def test_pipelines_can_be_saved_and_restored(tmp_path):
    for i, preprocess in enumerate((span_corruption, prefix_lm)):
        with seqio.map_seed_manager(0):
            dataset = preprocess(
                as_dataset(documents([100] * 40)).repeat(), {"inputs": 32, "targets": 32}, FEATURES
            )
        iterator = iter(dataset)
        [*itertools.islice(iterator, 7)]
        path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / f"{i}"))
        expected = [next(iterator)["inputs"].numpy().tolist() for _ in range(5)]
        restarted = iter(dataset)
        tf.train.Checkpoint(iterator=restarted).restore(path)
        assert [next(restarted)["inputs"].numpy().tolist() for _ in range(5)] == expected

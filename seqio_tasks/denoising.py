"""Span corruption and prefix LM as seqio preprocessors: tokens of `targets` -> inputs and targets.

The lengths are those of `pruning.objectives`, by which the same model scores; what is random
is drawn by seqio's seeds. Letters: N tokens of a segment, S spans.
"""

from collections.abc import Mapping

import seqio
import tensorflow as tf

from pruning.span_corruption import SpanCorruption

# T5's own numbers: longer documents give one random chunk, and so many are joined before they
# are cut into segments, so that few segments are shorter than the model's input.
LONGEST_DOCUMENT = 65_536
JOINED_DOCUMENTS = 128

# Of a vocabulary that has its sentinels among its own pieces.
_OWN_SENTINELS = 100


def span_corruption(
    dataset: tf.data.Dataset,
    sequence_length: Mapping[str, int],
    output_features: Mapping[str, seqio.Feature],
    *,
    noise_density: float = 0.15,
    mean_span_length: float = 3.0,
    joined_documents: int = JOINED_DOCUMENTS,
) -> tf.data.Dataset:
    """T5's denoising (Raffel et al. 2020, section 3.1.4): 15 % noise in spans of mean length 3.

    Documents are joined and cut into segments such that inputs are full: 568 tokens for inputs
    of 512, whose targets are 114 long, end of sequence included in both.

    Args:
      dataset: of tokens in `targets`, without an end of sequence.
      sequence_length: of `inputs` and `targets`.
      output_features: with the vocabulary, whose last ids are the sentinels.
      noise_density: share of the tokens that is hidden.
      mean_span_length: of the hidden spans.
      joined_documents: documents joined before they are cut; 1 joins none.

    Returns:
      int32 `inputs` and `targets` without an end of sequence.

    Raises:
      ValueError: the targets of full inputs do not fit, or the vocabulary has too few sentinels.
    """
    vocabulary = output_features["targets"].vocabulary
    objective = SpanCorruption(
        vocab_size=vocabulary.vocab_size,
        num_sentinels=vocabulary.extra_ids or _OWN_SENTINELS,
        window=sequence_length["inputs"],
        noise_density=noise_density,
        mean_span_length=mean_span_length,
    )
    longest_targets = objective.lengths[1]
    if sequence_length["targets"] < longest_targets:
        raise ValueError(
            f"Span corruption of inputs of {sequence_length['inputs']} gives targets of up to "
            f"{longest_targets}, but their length is {sequence_length['targets']}. Set "
            f"TASK_FEATURE_LENGTHS = {{'inputs': {sequence_length['inputs']}, "
            f"'targets': {longest_targets}}}."
        )

    @seqio.map_over_dataset(num_seeds=2)
    def corrupt(tokens_N: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        is_noise_N = noise_mask(
            tf.size(tokens_N),
            seeds,
            noise_density=noise_density,
            mean_span_length=mean_span_length,
        )
        return {
            "inputs": _with_sentinels(tokens_N, is_noise_N, vocabulary.vocab_size),
            "targets": _with_sentinels(tokens_N, ~is_noise_N, vocabulary.vocab_size),
        }

    return corrupt(_segments(dataset, objective.window_tokens, joined_documents))


def prefix_lm(
    dataset: tf.data.Dataset,
    sequence_length: Mapping[str, int],
    output_features: Mapping[str, seqio.Feature],
    *,
    joined_documents: int = 1,
) -> tf.data.Dataset:
    """The beginning of a segment is given, the rest predicted (Raffel et al. 2020, section 3.2.3).

    The split is uniform over all that leave both sides a token. Segments are as long as the
    shorter of inputs and targets, so that both always fit; a last one of a single token is left
    out. We join no documents: what is predicted then has its own beginning before it.

    Args:
      dataset, sequence_length, joined_documents: as for `span_corruption`.
      output_features: not looked at.

    Returns:
      int32 `inputs` and `targets` without an end of sequence.
    """
    del output_features

    @seqio.map_over_dataset(num_seeds=1)
    def split(tokens_N: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        middle = tf.random.stateless_uniform([], seed, 1, tf.size(tokens_N), tf.int32)
        return {"inputs": tokens_N[:middle], "targets": tokens_N[middle:]}

    # Both shorter by one for the end of sequence, and longer by one for the side that has none.
    length = min(sequence_length["inputs"], sequence_length["targets"])
    segments = _segments(dataset, length, joined_documents)
    return split(segments.filter(lambda tokens_N: tf.size(tokens_N) > 1))


def _segments(dataset: tf.data.Dataset, length: int, joined_documents: int) -> tf.data.Dataset:
    """Tokens of `targets`, documents joined in their order and cut into segments, int32 [<= length]."""

    @seqio.map_over_dataset(num_seeds=1)
    def chunk(features: Mapping[str, tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        tokens_N = tf.cast(features["targets"], tf.int32)
        chunks = -(-tf.size(tokens_N) // LONGEST_DOCUMENT)
        first = tf.random.stateless_uniform([], seed, 0, tf.maximum(chunks, 1), tf.int32)
        return tokens_N[first * LONGEST_DOCUMENT : (first + 1) * LONGEST_DOCUMENT]

    def cut(tokens_N: tf.Tensor) -> tf.data.Dataset:
        starts = tf.data.Dataset.range(0, tf.size(tokens_N, tf.int64), length)
        return starts.map(lambda start: tokens_N[start : start + length])

    documents = chunk(dataset)
    if joined_documents > 1:
        documents = documents.ragged_batch(joined_documents).map(lambda ragged: ragged.flat_values)
    return documents.flat_map(cut)


def noise_mask(
    n_tokens: tf.Tensor, seeds: tf.Tensor, *, noise_density: float, mean_span_length: float
) -> tf.Tensor:
    """Which tokens are hidden, bool [n_tokens]: spans of random lengths, the first of what stays.

    Args:
      n_tokens: scalar, at least 1.
      seeds: int32 [2, 2].
      noise_density: share of the tokens that is hidden.
      mean_span_length: of the hidden spans.
    """
    length = tf.maximum(n_tokens, 2)
    noise = _round(tf.cast(length, tf.float64) * noise_density, length - 1)
    spans = _round(tf.cast(noise, tf.float64) / mean_span_length, length - noise)
    lengths_S2 = tf.stack(
        [_random_parts(length - noise, spans, seeds[0]), _random_parts(noise, spans, seeds[1])], 1
    )
    is_noise_N = tf.repeat(tf.range(2 * spans) % 2 == 1, tf.reshape(lengths_S2, [-1]))
    return is_noise_N[:n_tokens]


def _round(number: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """Rounded half to even, as Python and T5 do; at least 1."""
    return tf.clip_by_value(tf.cast(tf.round(number), tf.int32), 1, most)


def _random_parts(total: tf.Tensor, parts: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Cuts `total` into `parts` positive lengths, every way equally likely."""
    is_cut = tf.random.experimental.stateless_shuffle(tf.range(total - 1) < parts - 1, seed)
    part = tf.cumsum(tf.cast(tf.concat([[False], is_cut], 0), tf.int32))
    return tf.math.bincount(part, minlength=parts)


def _with_sentinels(tokens_N: tf.Tensor, hide_N: tf.Tensor, vocab_size: int) -> tf.Tensor:
    """Replaces every run of hidden tokens by one sentinel: vocab_size - 1, vocab_size - 2, ..."""
    starts_N = hide_N & ~tf.concat([[False], hide_N[:-1]], 0)
    sentinels_N = vocab_size - tf.cumsum(tf.cast(starts_N, tf.int32))
    return tf.boolean_mask(tf.where(starts_N, sentinels_N, tokens_N), starts_N | ~hide_N)


def causal_lm(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Everything is predicted: a document is `targets`, `inputs` are empty."""
    return dataset.map(lambda features: features | {"inputs": tf.constant([], tf.int32)})


OBJECTIVES = {
    "span_corruption": span_corruption,
    "prefix_lm": prefix_lm,
    "causal_lm": causal_lm,
}

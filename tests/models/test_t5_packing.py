"""Documents packed into one row, or padded, give what each gives alone."""

import jax
import numpy as np
import pytest

from models.configs import T5Config
from models.relative_positions import RelativePositionBias, relative_position_buckets
from models.scoring_model import make_token_statistics_fn
from models.t5 import init_params

CONFIG = T5Config(
    vocab_size=97,
    d_model=32,
    num_heads=4,
    head_dim=8,
    d_ff=48,
    num_encoder_layers=2,
    num_decoder_layers=2,
)


@pytest.fixture(scope="module")
def params():
    def sharpen(path, array):
        # Position bias and attention as strong as in a trained model.
        return array * (2 if path[-1].key in ("rel_embedding", "kernel") else 1)

    return jax.tree_util.tree_map_with_path(sharpen, init_params(CONFIG, jax.random.key(1)))


def document(rng: np.random.Generator, source: int, target: int) -> dict[str, np.ndarray]:
    targets = rng.integers(2, CONFIG.vocab_size, target).astype(np.int32)
    return {
        "encoder_input_tokens": rng.integers(2, CONFIG.vocab_size, source).astype(np.int32),
        "decoder_target_tokens": targets,
        "decoder_input_tokens": np.concatenate([[0], targets[:-1]]).astype(np.int32),
    }


def row(documents: list[dict[str, np.ndarray]], source: int, target: int) -> dict[str, np.ndarray]:
    """Packs documents one after the other into a batch of one row."""
    batch = {}
    for side, length in (("encoder", source), ("decoder", target)):
        names = [name for name in documents[0] if name.startswith(side)]
        ids = np.concatenate(
            [np.full(len(doc[names[0]]), i + 1) for i, doc in enumerate(documents)]
        )
        arrays = {name: np.concatenate([doc[name] for doc in documents]) for name in names}
        for name, array in {**arrays, f"{side}_segment_ids": ids}.items():
            padded = np.zeros((1, length), np.int32)
            padded[0, : len(array)] = array
            batch[name] = padded
    return batch


def test_packed_documents_score_as_alone(params):
    rng = np.random.default_rng(0)
    # The first is longer than the others' offsets, the last is one token.
    documents = [document(rng, 33, 9), document(rng, 12, 20), document(rng, 1, 1)]
    score = make_token_statistics_fn(CONFIG, params)
    packed = np.asarray(score(row(documents, 50, 32))["nll"])[0]
    alone = [np.asarray(score(row([doc], 33, 20))["nll"])[0] for doc in documents]
    lengths = [len(doc["decoder_target_tokens"]) for doc in documents]
    expected = np.concatenate([nll[:n] for nll, n in zip(alone, lengths, strict=True)])
    np.testing.assert_allclose(packed[: sum(lengths)], expected, atol=1e-5)
    assert expected.std() > 0.2


def test_padding_changes_nothing_and_scores_zero(params):
    rng = np.random.default_rng(1)
    doc, score = document(rng, 10, 6), make_token_statistics_fn(CONFIG, params)
    tight = np.asarray(score(row([doc], 10, 6))["nll"])[0]
    loose = np.asarray(score(row([doc], 40, 16))["nll"])[0]
    np.testing.assert_allclose(loose[:6], tight, atol=1e-5)
    np.testing.assert_array_equal(loose[6:], 0)
    empty = {name: np.zeros_like(array) for name, array in row([doc], 40, 16).items()}
    np.testing.assert_array_equal(score(empty)["nll"], 0)


def test_decoder_does_not_see_the_future(params):
    rng = np.random.default_rng(2)
    batch, score = row([document(rng, 10, 8)], 10, 8), make_token_statistics_fn(CONFIG, params)
    before = np.asarray(score(batch)["nll"])[0]
    batch["decoder_input_tokens"][0, 5] += 1
    after = np.asarray(score(batch)["nll"])[0]
    np.testing.assert_array_equal(before[:5], after[:5])
    assert (before[5:] != after[5:]).all()


@pytest.mark.parametrize("bidirectional", [True, False])
def test_position_bias_is_the_table_at_the_bucket_of_the_offset(bidirectional):
    bias = RelativePositionBias(3, 32, 128, bidirectional)
    variables = bias.init(jax.random.key(0), 1)
    table = np.asarray(variables["params"]["rel_embedding"])
    offsets = np.arange(200) - np.arange(200)[:, None]
    buckets = relative_position_buckets(
        offsets, bidirectional=bidirectional, num_buckets=32, max_distance=128
    )
    np.testing.assert_array_equal(bias.apply(variables, 200)[0], table[:, buckets])

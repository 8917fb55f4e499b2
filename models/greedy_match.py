"""Whether a model, left to itself, writes what stands in a document: the statistic of memorization.

"When Less is More", section 2.1.3: the share of N tokens of the greedy continuation of the first M
tokens that equal the document's, with M = N = 32.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from models.batch_fn import BatchFn, Params, make_batch_fn
from models.configs import Config
from models.decoding_cache import DecodingStep
from models.families import family_of, head_kernel

_INPUTS = ("encoder_input_tokens", "encoder_segment_ids", "decoder_target_tokens")


def make_greedy_match_fn(config: Config, params: Params, mesh: Mesh | None = None) -> BatchFn:
    """Makes the function that continues documents and compares.

    The continuation is free-running: each token follows from those that the model has written
    itself. Of tokens that are equally likely it takes the one with the lowest id.

    Args:
        config, params, mesh: As for `make_token_statistics_fn`; of several models it gives the
            share that match.

    Returns:
        A `BatchFn` that gives `match` [B, T]: 1.0 where the continuation's token t is
        `decoder_target_tokens`, else 0.0. A batch has one document a row, not packed, whose
        first tokens are `encoder_input_tokens` (and T whose next). They may be followed by
        padding. An encoder-decoder gets them as they are, with an end of sequence if it was
        trained with one; a decoder-only model continues right after the last of them, so they
        have none. `decoder_input_tokens` is not read. Raises ValueError if a row has two
        documents.
    """

    def statistics(params, batch):
        start_tokens_BQ, step = family_of(config).begin_decoding(config, params, batch)
        targets_BT = batch["decoder_target_tokens"]
        written_BT = _greedy_tokens(
            start_tokens_BQ, step, head_kernel(params, config), targets_BT.shape[1]
        )
        return {"match": (written_BT == targets_BT).astype(jnp.float32)}

    return make_batch_fn(
        config, params, mesh, inputs=_INPUTS, statistics=statistics, check=_check_one_document
    )


def _check_one_document(batch: Mapping[str, np.ndarray]) -> None:
    for side in ("encoder", "decoder"):
        segments = np.max(batch[f"{side}_segment_ids"], initial=0)
        if segments > 1:
            raise ValueError(
                f"A row of {side}_segment_ids has {segments} documents; a continuation needs a "
                "row for each. Choose a row that is as long as one example."
            )


def _greedy_tokens(
    start_tokens_BQ: jax.Array, step: DecodingStep, kernel_DV: jax.Array, length: int
) -> jax.Array:
    """Returns tokens_BT, the `length` likeliest after the first ones, one after another."""

    def likeliest(hidden_BQD):
        hidden_BD = hidden_BQD[:, -1]
        logits_BV = jnp.matmul(
            hidden_BD, kernel_DV.astype(hidden_BD.dtype), preferred_element_type=jnp.float32
        )
        return jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)

    def next_token(carry, at):
        token_B, cache = carry
        hidden_BQD, cache = step(token_B[:, None], at, cache)
        token_B = likeliest(hidden_BQD)
        return (token_B, cache), token_B

    hidden_BQD, cache = step(start_tokens_BQ, 0, {})
    first_B = likeliest(hidden_BQD)
    positions = start_tokens_BQ.shape[1] + jnp.arange(length - 1)
    _, others_TB = jax.lax.scan(next_token, (first_B, cache), positions)
    return jnp.concatenate([first_B[None], others_TB]).T

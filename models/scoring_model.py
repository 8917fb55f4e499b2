"""A T5 as the scoring loop sees it: from a packed batch to statistics of decoder positions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from models.configs import T5Config
from models.partitioning import batch_sharding, param_shardings
from models.t5 import T5, head_kernel
from models.token_losses import summed_log_prob, token_nll

_INPUTS = (
    "encoder_input_tokens",
    "encoder_segment_ids",
    "decoder_input_tokens",
    "decoder_segment_ids",
)


# From a batch of int32 arrays to statistics [B, T] by name. A batch has
# `encoder_input_tokens` and `encoder_segment_ids` [B, S], `decoder_input_tokens`,
# `decoder_target_tokens` and `decoder_segment_ids` [B, T]; others are ignored. Statistics are
# float32, zero at padding, and on their way when the function returns.
BatchFn = Callable[[Mapping[str, np.ndarray]], dict[str, jax.Array]]


def make_token_nll_fn(
    config: T5Config, params: Mapping[str, Any], mesh: Mesh | None = None
) -> BatchFn:
    """Makes the function that gives the negative log-likelihood of each target token.

    Args:
        config: The model's shape and activation dtype.
        params: Its parameters.
        mesh: Splits rows over `data` and parameters over `model`; None uses one device.

    Returns:
        A `BatchFn` that gives `nll` in nats. It compiles once a shape, and raises ValueError if
        the mesh's data axis does not divide B.
    """

    def statistics(params, hidden_BTD, batch):
        kernel_DV = head_kernel(params, config)
        return {"nll": token_nll(hidden_BTD, kernel_DV, batch["decoder_target_tokens"])}

    return _make_batch_fn(config, params, mesh, (*_INPUTS, "decoder_target_tokens"), statistics)


def make_answer_log_prob_fn(
    config: T5Config,
    params: Mapping[str, Any],
    mesh: Mesh | None = None,
    *,
    yes_ids: Sequence[int],
    no_ids: Sequence[int],
) -> BatchFn:
    """Makes the function that gives the probabilities of two answers at each decoder position.

    Args:
        config, params, mesh: As for `make_token_nll_fn`.
        yes_ids: Token ids whose probabilities add up to that of "yes", under the softmax over
            the whole vocabulary.
        no_ids: Likewise for "no".

    Returns:
        A `BatchFn` that gives `log_p_yes` and `log_p_no`.
    """

    def statistics(params, hidden_BTD, batch):
        log_p_yes, log_p_no = summed_log_prob(
            hidden_BTD, head_kernel(params, config), (tuple(yes_ids), tuple(no_ids))
        )
        return {"log_p_yes": log_p_yes, "log_p_no": log_p_no}

    return _make_batch_fn(config, params, mesh, _INPUTS, statistics)


def _make_batch_fn(config, params, mesh, inputs, statistics) -> BatchFn:
    params = jax.device_put(params, None if mesh is None else param_shardings(params, mesh))

    # Float32 means float32 on GPUs and TPUs too, not TF32 or passes of bfloat16.
    precision = "highest" if config.dtype == "float32" else None

    @jax.jit
    @jax.default_matmul_precision(precision)
    def masked_statistics(params, batch):
        hidden_BTD: Any = T5(config).apply({"params": params}, *(batch[name] for name in _INPUTS))
        values = statistics(params, hidden_BTD, batch)
        return {name: v_BT * (batch["decoder_segment_ids"] != 0) for name, v_BT in values.items()}

    def batch_fn(batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        return masked_statistics(params, put_batch({name: batch[name] for name in inputs}, mesh))

    return batch_fn


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh | None) -> dict[str, jax.Array]:
    """Puts a batch on the devices, rows split over the mesh's `data` axis.

    Raises:
        ValueError: The axis does not divide the number of rows.
    """
    if mesh is None:
        return jax.device_put(dict(batch))
    for name, array in batch.items():
        if array.shape[0] % mesh.shape["data"]:
            raise ValueError(
                f"{name} has {array.shape[0]} rows, which do not divide evenly over the mesh's "
                f"{mesh.shape['data']} devices of axis 'data'. Choose a multiple as batch size."
            )
    return jax.device_put(dict(batch), batch_sharding(mesh))

"""A T5 as the scoring loop sees it: a callable from a packed batch to per-token statistics."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from models.configs import T5Config
from models.partitioning import batch_sharding, param_shardings
from models.t5 import T5, head_kernel
from models.token_losses import token_nll

_INPUTS = (
    "encoder_input_tokens",
    "encoder_segment_ids",
    "decoder_input_tokens",
    "decoder_segment_ids",
)


def make_token_nll_fn(
    config: T5Config, params: Mapping[str, Any], mesh: Mesh | None = None
) -> Callable[[Mapping[str, np.ndarray]], dict[str, jax.Array]]:
    """Makes the function that gives the nll of each target token.

    Args:
        config: The model's shape and activation dtype.
        params: Its parameters.
        mesh: Splits rows over `data` and parameters over `model`; None uses one device.

    Returns:
        A function of a batch of int32 arrays: `encoder_input_tokens` and
        `encoder_segment_ids` [B, S], `decoder_input_tokens`, `decoder_target_tokens` and
        `decoder_segment_ids` [B, T]; others are ignored. It gives `{"nll": float32 nats [B, T]}`,
        zero at padding, and returns before the device is done. It compiles once a shape.
        Raises ValueError if the mesh's data axis does not divide B.
    """
    params = jax.device_put(params, None if mesh is None else param_shardings(params, mesh))

    @jax.jit
    def masked_nll(params, batch):
        hidden_BTD: Any = T5(config).apply({"params": params}, *(batch[name] for name in _INPUTS))
        nll = token_nll(hidden_BTD, head_kernel(params, config), batch["decoder_target_tokens"])
        return nll * (batch["decoder_segment_ids"] != 0)

    def token_nll_fn(batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        arrays = {name: batch[name] for name in (*_INPUTS, "decoder_target_tokens")}
        return {"nll": masked_nll(params, put_batch(arrays, mesh))}

    return token_nll_fn


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

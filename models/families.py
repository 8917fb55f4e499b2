"""The one place that knows which families of models there are."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from models import decoder_only, t5
from models.configs import Config, DecoderOnlyConfig, T5Config
from models.decoding_cache import DecodingStep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """What a family of models offers to scoring and training.

    Attributes:
        inputs: Arrays of a batch that its network reads.
        hidden_states: Of (config, params, batch), with `deterministic` and `rngs`; gives
            hidden_BTD at the decoder's positions, before the head.
        head_kernel: Of (params, config); gives kernel_DV, by which hidden states become logits.
        begin_decoding: Of (config, params, batch); gives the tokens that the decoder begins with,
            and a `DecodingStep`.
        init_params: Of (config, key); gives float32 parameters.
    """

    inputs: tuple[str, ...]
    hidden_states: Callable[..., jax.Array]
    head_kernel: Callable[[Mapping[str, Any], Any], jax.Array]
    begin_decoding: Callable[..., tuple[jax.Array, DecodingStep]]
    init_params: Callable[[Any, jax.Array], dict[str, Any]]


_FAMILIES: dict[type, Family] = {
    config: Family(
        inputs=module.INPUTS,
        hidden_states=module.hidden_states,
        head_kernel=module.head_kernel,
        begin_decoding=module.begin_decoding,
        init_params=module.init_params,
    )
    for config, module in ((T5Config, t5), (DecoderOnlyConfig, decoder_only))
}


def family_of(config: Config) -> Family:
    """Returns the family of a model by its config."""
    return _FAMILIES[type(config)]


def hidden_states(
    config: Config, params: Mapping[str, Any], batch: Mapping[str, jax.Array], **how: Any
) -> jax.Array:
    """Returns hidden_BTD of a packed batch, after the final norm and before the head.

    Args:
        config: Of the model.
        params: Its parameters.
        batch: Has the family's `inputs`.
        how: `deterministic` (True) says whether there is no dropout, `rngs` its keys.
    """
    return family_of(config).hidden_states(config, params, batch, **how)


def head_kernel(params: Mapping[str, Any], config: Config) -> jax.Array:
    """Returns kernel_DV: logits are hidden states times this."""
    return family_of(config).head_kernel(params, config)


def init_params(config: Config, key: jax.Array) -> dict[str, Any]:
    """Returns freshly initialised float32 parameters, as nested dicts of plain arrays."""
    return family_of(config).init_params(config, key)


def param_shapes(config: Config) -> dict[str, Any]:
    """Returns the tree of `init_params` as `jax.ShapeDtypeStruct`s, computing nothing."""
    return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))

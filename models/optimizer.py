"""T5's recipe for training: Adafactor and its learning rate.

Equal to `t5x.adafactor.Adafactor` as `t5_1_1/base.gin` binds it: second moments factored into
the mean over rows and over columns of matrices with both sides of 128 or more, decayed by
1 - step^-0.8; updates clipped to a root mean square of 1; the learning rate multiplied by that
of the parameter, at least 1e-3 (one number per parameter, embeddings too); no momentum, no
weight decay. t5x's rules by logical axes do not change this: it falls back to the sizes for
parameters of at most two dimensions, and T5 has no others.

Different: `training` divides the loss by the number of target tokens, where T5's gin sums.
Adafactor does not see the scale of gradients (but for its epsilon of 1e-30), so only the
reported loss and gradient norm differ.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from models.checkpoints.optimizer_state import from_param_states, to_param_states


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningRate:
    """The learning rate by step, before Adafactor scales it by the parameter.

    The defaults are T5's pretraining: 1 / sqrt(max(step, 10,000)).

    Attributes:
        schedule: 'rsqrt' (multiplier / sqrt(max(step, hold_steps))) or 'constant' (multiplier).
        multiplier: `base_learning_rate` of t5x.
        hold_steps: Steps for which 'rsqrt' stays at its first value; `warmup_steps` of t5x's
            `rsqrt_decay`.
        linear_warmup_steps: Steps over which the rate rises from 0; 0 for none.
    """

    schedule: Literal["rsqrt", "constant"] = "rsqrt"
    multiplier: float = 1.0
    hold_steps: int = 10_000
    linear_warmup_steps: int = 0

    def __post_init__(self):
        if self.schedule not in ("rsqrt", "constant"):
            raise ValueError(
                f"Unknown learning rate schedule {self.schedule!r}. Known: rsqrt, constant."
            )
        if self.hold_steps < 1 or self.linear_warmup_steps < 0:
            raise ValueError(
                f"hold_steps is {self.hold_steps} and linear_warmup_steps is "
                f"{self.linear_warmup_steps}; expected at least 1 and at least 0."
            )

    def __call__(self, step: jax.Array) -> jax.Array:
        """Returns the rate of the step that follows `step` finished ones."""
        step = jnp.asarray(step, jnp.float32)
        rate = jnp.asarray(self.multiplier, jnp.float32)
        if self.schedule == "rsqrt":
            rate /= jnp.sqrt(jnp.maximum(step, self.hold_steps))
        if self.linear_warmup_steps:
            rate *= jnp.minimum(1.0, (step + 1) / self.linear_warmup_steps)
        return rate


T5_LEARNING_RATE = LearningRate()


def init_adafactor(params: Any) -> optax.FactoredState:
    """Returns the state before the first step; its `count` is the number of steps done."""
    return _SECOND_MOMENTS.init(params)


def adafactor_step(
    params: Any, gradients: Any, state: optax.FactoredState, learning_rate: LearningRate
) -> tuple[Any, optax.FactoredState]:
    """Makes one step.

    Args:
        params: Float32 parameters.
        gradients: Of the loss, of any scale.
        state: From `init_adafactor` or the step before.
        learning_rate: Evaluated at `state.count`.

    Returns:
        The new parameters and state.
    """
    updates, new_state = _SECOND_MOMENTS.update(gradients, state, params)
    updates, _ = _STATELESS.update(updates, _STATELESS.init(params), params)
    rate = learning_rate(state.count)
    return jax.tree.map(lambda param, update: param - rate * update, params, updates), new_state


# Not `optax.adafactor`: its state counts the steps twice, which t5x's has no room for.
_SECOND_MOMENTS = optax.scale_by_factored_rms(decay_rate=0.8, min_dim_size_to_factor=128)
_STATELESS = optax.chain(
    optax.clip_by_block_rms(1.0), optax.scale_by_param_block_rms(min_scale=1e-3)
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adafactor:
    """T5's optimizer, as `models.training.train` takes one."""

    def init(self, params: Any) -> optax.FactoredState:
        """Returns the state before the first step; its `count` is the number of steps done."""
        return init_adafactor(params)

    def step(
        self, params: Any, gradients: Any, state: optax.FactoredState, learning_rate: Any
    ) -> tuple[Any, optax.FactoredState]:
        """Makes one step; see `adafactor_step`."""
        return adafactor_step(params, gradients, state, learning_rate)

    def to_param_states(self, state: optax.FactoredState) -> dict[str, Any]:
        """Returns, for each parameter, the dict of its moments."""
        return to_param_states(state)

    def from_param_states(self, step: int, param_states: Mapping[str, Any]) -> optax.FactoredState:
        """The inverse of `to_param_states`."""
        return from_param_states(step, param_states)

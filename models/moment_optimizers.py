"""The recipes of the papers' decoder-only models: AdamW or Lion, linear warmup, then a cosine.

"When Less is More": AdamW, warmup to 1.5e-4 (124M; 1.2e-4 for 1.5B), "linear cosine scaling".
"Perplexed by Perplexity": decoupled Lion, cosine, rate and weight decay both 2e-4 (3B: 1.6e-4).
What they leave open is that of MosaicML's pretraining configs: betas of 0.9 and 0.95, gradients
clipped to a norm of 1, a cosine that ends at a tenth. For AdamW a weight decay of 0.1 is our
choice. Only arrays of two dimensions decay.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from models.checkpoints.optimizer_state import join_slots, split_slots


@dataclasses.dataclass(frozen=True, kw_only=True)
class WarmupCosine:
    """A learning rate that rises from 0 in a line, and falls in half a cosine.

    Attributes:
        peak: The highest rate.
        warmup_steps: Steps until it.
        total_steps: Steps until the lowest rate, those of the warmup included.
        final_fraction: The lowest rate, as a fraction of the peak.
    """

    peak: float
    warmup_steps: int
    total_steps: int
    final_fraction: float = 0.1

    def __post_init__(self):
        if not 0 <= self.warmup_steps < self.total_steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps} and total_steps is {self.total_steps}; a "
                "warmup has at least 0 steps and ends before the run."
            )

    def __call__(self, step: jax.Array) -> jax.Array:
        """Returns the rate of the step that follows `step` finished ones."""
        step = jnp.asarray(step, jnp.float32)
        warmup = (step + 1) / max(self.warmup_steps, 1)
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        cosine = (1 + jnp.cos(math.pi * jnp.clip(done, 0.0, 1.0))) / 2
        decayed = self.final_fraction + (1 - self.final_fraction) * cosine
        return self.peak * jnp.where(step < self.warmup_steps, warmup, decayed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _MomentOptimizer:
    """Steps along moments of clipped gradients, with decoupled weight decay.

    Attributes:
        beta1: Of the first moment.
        beta2: Of the second moment; of Lion's only one, where `beta1` mixes the step.
        weight_decay: Times the learning rate, as PyTorch has it.
        max_gradient_norm: Longer gradients are scaled down to this norm.
    """

    # Our name of a moment in a checkpoint, as t5x has it, and optax's.
    _SLOTS: ClassVar[dict[str, str]]

    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float
    max_gradient_norm: float = 1.0

    def _moments(self) -> optax.GradientTransformation:
        raise NotImplementedError

    def init(self, params: Any) -> Any:
        """Returns the state before the first step; its `count` is the number of steps done."""
        return self._moments().init(params)

    def step(self, params: Any, gradients: Any, state: Any, learning_rate: Any) -> tuple[Any, Any]:
        """Makes one step; see `Adafactor.step`."""
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradients)))
        scale = jnp.minimum(1.0, self.max_gradient_norm / jnp.maximum(norm, 1e-12))
        gradients = jax.tree.map(lambda gradient: gradient * scale, gradients)
        updates, new_state = self._moments().update(gradients, state, params)
        rate = learning_rate(state.count)

        def moved(param: jax.Array, update: jax.Array) -> jax.Array:
            decay = self.weight_decay if param.ndim == 2 else 0.0
            return param - rate * (update + decay * param)

        return jax.tree.map(moved, params, updates), new_state

    def to_param_states(self, state: Any) -> dict[str, Any]:
        """Returns, for each parameter, the dict of its moments."""
        return join_slots({ours: getattr(state, theirs) for ours, theirs in self._SLOTS.items()})

    def from_param_states(self, step: int, param_states: Mapping[str, Any]) -> Any:
        """The inverse of `to_param_states`."""
        slots = split_slots(param_states, self._SLOTS)
        moments = {theirs: slots[ours] for ours, theirs in self._SLOTS.items()}
        state = jax.eval_shape(self.init, slots["grad_ema"])
        return state._replace(count=jnp.asarray(step, jnp.int32), **moments)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW(_MomentOptimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    _SLOTS: ClassVar[dict[str, str]] = {"grad_ema": "mu", "grad_sq_ema": "nu"}

    weight_decay: float = 0.1
    epsilon: float = 1e-8

    def _moments(self) -> optax.GradientTransformation:
        return optax.scale_by_adam(self.beta1, self.beta2, self.epsilon)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion(_MomentOptimizer):
    """Steps by the sign of a moment (Chen et al. 2023).

    A weight decay that is decoupled from the peak rate, too, and equal to it, is one of 1.
    """

    _SLOTS: ClassVar[dict[str, str]] = {"grad_ema": "mu"}

    weight_decay: float = 1.0

    def _moments(self) -> optax.GradientTransformation:
        return optax.scale_by_lion(self.beta1, self.beta2)

"""The optimizer's state as t5x stores it: for each parameter a dict of arrays."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util


def join_slots(slots: Mapping[str, Any]) -> dict[str, Any]:
    """Returns t5x's `param_states`, from a tree like the parameters for each slot."""
    flat = {slot: traverse_util.flatten_dict(tree) for slot, tree in slots.items()}
    return traverse_util.unflatten_dict(
        {(*path, slot): array for slot, arrays in flat.items() for path, array in arrays.items()}
    )


def split_slots(param_states: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The inverse of `join_slots`, for the slots of these names."""
    flat = traverse_util.flatten_dict(param_states)

    def slot(name: str) -> dict[str, Any]:
        return traverse_util.unflatten_dict(
            {path[:-1]: array for path, array in flat.items() if path[-1] == name}
        )

    return {name: slot(name) for name in names}


def to_param_states(state: optax.FactoredState) -> dict[str, Any]:
    """Returns t5x's `param_states` of Adafactor: for each parameter the dict m, v, v_col, v_row.

    Optax and t5x agree on which axis a row or column drops, and on shape [1] for what is
    unused; `m` is unused without momentum.
    """
    unused = jax.tree.map(lambda _: np.zeros(1, np.float32), state.v)
    return join_slots({"m": unused, "v": state.v, "v_col": state.v_col, "v_row": state.v_row})


def from_param_states(step: int, param_states: Mapping[str, Any]) -> optax.FactoredState:
    """The inverse of `to_param_states`.

    Args:
        step: Steps done.
        param_states: As t5x's Adafactor without momentum, or this module, wrote them.
    """
    slots = split_slots(param_states, ("v_row", "v_col", "v"))
    return optax.FactoredState(count=jnp.asarray(step, jnp.int32), **slots)

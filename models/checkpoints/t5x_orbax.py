"""t5x's Orbax checkpoints: `checkpoint_STEP/{state,dataset}`, arrays in OCDBT.

`state` holds `{'target': params, 'state': {'step', 'param_states'}}`. Orbax renames a folder
once all is written (or, where the file system cannot, writes `commit_success.txt` last).
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

_PREFIX = "checkpoint"
_NAME = re.compile(rf"{_PREFIX}_(\d+)")


def absolute(path: epath.PathLike) -> epath.Path:
    """Returns the path as Orbax takes it: absolute where it is local, a URL as it is."""
    path = epath.Path(path)
    # Not `path.absolute()` alone: it puts the working directory before gs://, too.
    return path if "://" in os.fspath(path) else path.absolute()


def steps(folder: epath.PathLike) -> list[int]:
    """Returns the steps of the complete checkpoints in a model folder, ascending."""
    folder = epath.Path(folder)
    if not folder.is_dir():
        return []
    matches = (_NAME.fullmatch(child.name) for child in folder.iterdir() if _is_checkpoint(child))
    return sorted(int(match[1]) for match in matches if match)


def _is_checkpoint(folder: epath.Path) -> bool:
    has_state = (folder / "state" / "_METADATA").exists()
    return has_state and ocp.utils.is_checkpoint_finalized(folder)


def find(path: epath.PathLike) -> epath.Path | None:
    """Returns the checkpoint at `path`, or the latest complete one in it, or None.

    Args:
        path: A `checkpoint_STEP` folder (whatever its name), or a model folder with several.

    Returns:
        An absolute path or a URL.
    """
    path = absolute(path)
    if _is_checkpoint(path):
        return path
    known = steps(path)
    return path / f"{_PREFIX}_{known[-1]}" if known else None


def read_params(path: epath.PathLike) -> dict[str, Any]:
    """Reads the parameters, and none of the optimizer's arrays.

    Args:
        path: As for `find`.

    Returns:
        Nested dict of NumPy arrays, as stored.

    Raises:
        FileNotFoundError: There is no complete checkpoint.
    """
    return _read_state(_found(path), ("target",))["target"]


def read(path: epath.PathLike) -> tuple[int, dict[str, Any], dict[str, Any], Any]:
    """Reads all that `write` wrote.

    Args:
        path: As for `find`.

    Returns:
        step, params, param_states and data_state; arrays are NumPy's.

    Raises:
        FileNotFoundError: There is no complete checkpoint.
    """
    checkpoint = _found(path)
    tree = _read_state(checkpoint, ("target", "state"))
    data_state = ocp.JsonCheckpointHandler().restore(checkpoint / "dataset")
    return int(tree["state"]["step"]), tree["target"], tree["state"]["param_states"], data_state


def write(
    folder: epath.PathLike,
    step: int,
    params: Mapping[str, Any],
    param_states: Mapping[str, Any],
    data_state: Mapping[str, Any],
    *,
    keep: int | None = None,
) -> None:
    """Writes `folder/checkpoint_STEP`, which appears complete or not at all.

    Args:
        folder: The model folder.
        step: Steps done.
        params: Nested dict of arrays.
        param_states: Likewise, with a dict of the optimizer's arrays in place of each array;
            see `optimizer_state`.
        data_state: Where the data stands, of what JSON can hold; t5x ignores it unless told
            to restore its own dataset iterator.
        keep: How many checkpoints to keep, the latest; None keeps all.
    """
    options = ocp.CheckpointManagerOptions(
        step_prefix=_PREFIX, max_to_keep=keep, enable_async_checkpointing=False
    )
    state = {
        "target": params,
        "state": {"step": np.asarray(step, np.int32), "param_states": param_states},
    }
    # t5x has jax.Array everywhere, and Orbax records which it was.
    state = jax.tree.map(jnp.asarray, state)
    with ocp.CheckpointManager(absolute(folder), options=options) as manager:
        manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(state), dataset=ocp.args.JsonSave(dict(data_state))
            ),
            force=True,
        )


def _found(path: epath.PathLike) -> epath.Path:
    checkpoint = find(path)
    if checkpoint is None:
        raise FileNotFoundError(
            f"{path} holds no complete t5x Orbax checkpoint. Expected a folder "
            f"{_PREFIX}_STEP with state/_METADATA, or a folder of such."
        )
    return checkpoint


def _read_state(checkpoint: epath.Path, items: tuple[str, ...]) -> dict[str, Any]:
    handler = ocp.PyTreeCheckpointHandler()
    stored = handler.metadata(checkpoint / "state").tree
    missing = [item for item in items if item not in stored]
    if missing:
        raise FileNotFoundError(
            f"{checkpoint}/state has no {', '.join(missing)}, found: {', '.join(stored)}."
        )
    wanted = {item: stored[item] for item in items}
    # As NumPy, wherever and over however many devices it was written.
    restore_args = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
    return handler.restore(
        checkpoint / "state",
        args=ocp.args.PyTreeRestore(item=wanted, restore_args=restore_args, partial_restore=True),
    )

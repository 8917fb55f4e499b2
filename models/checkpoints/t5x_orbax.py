"""t5x's Orbax checkpoints: `checkpoint_STEP/{state,dataset}`, arrays in OCDBT.

`state` holds `{'target': params, 'state': {'step', 'param_states'}}`. Orbax renames a folder
once all is written (or, where the file system cannot, writes `commit_success.txt` last).
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from models.checkpoints import checkpoint_folders, tensorstore_arrays
from models.checkpoints.checkpoint_folders import PREFIX, absolute
from models.checkpoints.stored import StoredParams


def steps(folder: epath.PathLike) -> list[int]:
    """Returns the steps of the complete checkpoints in a model folder, ascending."""
    return checkpoint_folders.steps(folder, _is_checkpoint)


def find(path: epath.PathLike) -> epath.Path | None:
    """Returns the checkpoint at `path`, or the latest complete one in it, or None.

    Args:
        path: A `checkpoint_STEP` folder (whatever its name), or a model folder with several.

    Returns:
        An absolute path or a URL.
    """
    return checkpoint_folders.find(path, _is_checkpoint)


def _is_checkpoint(folder: epath.Path) -> bool:
    has_state = (folder / "state" / "_METADATA").exists()
    return has_state and ocp.utils.is_checkpoint_finalized(folder)


def stored_params(path: epath.PathLike) -> StoredParams:
    """Returns the parameters (and none of the optimizer's arrays), to be read one by one.

    Args:
        path: As for `find`.

    Raises:
        FileNotFoundError: There is no complete checkpoint, or it has no parameters.
        ValueError: An array is not there.
    """
    state = _found(path) / "state"
    metadata = json.loads((state / "_METADATA").read_text())
    leaves = [
        tuple(part["key"] for part in leaf["key_metadata"])
        for leaf in metadata["tree_metadata"].values()
        if not leaf["value_metadata"].get("skip_deserialize")
    ]
    params = [keys for keys in leaves if keys[0] == "target"]
    if not params:
        found = ", ".join(sorted({keys[0] for keys in leaves}))
        raise FileNotFoundError(f"{state} has no target, found: {found}.")
    driver = "zarr3" if metadata.get("use_zarr3") else "zarr"
    is_ocdbt = (state / "manifest.ocdbt").exists()

    def kvstore(name: str) -> tensorstore_arrays.Spec:
        if is_ocdbt:
            return tensorstore_arrays.ocdbt(state, name)
        return tensorstore_arrays.kvstore(state / name)

    specs = {
        "/".join(keys[1:]): {"driver": driver, "kvstore": kvstore(".".join(keys))}
        for keys in params
    }
    return tensorstore_arrays.open_arrays(specs, source=str(state))


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


def check_writable(folder: epath.PathLike) -> None:
    """Refuses a folder that `write` cannot write to.

    Raises:
        ValueError: It is in an object store that Orbax does not write to.
    """
    if os.fspath(folder).startswith("s3://"):
        raise ValueError(
            f"{folder}: t5x's checkpoints are not written to s3://, only read from it. Give a folder "
            "on a disk or at gs://, and copy the folder to s3:// when it is there."
        )


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
    check_writable(folder)
    options = ocp.CheckpointManagerOptions(
        step_prefix=PREFIX, max_to_keep=keep, enable_async_checkpointing=False
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
            f"{PREFIX}_STEP with state/_METADATA, or a folder of such."
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

"""t5x's checkpoints of before Orbax: one msgpack file, with large arrays in zarr folders beside it.

`checkpoint_STEP/checkpoint` holds `{'version', 'optimizer': {'target': params, 'state': ...}}`.
A leaf is an array, or the TensorStore spec of a folder such as
`target.encoder.layers_0.mlp.wo.kernel`; the first Orbax checkpoints have a string in its place.
"""

from typing import Any

import numpy as np
from etils import epath
from flax import serialization, traverse_util

from models.checkpoints import checkpoint_folders, tensorstore_arrays
from models.checkpoints.stored import StoredArray, StoredParams

# Under `state` in the first Orbax checkpoints.
_FILES = ("checkpoint", "state/checkpoint")
_PLACEHOLDER = "PLACEHOLDER://"
_MESH_TENSORFLOW = b"model_checkpoint_path"


def find(path: epath.PathLike) -> epath.Path | None:
    """Returns the checkpoint at `path`, or the latest one in it, or None.

    Args:
        path: A msgpack file, a `checkpoint_STEP` folder with one, or a model folder with several.
    """
    path = checkpoint_folders.absolute(path)
    if path.exists() and not path.is_dir():
        return path
    return checkpoint_folders.find(path, lambda folder: _file(folder) is not None)


def _file(folder: epath.Path) -> epath.Path | None:
    return next((folder / name for name in _FILES if (folder / name).exists()), None)


def stored_params(checkpoint: epath.Path) -> StoredParams:
    """Returns the parameters, to be read one by one.

    The msgpack file is read whole, and arrays that are in it stay in host memory until the
    result is dropped. t5x puts only small ones there, unless it ran without partitioning.

    Args:
        checkpoint: From `find`.

    Raises:
        ValueError: The file is none of t5x's, or an array is not there.
    """
    file = _file(checkpoint) or checkpoint
    flat = traverse_util.flatten_dict(_target(file), sep="/", is_leaf=_is_leaf)
    specs = {path: _spec(leaf, file) for path, leaf in flat.items() if _is_zarr(leaf)}
    opened = tensorstore_arrays.open_arrays(specs, source=str(file.parent))
    return {
        path: opened[path] if path in opened else _inline(np.asarray(leaf))
        for path, leaf in flat.items()
    }


def _target(file: epath.Path) -> dict[str, Any]:
    content = file.read_bytes()
    if content.startswith(_MESH_TENSORFLOW):
        raise ValueError(
            f"{file} is a Mesh TensorFlow checkpoint. Convert it with t5x's "
            "scripts/convert_tf_checkpoint.py and give its output."
        )
    try:
        tree = serialization.msgpack_restore(content)
    except ValueError as error:
        raise ValueError(
            f"{file} is no model that can be read: found a file that is no msgpack ({error}), "
            "expected a checkpoint of t5x, or a folder."
        ) from error
    # Since version 1 all is below `optimizer`; t5x reads files without it likewise.
    state = tree.get("optimizer", tree) if isinstance(tree, dict) else {}
    if not isinstance(state.get("target"), dict):
        found = ", ".join(map(str, state)) or type(tree).__name__
        raise ValueError(
            f"{file} is no checkpoint of t5x: found {found}, expected optimizer/target in it."
        )
    return state["target"]


def _is_leaf(_: Any, node: Any) -> bool:
    return _is_zarr(node)


def _is_zarr(leaf: Any) -> bool:
    if isinstance(leaf, str):
        return leaf.startswith(_PLACEHOLDER)
    return isinstance(leaf, dict) and {"driver", "kvstore", "metadata"} <= set(leaf)


def _spec(leaf: Any, file: epath.Path) -> tensorstore_arrays.Spec:
    """The spec of an array that lies beside the msgpack file, wherever it was written.

    t5x too goes by the last part of the path alone: files are copied between gs:// and disks.
    """
    if isinstance(leaf, str):
        path, metadata = leaf.removeprefix(_PLACEHOLDER), {}
    else:
        # TensorStore before 0.1.14 had the path outside.
        path = leaf["kvstore"].get("path") or leaf["path"]
        metadata = {"metadata": {"shape": leaf["metadata"]["shape"]}}
    name = path.rstrip("/").rpartition("/")[2]
    kvstore = tensorstore_arrays.kvstore(file.parent / name)
    return {"driver": "zarr", "kvstore": kvstore, **metadata}


def _inline(array: np.ndarray) -> StoredArray:
    return StoredArray(shape=array.shape, dtype=array.dtype, read=lambda: array)

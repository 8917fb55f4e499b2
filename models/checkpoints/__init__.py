"""Reading models from disk, whoever wrote them."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import traverse_util
from jax.sharding import Mesh

from models.checkpoints import t5x_orbax
from models.configs import T5Config, config_from_json, config_from_params
from models.partitioning import param_shardings
from models.t5 import param_shapes


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model, ready to run.

    Attributes:
        config: Its shape, with the dtype of activations that was asked for.
        params: Nested dict of arrays on the devices.
        digest: SHA-256 of the parameters as stored, hexadecimal; the same whatever the file
            format, dtype asked for and mesh.
        name: For people: the last parts of the path.
    """

    config: T5Config
    params: dict[str, Any]
    digest: str
    name: str


def load_model(
    path: epath.PathLike,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    mesh: Mesh | None = None,
) -> LoadedModel:
    """Loads a T5.

    Args:
        path: A folder written by `prune train` (`config.json` beside `checkpoint_STEP`
            folders, of which the latest is taken), one of those checkpoints, or any Orbax
            checkpoint of t5x's T5 (the config is then inferred from the shapes).
        dtype: Of activations; parameters are cast to it too.
        mesh: Devices to lay the parameters over; None puts them on the default device.

    Raises:
        FileNotFoundError: There is nothing at `path`, or nothing in a format known here.
        ValueError: A parameter is missing, unknown, or of another shape than config.json says.
    """
    path = t5x_orbax.absolute(path)
    checkpoint = t5x_orbax.find(path)
    if checkpoint is None:
        raise FileNotFoundError(_unknown_format(path))
    stored = t5x_orbax.read_params(checkpoint)
    config = _config_beside(checkpoint) or config_from_params(stored)
    config = dataclasses.replace(config, dtype=dtype)
    check_params(stored, config, source=str(checkpoint))
    params = jax.tree.map(lambda array: np.asarray(array, jnp.dtype(dtype)), stored)
    return LoadedModel(
        config=config,
        params=jax.device_put(params, None if mesh is None else param_shardings(params, mesh)),
        digest=params_digest(stored),
        name=path.name if path != checkpoint else f"{path.parent.name}/{path.name}",
    )


def check_params(params: Mapping[str, Any], config: T5Config, *, source: str) -> None:
    """Checks that parameters are those of a config.

    Args:
        params: Nested dict of arrays.
        config: What they should be.
        source: Named in the message.

    Raises:
        ValueError: Names each leaf that is missing, unknown or of another shape, with both
            shapes.
    """
    found = _flat_shapes(params)
    expected = _flat_shapes(param_shapes(config))
    problems = [
        f"{path}: found {found.get(path, 'nothing')}, expected {expected.get(path, 'nothing')}"
        for path in sorted(found | expected)
        if found.get(path) != expected.get(path)
    ]
    if problems:
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(
            f"The parameters of {source} do not fit its config:\n  "
            + "\n  ".join(problems[:10])
            + more
        )


def params_digest(params: Mapping[str, Any]) -> str:
    """Returns the hexadecimal SHA-256 of path, dtype, shape and bytes of each array, by path."""
    digest = hashlib.sha256()
    for path, array in sorted(traverse_util.flatten_dict(params, sep="/").items()):
        array = np.ascontiguousarray(array)
        digest.update(f"{path} {array.dtype} {array.shape}\n".encode())
        digest.update(array.view(np.uint8).data)
    return digest.hexdigest()


def _flat_shapes(params: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    flat = traverse_util.flatten_dict(params, sep="/")
    return {path: tuple(leaf.shape) for path, leaf in flat.items()}


def _config_beside(checkpoint: epath.Path) -> T5Config | None:
    file = checkpoint.parent / "config.json"
    return config_from_json(json.loads(file.read_text())) if file.exists() else None


def _unknown_format(path: epath.Path) -> str:
    if not path.exists():
        return f"There is no model at {path}."
    children = [child.name for child in path.iterdir()] if path.is_dir() else []
    if "checkpoint" in children or not path.is_dir():
        found = "a file, or a legacy t5x checkpoint"
    elif any(name.endswith((".safetensors", ".bin", ".msgpack")) for name in children):
        found = "a Hugging Face folder"
    else:
        found = f"{', '.join(sorted(children)[:5]) or 'an empty folder'}"
    return (
        f"{path} is no model that can be read: found {found}. Known formats: a t5x Orbax "
        "checkpoint (a folder with state/_METADATA), and a folder of such checkpoints as "
        "`prune train` and t5x write. Convert others with t5x first."
    )

"""Checks of what a checkpoint holds against what it says it holds, and its digest."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath
from flax import traverse_util

from models.checkpoints.stored import StoredArray
from models.configs import Config
from models.families import param_shapes

Shapes = dict[str, tuple[int, ...]]

# A line that t5x's `log_model_info` writes; a shape is `(embed=8, mlp=16)` or `(8, 16)`.
_MODEL_INFO_LINE = re.compile(r"Variable +(\S+) +size +\d+ +shape +\((.*?)\) +partition spec")


def check_params(params: Mapping[str, Any], config: Config, *, source: str) -> None:
    """Checks that parameters are those of a config.

    Args:
        params: Nested dict, or flat dict by path, of arrays (stored ones will do).
        config: What they should be.
        source: Named in the message.

    Raises:
        ValueError: Names each leaf that is missing, unknown or of another shape, with both
            shapes.
    """
    expected = _shapes(param_shapes(config))
    _check(_shapes(params), expected, f"The parameters of {source} do not fit its config")


def check_model_info(params: Mapping[str, Any], checkpoint: epath.Path) -> None:
    """Checks parameters against t5x's `model-info.txt` in the model folder, if there is one.

    Args:
        params: As stored, not unrolled.
        checkpoint: A folder of that model folder.

    Raises:
        ValueError: As of `check_params`.
    """
    file = checkpoint.parent / "model-info.txt"
    if not file.exists():
        return
    # The optimizer's arrays follow. Mesh TensorFlow's file of this name has other lines.
    text = file.read_text().partition("Total number of parameters")[0]
    expected = {
        path: tuple(int(axis.rpartition("=")[2]) for axis in shape.split(",") if axis.strip())
        for path, shape in _MODEL_INFO_LINE.findall(text)
    }
    if expected:
        _check(_shapes(params), expected, f"The parameters of {checkpoint} do not fit {file}")


def params_digest(params: Mapping[str, Any]) -> str:
    """Returns the hexadecimal SHA-256 of path, dtype, shape and bytes of each array, by path.

    Args:
        params: Nested dict, or flat dict by path, of arrays; stored ones are read one by one.
    """
    digest = hashlib.sha256()
    for path, array in sorted(traverse_util.flatten_dict(params, sep="/").items()):
        add_to_digest(
            digest, path, array.read() if isinstance(array, StoredArray) else np.asarray(array)
        )
    return digest.hexdigest()


def add_to_digest(digest: "hashlib._Hash", path: str, array: np.ndarray) -> None:
    """Adds the next array, in order of paths."""
    array = np.ascontiguousarray(array)
    digest.update(f"{path} {array.dtype} {array.shape}\n".encode())
    digest.update(array.view(np.uint8).data)


def _shapes(params: Mapping[str, Any]) -> Shapes:
    flat = traverse_util.flatten_dict(params, sep="/")
    return {path: tuple(leaf.shape) for path, leaf in flat.items()}


def _check(found: Shapes, expected: Shapes, problem: str) -> None:
    problems = [
        f"{path}: found {found.get(path, 'nothing')}, expected {expected.get(path, 'nothing')}"
        for path in sorted(found | expected)
        if found.get(path) != expected.get(path)
    ]
    if problems:
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(f"{problem}:\n  " + "\n  ".join(problems[:10]) + more)

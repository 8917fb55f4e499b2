"""Folders named `checkpoint_STEP`, as t5x writes them in every format."""

import os
import re
from collections.abc import Callable

from etils import epath

PREFIX = "checkpoint"
_NAME = re.compile(rf"{PREFIX}_(\d+)")

# Whether a folder is a complete checkpoint of some format.
IsCheckpoint = Callable[[epath.Path], bool]


def absolute(path: epath.PathLike) -> epath.Path:
    """Returns the path as Orbax takes it: absolute where it is local, a URL as it is."""
    path = epath.Path(path)
    # Not `path.absolute()` alone: it puts the working directory before gs://, too.
    return path if "://" in os.fspath(path) else path.absolute()


def step_of(checkpoint: epath.Path) -> int:
    """Returns the step that a folder is named after, or -1."""
    match = _NAME.fullmatch(checkpoint.name)
    return int(match[1]) if match else -1


def steps(folder: epath.PathLike, is_checkpoint: IsCheckpoint) -> list[int]:
    """Returns the steps of the complete checkpoints in a model folder, ascending."""
    folder = epath.Path(folder)
    if not folder.is_dir():
        return []
    children = (child for child in folder.iterdir() if step_of(child) >= 0)
    return sorted(step_of(child) for child in children if is_checkpoint(child))


def find(path: epath.PathLike, is_checkpoint: IsCheckpoint) -> epath.Path | None:
    """Returns the checkpoint at `path`, or the latest complete one in it, or None.

    Args:
        path: A `checkpoint_STEP` folder (whatever its name), or a model folder with several.
        is_checkpoint: Says whether a folder is a complete one of the format.

    Returns:
        An absolute path or a URL.
    """
    path = absolute(path)
    if is_checkpoint(path):
        return path
    known = steps(path, is_checkpoint)
    return path / f"{PREFIX}_{known[-1]}" if known else None

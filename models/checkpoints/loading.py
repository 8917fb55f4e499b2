"""From a path to a model on the devices, one array at a time."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import traverse_util
from jax.sharding import Mesh

from models.checkpoints import checkpoint_folders, hugging_face, scanned, t5x_legacy, t5x_orbax
from models.checkpoints.checking import add_to_digest, check_model_info, check_params
from models.checkpoints.inferred_config import config_from_params
from models.checkpoints.stored import StoredParams
from models.configs import Config, check_dtype, config_from_json
from models.partitioning import param_shardings, put

# Opens a display of progress over that many bytes; what it gives takes each array's bytes.
Progress = Callable[[int], contextlib.AbstractContextManager[Callable[[int], object]]]


# Decoding one array takes one core.
_READ_AHEAD = 4


def _no_progress(_: int) -> contextlib.AbstractContextManager[Callable[[int], object]]:
    return contextlib.nullcontext(lambda _: None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A model on disk, checked and not yet read.

    Attributes:
        config: Its shape.
        params: Its parameters by path, as the networks here have them.
        name: For people: the last parts of the path, or the name on the Hugging Face hub.
    """

    config: Config
    params: StoredParams
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model, ready to run.

    Attributes:
        config: Its shape, with the dtype of activations that was asked for.
        params: Nested dict of arrays on the devices.
        digest: SHA-256 of the parameters as stored, hexadecimal; the same whatever the file
            format, dtype asked for and mesh.
        name: For people: the last parts of the path, or the name on the Hugging Face hub.
    """

    config: Config
    params: dict[str, Any]
    digest: str
    name: str


def open_model(path: epath.PathLike) -> StoredModel:
    """Opens a model, checks every array's shape, and reads none.

    Args:
        path: As for `load_model`.

    Raises:
        FileNotFoundError: There is nothing at `path`, or nothing in a format known here.
        ValueError: A parameter is missing, unknown, or of another shape than config.json or
            model-info.txt says.
    """
    source = checkpoint_folders.absolute(path)
    found = [
        (checkpoint, t5x)
        for t5x in (t5x_orbax, t5x_legacy)
        if (checkpoint := t5x.find(source)) is not None
    ]
    if found:
        # A model folder may have gone on in the newer format.
        checkpoint, t5x = max(found, key=lambda pair: checkpoint_folders.step_of(pair[0]))
        stored = t5x.stored_params(checkpoint)
        check_model_info(stored, checkpoint)
        params = scanned.unroll(stored, source=str(checkpoint))
        config = _config_beside(checkpoint) or config_from_params(params)
        same = source == checkpoint
        name = f"{source.parent.name}/{source.name}" if same else source.name
    else:
        folder = hugging_face.find(path)
        if folder is None:
            raise FileNotFoundError(_unknown_format(source))
        config = hugging_face.read_config(folder)
        params = hugging_face.stored_params(folder, config)
        checkpoint, name = folder, source.name if source.exists() else os.fspath(path)
    check_params(params, config, source=str(checkpoint))
    return StoredModel(config=config, params=params, name=name)


def load_model(
    path: epath.PathLike,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    mesh: Mesh | None = None,
    progress: Progress = _no_progress,
    encoder_only: bool = False,
) -> LoadedModel:
    """Loads a T5 of any kind, Sentence-T5 among them, or a decoder-only model of `prune train`.

    Arrays are read, cast and laid over the devices one after another, a few ahead, so that the
    host holds some of them and never a second copy of the model.

    Args:
        path: One of

            - a folder of `checkpoint_STEP` folders, of which the latest is taken, or one of
              those, written by `prune train` or t5x (Orbax, or msgpack with or without zarr;
              of `examples/t5` or `scalable_t5`), or t5x's msgpack file alone. The config is
              that of a `config.json` in either folder, else it is inferred from the shapes,
              which do not tell that of a decoder-only model.
            - a Hugging Face folder with safetensors, or a name on the hub.
        dtype: Of activations; parameters are cast to it too.
        mesh: Devices to lay the parameters over; None puts them on the default device.
        progress: Shows how far it is; called once with the bytes to be read.
        encoder_only: Leaves a decoder out of `params`, for embeddings. It is read all the same,
            for the digest.

    Raises:
        FileNotFoundError: There is nothing at `path`, or nothing in a format known here.
        ValueError: A parameter is missing, unknown, or of another shape than config.json or
            model-info.txt says; or the dtype is float16.
    """
    check_dtype(dtype)
    model = open_model(path)
    params, digest = _to_devices(
        model, jnp.dtype(dtype), mesh, progress, without="decoder/" if encoder_only else None
    )
    return LoadedModel(
        config=dataclasses.replace(model.config, dtype=dtype),
        params=params,
        digest=digest,
        name=model.name,
    )


def _to_devices(
    model: StoredModel,
    dtype: np.dtype,
    mesh: Mesh | None,
    progress: Progress,
    *,
    without: str | None = None,
) -> tuple[dict[str, Any], str]:
    """The nested arrays on the devices, `without` those below a path; the digest of all stored."""
    stored = model.params
    shardings: Mapping[str, Any] = {}
    if mesh is not None:
        tree = param_shardings(model.config, traverse_util.unflatten_dict(stored, sep="/"), mesh)
        shardings = traverse_util.flatten_dict(tree, sep="/")
    digest = hashlib.sha256()
    arrays = {}
    num_bytes = sum(math.prod(array.shape) * array.dtype.itemsize for array in stored.values())
    with progress(num_bytes) as advance:
        for path, array in _read_ahead(stored):
            add_to_digest(digest, path, array)
            if without is None or not path.startswith(without):
                arrays[path] = put(array.astype(dtype, copy=False), shardings.get(path))
                # Or else what was sent but has not arrived piles up in host memory.
                arrays[path].block_until_ready()
            advance(array.nbytes)
    return traverse_util.unflatten_dict(arrays, sep="/"), digest.hexdigest()


def _read_ahead(stored: StoredParams) -> Iterator[tuple[str, np.ndarray]]:
    """Reads arrays in order of paths, the next few while the last is used."""
    reading: collections.deque[tuple[str, concurrent.futures.Future[np.ndarray]]]
    reading = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(_READ_AHEAD) as readers:
        for path in sorted(stored):
            reading.append((path, readers.submit(stored[path].read)))
            if len(reading) > _READ_AHEAD:
                yield _finish(reading.popleft())
        while reading:
            yield _finish(reading.popleft())


def _finish(
    reading: tuple[str, concurrent.futures.Future[np.ndarray]],
) -> tuple[str, np.ndarray]:
    path, future = reading
    return path, future.result()


def _config_beside(checkpoint: epath.Path) -> Config | None:
    for folder in (checkpoint, checkpoint.parent):
        if (folder / "config.json").exists():
            return config_from_json(json.loads((folder / "config.json").read_text()))
    return None


def _unknown_format(path: epath.Path) -> str:
    if not path.exists():
        return f"There is no model at {path}."
    found = ", ".join(sorted(child.name for child in path.iterdir())[:5])
    return (
        f"{path} is no model that can be read: found {found or 'an empty folder'}. Known formats: "
        "t5x's Orbax checkpoints (a folder with state/_METADATA), its older ones (a folder with "
        "a msgpack file `checkpoint`, or that file), folders of such checkpoints as `prune train` "
        "and t5x write, and Hugging Face folders (config.json and model.safetensors)."
    )

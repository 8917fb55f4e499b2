"""Folders of safetensors: one file, or several with an index, as Hugging Face lays them out."""

import functools
import json
import os
from collections.abc import Mapping
from typing import Any

import fsspec
import jax.numpy as jnp
import numpy as np
from etils import epath
from safetensors import SafetensorError, safe_open

from models.checkpoints.stored import StoredArray

# As large as the files of the public models.
MAX_FILE_BYTES = 5_000_000_000

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_SAFETENSORS_DTYPES = {numpy: stored for stored, numpy in _DTYPES.items()}


def is_in(folder: epath.Path) -> bool:
    """Whether a folder has safetensors."""
    return (folder / _SINGLE).exists() or (folder / _INDEX).exists()


def read(folder: epath.Path) -> dict[str, StoredArray]:
    """Returns all tensors by name; each is read when it is asked for.

    Raises:
        FileNotFoundError: A file that the index names is missing.
        ValueError: A file is damaged, or a tensor has a dtype that no T5 has.
    """
    files = [folder / _SINGLE]
    if (folder / _INDEX).exists():
        index = json.loads((folder / _INDEX).read_text())
        files = [folder / name for name in sorted(set(index["weight_map"].values()))]
    if missing := [file.name for file in files if not file.exists()]:
        raise FileNotFoundError(
            f"{folder} has no {', '.join(missing)}, which {_INDEX} names. Download it again."
        )
    read_file = _read_object if "://" in os.fspath(folder) else _read_file
    return {name: tensor for file in files for name, tensor in read_file(file).items()}


def write(
    folder: epath.Path, tensors: Mapping[str, StoredArray], *, max_file_bytes: int = MAX_FILE_BYTES
) -> None:
    """Writes tensors under their names, in one file or in several with an index.

    One tensor at a time is in host memory, which the library's own writer does not offer.

    Args:
        folder: Is there.
        tensors: They keep their dtypes and bytes.
        max_file_bytes: Size of a file; a tensor that is larger has a file of its own.
    """
    groups = _groups(tensors, max_file_bytes)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(groups, start=1):
        one_of_several = f"model-{number:05}-of-{len(groups):05}.safetensors"
        file = one_of_several if len(groups) > 1 else _SINGLE
        _write_file(folder / file, {name: tensors[name] for name in names})
        weight_map |= dict.fromkeys(names, file)
    if len(groups) > 1:
        total = sum(_num_bytes(tensor) for tensor in tensors.values())
        write_json(folder / _INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def write_json(file: epath.Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON file for people and programs."""
    file.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def _write_file(file: epath.Path, tensors: Mapping[str, StoredArray]) -> None:
    # Transformers 4 refuses a file that does not say which library's layout it has.
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + _num_bytes(tensor)
        dtype = _SAFETENSORS_DTYPES[tensor.dtype.name]
        header[name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with file.open("wb") as out:
        out.write(len(encoded).to_bytes(8, "little") + encoded)
        for tensor in tensors.values():
            out.write(np.ascontiguousarray(tensor.read()).view(np.uint8).data)


def _read_file(file: epath.Path) -> dict[str, StoredArray]:
    try:
        with safe_open(os.fspath(file), framework="numpy") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{file} is no whole safetensors file: {error}. Download or write it again."
        ) from error
    return {
        name: StoredArray(
            shape=tuple(part.get_shape()),
            dtype=_dtype(part.get_dtype(), name, file),
            read=functools.partial(_read_tensor, file, name),
        )
        for name, part in slices.items()
    }


def _read_object(file: epath.Path) -> dict[str, StoredArray]:
    """As `_read_file`, where nothing can be mapped into memory: each tensor is one request."""
    fs, path = fsspec.core.url_to_fs(os.fspath(file))
    size = fs.info(path)["size"]
    header_end = 8 + int.from_bytes(fs.cat_file(path, start=0, end=8), "little")
    try:
        header = (
            json.loads(fs.cat_file(path, start=8, end=header_end)) if header_end <= size else {}
        )
    except ValueError:
        header = {}
    header.pop("__metadata__", None)
    ends = [part["data_offsets"][1] for part in header.values()]
    if not header or header_end + max(ends) != size:
        raise ValueError(
            f"{file} is no whole safetensors file: it has {size:,} bytes, and its header does not "
            "add up to that. Copy or write it again."
        )
    tensors = {}
    for name, part in header.items():
        begin, end = (header_end + offset for offset in part["data_offsets"])
        shape, dtype = tuple(part["shape"]), _dtype(part["dtype"], name, file)
        read = functools.partial(_read_range, file, begin, end, shape, dtype)
        tensors[name] = StoredArray(shape=shape, dtype=dtype, read=read)
    return tensors


def _read_range(
    file: epath.Path, begin: int, end: int, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    fs, path = fsspec.core.url_to_fs(os.fspath(file))
    return np.frombuffer(fs.cat_file(path, start=begin, end=end), dtype).reshape(shape)


def _read_tensor(file: epath.Path, name: str) -> np.ndarray:
    # Opened anew each time, so that pages mapped for earlier tensors do not pile up.
    with safe_open(os.fspath(file), framework="numpy") as opened:
        return opened.get_tensor(name)


def _dtype(stored: str, name: str, file: epath.Path) -> np.dtype:
    if stored not in _DTYPES:
        raise ValueError(
            f"{name} of {file} is stored as {stored}; expected one of {', '.join(_DTYPES)}. "
            "Quantized models cannot be read: give the original."
        )
    return jnp.dtype(_DTYPES[stored])


def _groups(tensors: Mapping[str, StoredArray], max_bytes: int) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    size = 0
    # The widest dtypes first, so that every number of a file lies at a multiple of its size.
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize):
        if size and size + _num_bytes(tensor) > max_bytes:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += _num_bytes(tensor)
    return groups


def _num_bytes(tensor: StoredArray) -> int:
    return int(np.prod(tensor.shape)) * tensor.dtype.itemsize

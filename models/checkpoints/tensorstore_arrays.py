"""Arrays in TensorStore's zarr, opened all at once and read one by one."""

import functools
import os
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import tensorstore as ts
from etils import epath

from models.checkpoints.stored import StoredArray, StoredParams

# A TensorStore spec: JSON values.
Spec = dict[str, Any]

_DRIVERS = {"gs": "gcs", "s3": "s3"}
# So that OCDBT's directory is not read again for each array. The default pool, which would hold
# arrays too, stays empty.
_OCDBT_POOL = "cache_pool#ocdbt"
_CONTEXT = {_OCDBT_POOL: {"total_bytes_limit": 100_000_000}}


def kvstore(folder: epath.Path) -> Spec:
    """Returns the spec of a folder's files.

    Args:
        folder: An absolute path, or a URL of gs:// or s3://.
    """
    scheme, _, rest = os.fspath(folder).rpartition("://")
    if not scheme:
        return {"driver": "file", "path": f"{folder}/"}
    bucket, _, key = rest.partition("/")
    spec = {"driver": _DRIVERS[scheme], "bucket": bucket, "path": f"{key}/"}
    if scheme == "s3" and (endpoint := os.environ.get("AWS_ENDPOINT_URL")):
        # TensorStore, unlike others, does not look for it.
        return {
            **spec,
            "endpoint": endpoint,
            "aws_region": os.environ.get("AWS_REGION", "us-east-1"),
        }
    if scheme == "gs" and (emulator := os.environ.get("STORAGE_EMULATOR_HOST")):
        os.environ.setdefault("TENSORSTORE_GCS_HTTP_URL", emulator)
    return spec


def ocdbt(folder: epath.Path, name: str) -> Spec:
    """Returns the spec of the files of one array in a folder's OCDBT store."""
    base = kvstore(folder)
    return {"driver": "ocdbt", "base": base, "path": f"{name}/", "cache_pool": _OCDBT_POOL}


def open_arrays(specs: Mapping[str, Spec], *, source: str) -> StoredParams:
    """Opens arrays without reading them.

    Args:
        specs: By path in the tree.
        source: Named in messages.

    Raises:
        ValueError: An array is not there; when it is read also: a part of it is not there.
    """
    context = ts.Context(_CONTEXT)
    # A part that was not copied reads as zeros otherwise.
    strict = {"fill_missing_data_reads": False}
    opening = {
        path: ts.open({**spec, **strict}, open=True, read=True, context=context)
        for path, spec in specs.items()
    }
    return {path: _stored(path, future, source) for path, future in opening.items()}


def _stored(path: str, opening: ts.Future, source: str) -> StoredArray:
    store = _result(opening, path, source)
    dtype = store.dtype.numpy_dtype
    # Before version 3 (June 2021) t5x wrote the bits of bfloat16 as integers.
    return StoredArray(
        shape=tuple(store.shape),
        dtype=np.dtype(jnp.bfloat16) if dtype == np.uint16 else dtype,
        read=functools.partial(_read, store, path, source),
    )


def _read(store: ts.TensorStore, path: str, source: str) -> np.ndarray:
    array = _result(store.read(), path, source)
    return array.view(jnp.bfloat16) if array.dtype == np.uint16 else array


def _result(future: ts.Future, path: str, source: str) -> Any:
    try:
        return future.result()
    except (ValueError, OSError) as error:
        reason = str(error).partition(" [source locations")[0]
        raise ValueError(
            f"The array {path} of {source} cannot be read; is the checkpoint whole? Copy it again "
            f"if not. TensorStore says: {reason}"
        ) from error

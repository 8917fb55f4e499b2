"""Trees of t5x's `scalable_t5`, where one array holds a parameter of all layers of a stack.

`encoder/encoder/attention/query/kernel` is [D, layers, H, K] there, and
`encoder/layers_0/attention/query/kernel` [D, H * K] in `examples/t5`. Each layer has a position
bias of its own (umT5), which stays so.
"""

import functools
import math
import re
import threading

import numpy as np

from models.checkpoints.stored import StoredArray, StoredParams

_STACKED = re.compile(r"(encoder|decoder)/\1/(.*)")
_INTO_HEADS = re.compile(r".*attention/(query|key|value)/kernel")
_OUT_OF_HEADS = re.compile(r".*attention/out/kernel")


def unroll(params: StoredParams, *, source: str) -> StoredParams:
    """Returns the tree of `examples/t5`, with heads and their width in one axis.

    Trees that are so already come back as they are. A stacked array is read once, with its
    first layer, and the others stay in host memory until each is asked for: half a model, read
    layer by layer, but still no second copy of what is on the devices.

    Args:
        params: By path, stacked or not.
        source: Named in messages.

    Raises:
        ValueError: The shapes do not tell over which axis layers are stacked.
    """
    stacked = {path: match for path in params if (match := _STACKED.fullmatch(path))}
    axis = _scan_axis({path: params[path].shape for path in stacked}, params, source)
    unrolled = {}
    for path, array in params.items():
        if path not in stacked:
            unrolled[path] = _joined(path, array)
            continue
        stack, name = stacked[path].groups()
        layers = _Layers(array, axis)
        for layer in range(array.shape[axis]):
            path = f"{stack}/layers_{layer}/{name}"
            unrolled[path] = _joined(path, layers.stored(layer))
    return unrolled


def _scan_axis(shapes: dict[str, tuple[int, ...]], params: StoredParams, source: str) -> int:
    """The axis of layers, by the scales of norms: [D, layers], or [layers, D]."""
    scales = {path: shape for path, shape in shapes.items() if path.endswith("_norm/scale")}
    if not shapes:
        return 1
    d_model = params["token_embedder/embedding"].shape[1]
    axes = [axis for axis in (0, 1) if all(s[1 - axis] == d_model for s in scales.values())]
    if len(axes) != 1 or not scales:
        path, shape = next(iter((scales or shapes).items()))
        raise ValueError(
            f"{source} has stacked layers, and over which axis is not to be told: {path} is "
            f"{shape}, expected [{d_model}, layers] or [layers, {d_model}] with another number "
            "of layers. Unroll it with t5x (scan_layers=False), or write it with "
            "param_scan_axis=1."
        )
    return axes[0]


class _Layers:
    """The layers of one stacked array, which are handed out once each."""

    def __init__(self, stacked: StoredArray, axis: int):
        self._stacked = stacked
        self._axis = axis
        self._read: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def stored(self, layer: int) -> StoredArray:
        shape = list(self._stacked.shape)
        del shape[self._axis]
        return StoredArray(
            shape=tuple(shape),
            dtype=self._stacked.dtype,
            read=functools.partial(self._layer, layer),
        )

    def _layer(self, layer: int) -> np.ndarray:
        with self._lock:
            if layer not in self._read:
                stacked = self._stacked.read()
                layers = range(stacked.shape[self._axis])
                self._read = {each: stacked.take(each, axis=self._axis) for each in layers}
            return self._read.pop(layer)


def _joined(path: str, array: StoredArray) -> StoredArray:
    """Joins heads and their width, where a kernel of attention has them in two axes."""
    if len(array.shape) != 3:
        return array
    if _INTO_HEADS.fullmatch(path):
        shape = (array.shape[0], math.prod(array.shape[1:]))
    elif _OUT_OF_HEADS.fullmatch(path):
        shape = (math.prod(array.shape[:2]), array.shape[2])
    else:
        return array
    return StoredArray(shape=shape, dtype=array.dtype, read=lambda: array.read().reshape(shape))

"""The ways of computing attention against its definition."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import attention
from models.configs import named_config
from models.t5 import T5, init_params
from models.t5_layers import segment_mask

B, Q, C, H, K, D = 2, 3, 40, 4, 8, 24


def arrays(dtype: str) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    shapes = {"query": (B, Q, H, K), "memory": (B, C, D), "key": (D, H, K), "value": (D, H, K)}
    drawn = {n: rng.normal(size=s) / np.sqrt(s[-1]) for n, s in shapes.items()}
    return {n: jnp.asarray(a, dtype) for n, a in drawn.items()}


def mask_and_bias() -> tuple[jax.Array, jax.Array]:
    queries = jnp.asarray(np.broadcast_to(np.arange(1, Q + 1), (B, Q)))
    keys = jnp.asarray(np.broadcast_to(1 + np.arange(C) // 10, (B, C)))
    bias = np.random.default_rng(1).normal(size=(1, H, Q, C))
    return segment_mask(queries, keys), jnp.asarray(bias, jnp.float32)


def definition(query, key, value, mask, bias) -> np.ndarray:
    """In float64, position by position, over the keys that are seen."""
    y = np.zeros((B, Q, H, K))
    for b, q, h in np.ndindex(B, Q, H):
        seen = np.flatnonzero(np.asarray(mask)[b, 0, q])
        scores = np.asarray(key, np.float64)[b, seen, h] @ np.asarray(query, np.float64)[b, q, h]
        scores += np.asarray(bias)[0, h, q, seen]
        weights = np.exp(scores - scores.max())
        y[b, q, h] = (weights / weights.sum()) @ np.asarray(value, np.float64)[b, seen, h]
    return y


def projected(memory, kernel) -> jax.Array:
    return jnp.einsum("BCD,DHK->BCHK", memory, kernel, preferred_element_type=jnp.float32)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 2e-2)])
def test_all_ways_agree_with_the_definition(monkeypatch, dtype, tolerance):
    a = arrays(dtype)
    mask, bias = mask_and_bias()
    key, value = (projected(a["memory"], a[n]).astype(dtype) for n in ("key", "value"))
    expected = definition(
        a["query"],
        *(projected(*(a[n].astype("float32") for n in ("memory", m))) for m in ("key", "value")),
        mask,
        bias,
    )

    def weights(scores):
        return attention.masked_softmax(scores, mask, bias).astype(dtype)

    # cuDNN itself needs a GPU: this sees what is handed to it.
    handed_on = functools.partial(jax.nn.dot_product_attention)
    monkeypatch.setattr(
        jax.nn,
        "dot_product_attention",
        lambda *args, implementation, **kwargs: handed_on(*args, implementation="xla", **kwargs),
    )
    found = {
        "attend": jax.jit(functools.partial(attention.attend, weights=weights))(
            a["query"], key, value
        ),
        "to memory": jax.jit(functools.partial(attention.attend_to_memory, weights=weights))(
            a["query"], a["memory"], a["key"], a["value"]
        ),
        "cudnn": attention.attend_with_cudnn(a["query"], key, value, mask, bias),
    }
    for way, y_BQHK in found.items():
        np.testing.assert_allclose(
            np.asarray(y_BQHK, np.float32), expected, atol=tolerance, err_msg=way
        )


def test_few_queries_go_to_the_memory():
    small = {"d_model": 512, "head_dim": 64}
    assert attention.is_memory_cheaper(5, 512, **small)
    assert not attention.is_memory_cheaper(114, 512, **small)
    assert not attention.is_memory_cheaper(5, 5, **small)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_decoder_of_few_positions_gives_the_same_either_way(monkeypatch, dtype):
    config = dataclasses.replace(named_config("tiny"), vocab_size=50, dtype=dtype)
    params = init_params(config, jax.random.key(0))
    tokens = np.random.default_rng(0).integers(1, 50, (2, 64)).astype(np.int32)
    segments = (1 + np.arange(64) // 22).clip(max=2).astype(np.int32)[None].repeat(2, 0)
    starts, asked = np.zeros((2, 2), np.int32), np.array([[1, 2]] * 2, np.int32)

    def hidden() -> np.ndarray:
        y = T5(config).apply({"params": params}, tokens, segments, starts, asked)
        return np.asarray(y, np.float32)

    assert attention.is_memory_cheaper(2, 64, config.d_model, config.head_dim)
    to_memory = hidden()
    monkeypatch.setattr(attention, "is_memory_cheaper", lambda *_: False)
    np.testing.assert_allclose(to_memory, hidden(), atol=1e-5 if dtype == "float32" else 5e-2)

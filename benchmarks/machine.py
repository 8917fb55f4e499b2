"""What the machine can do, to compare with what a model gets of it."""

import time

import jax
import jax.numpy as jnp


def matmul_rate(dtype: str, size: int = 2048, seconds: float = 1.0) -> float:
    """Floating-point operations a second of a square product that accumulates in float32."""
    a = jnp.ones((size, size), dtype)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    jax.block_until_ready(product(a, a))
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        jax.block_until_ready(product(a, a))
        count += 1
    return count * 2 * size**3 / (time.monotonic() - begun)

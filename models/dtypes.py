"""The dtypes that a model can run in."""

from typing import Literal

Dtype = Literal["float32", "bfloat16"]


def check_dtype(dtype: str) -> None:
    """Checks that a model can run in a dtype.

    Raises:
        ValueError: It is not float32 or bfloat16; says why float16 is not.
    """
    if dtype == "float16":
        raise ValueError(
            "dtype is 'float16', in which T5 does not work: it was trained in bfloat16, and its "
            "activations (Flan-T5's above all) pass 65,504, the largest number of float16, so "
            "that scores become inf or NaN. Use bfloat16, which is as fast, or float32."
        )
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"dtype is {dtype!r}; it can be one of: float32, bfloat16.")

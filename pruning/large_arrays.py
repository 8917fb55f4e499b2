"""Arrays that may be larger than the memory."""

import os
import tempfile

import numpy as np
import numpy.typing as npt

# Of the machine's memory, what one array may take before it goes to a file.
SHARE = 0.4


def fits_in_memory(num_bytes: int) -> bool:
    return num_bytes <= SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def large_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """Zeros in memory, or where they do not fit, in a file without a name in TMPDIR."""
    num_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if fits_in_memory(num_bytes):
        return np.zeros(shape, dtype)
    # Kept open by the array; the system removes it with the process, however that ends.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)

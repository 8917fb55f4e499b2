"""Keeps compiled programs on disk between runs."""

import os
import pathlib


def cache_compiled_programs() -> None:
    """Points JAX at a cache of compiled programs, unless the user has set one."""
    import jax

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        jax.config.update(
            "jax_compilation_cache_dir", os.fspath(pathlib.Path(home) / "t5x-pruning" / "jax")
        )

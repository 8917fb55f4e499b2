"""Tests that need t5x; without it each is skipped, and named in the summary by `pytest -rs`."""

import importlib.util
import sys

import pytest

# Not `tests/t5x`: such a folder would pass for t5x where that is not installed.
_SPEC = importlib.util.find_spec("t5x")
HAS_T5X = _SPEC is not None and _SPEC.origin is not None


def pytest_collection_modifyitems(items):
    for item in items:
        if "with_t5x" in str(item.path) and not HAS_T5X:
            item.add_marker(pytest.mark.skip(reason="t5x is not installed (README, Install)"))


@pytest.fixture(autouse=True)
def _registries(monkeypatch):
    """Each test registers its own tasks and parses its own gin files."""
    if not HAS_T5X:
        yield
        return
    import gin
    import jax
    import seqio

    monkeypatch.setattr(seqio.TaskRegistry, "_REGISTRY", {})
    monkeypatch.setattr(seqio.MixtureRegistry, "_REGISTRY", {})
    seqio.utils._list_files_for_glob.cache_clear()
    gin.clear_config(clear_constants=True)
    # t5x lets arrays grow dimensions; the tests of our own code do not.
    with jax.numpy_rank_promotion("allow"):
        yield
    gin.clear_config(clear_constants=True)


def other_vocabulary():
    import seqio

    return seqio.ByteVocabulary(extra_ids=9)


@pytest.fixture
def run_as_script(monkeypatch):
    """Makes a module of t5x the `__main__` that its gin files import, beside `other_vocabulary`."""
    import gin

    gin.external_configurable(other_vocabulary)

    def become(name):
        module = importlib.import_module(f"t5x.{name}")
        monkeypatch.setitem(sys.modules, "__main__", module)
        return module

    return become

import gin
import pytest
import seqio


@pytest.fixture(autouse=True)
def _registries(monkeypatch):
    """Each test registers its own tasks, binds its own gin, and opens TFDS datasets anew."""
    gin.clear_config()  # which a job before left locked
    monkeypatch.setattr(seqio.TaskRegistry, "_REGISTRY", {})
    monkeypatch.setattr(seqio.MixtureRegistry, "_REGISTRY", {})
    monkeypatch.setattr(seqio.utils.LazyTfdsLoader, "_MEMOIZED_BUILDERS", {})
    seqio.utils._list_files_for_glob.cache_clear()

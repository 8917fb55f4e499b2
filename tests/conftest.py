import os
import random

# Before any test imports JAX: an array that silently grows a dimension is a mistake.
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"

import numpy as np
import pytest
from hypothesis import settings

# The same examples on every machine, and no time limit on a busy one.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("suite")


def pytest_configure(config):
    # Warnings that our own code causes; those inside other packages are theirs.
    config.addinivalue_line("filterwarnings", r"error:::(pruning|models|seqio_tasks)(\.|$)")


@pytest.fixture(autouse=True)
def _seeds():
    random.seed(0)
    np.random.seed(0)

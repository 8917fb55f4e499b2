"""One of the processes that hold a model between them ends, and the other does not wait for it."""

import signal

import pytest
from spanning import UNITS, make_inputs, run, writers


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(0, 1, "prune score: The disk is gone."), (signal.SIGKILL, -signal.SIGKILL, "")],
)
def test_an_error_and_sigkill_in_one_end_both(tmp_path, number, code, said):
    """That the first process is gone JAX says at once; of another it waits 100 s for a sign."""
    make_inputs(tmp_path)
    output = tmp_path / "out"
    codes, errors = run(tmp_path, "perplexity", output, processes=2, at=[(0, 5)], number=number)
    assert codes[0] == code, errors
    assert said in errors[0]
    assert codes[1] not in (0, 143)
    assert "another task died" in errors[1] or "hold the model between them" in errors[1]
    assert 0 < len(writers(output)) < UNITS

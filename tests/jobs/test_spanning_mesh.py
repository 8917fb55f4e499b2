"""A model that several processes hold between them has the scores of one device."""

import signal

import numpy as np
import pytest
from spanning import SCORERS, UNITS, command, make_inputs, run, toy, writers

from pruning.cli import main
from pruning.score_store import open_store
from pruning.wording import plural


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Inputs, and the stores of one device."""
    folder = tmp_path_factory.mktemp("spanning")
    make_inputs(folder)
    # Three rows do not divide over two devices, so that there is one.
    for name in SCORERS:
        main(command(folder, name, folder / name))
    return folder


def check_equal(left, right):
    """The same integers and texts, and floats within 1e-5."""
    left, right = open_store(left), open_store(right)
    assert left.is_complete
    assert right.is_complete
    compared = 0
    for unit, expected in left.tables():
        found = right.read(unit)
        for field in expected.schema:
            values = [table[field.name].to_numpy() for table in (expected, found)]
            if str(field.type) == "float":
                np.testing.assert_allclose(*values, rtol=0, atol=1e-5)
                compared += np.isfinite(values[0]).sum()
            else:
                assert expected[field.name].equals(found[field.name]), field.name
    assert compared > 100
    assert (left.folder / "_SUCCESS").read_bytes() == (right.folder / "_SUCCESS").read_bytes()


def test_two_groups_of_two_processes_have_the_scores_of_one_device(folder, tmp_path):
    codes, errors = run(folder, "ask_llm", tmp_path / "out", processes=4, model_devices=4)
    assert codes == [0] * 4, errors
    check_equal(folder / "ask_llm", tmp_path / "out")
    by = writers(tmp_path / "out")
    assert len(by) == UNITS
    # Every second unit is of each group, whose first process writes it.
    assert sorted(map(tuple, by.values())) == [(0,)] * 6 + [(2,)] * 6


@pytest.fixture(scope="module")
def undisturbed(folder):
    codes, errors = run(folder, "perplexity", folder / "two", processes=2)
    assert codes == [0, 0], errors
    return folder / "two"


def test_two_processes_have_the_scores_of_one_device(folder, undisturbed):
    check_equal(folder / "perplexity", undisturbed)
    by = writers(undisturbed)
    assert len(by) == UNITS
    assert set(map(tuple, by.values())) == {(0,)}


def test_sigterm_to_one_stops_both_at_the_same_unit(folder, undisturbed, tmp_path):
    output = tmp_path / "out"
    codes, errors = run(
        folder, "perplexity", output, processes=2, at=[(1, 4)], number=signal.SIGTERM
    )
    assert codes == [143, 143], errors
    said = {error.partition("prune score: ")[2] for error in errors}
    written = len(writers(output))
    assert said == {
        f"Stopped by SIGTERM: {plural(written, 'unit')} written, {UNITS - written} left. The same "
        "command goes on.\n"
    }
    assert 0 < written < 6
    # What is left to do the first process says.
    codes, errors = run(folder, "perplexity", output, processes=2, blind=[1])
    assert codes == [0, 0], errors
    assert toy.tree(output) == toy.tree(undisturbed)
    assert set(map(tuple, writers(output).values())) == {(0,)}

"""The scorer that the guide writes works as the guide says."""

import pathlib
import re

import numpy as np
import pytest
import toy

from pruning.scorers import SCORERS

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "add_a_scorer.md"


@pytest.fixture
def capitals(monkeypatch):
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    assert len(code.splitlines()) <= 60
    names = {"__name__": "capitals"}
    exec(code, names)
    monkeypatch.setitem(SCORERS, "capitals", names["Capitals"])


def test_it_scores_and_resumes_and_guards_its_settings(capitals, tmp_path):
    path = toy.write_jsonl(tmp_path / "a.jsonl", ["THE WHOLE of it", "no capitals here", "Few"])
    run = {"source": f"jsonl:{path}", "output": tmp_path / "scores", "unit_rows": 2}
    store = toy.score(["capitals"], **run, settings=["least_letters=4"])
    np.testing.assert_allclose(toy.column(store, "capitals"), [8 / 12, 0, np.nan])
    assert toy.column(store, "reason") == [None, None, "not_finite"]
    toy.score(["capitals"], **run, settings=["least_letters=4"])
    with pytest.raises(ValueError, match=r"scorers\.capitals\.least_letters = 4, this run has 5"):
        toy.score(["capitals"], **run, settings=["least_letters=5"])

"""Scorers: the arithmetic of each, and the list of them."""

import dataclasses

import numpy as np
import pytest
import toy

from pruning.hashing import id_uniform
from pruning.prompts import Question
from pruning.scorers import SCORERS, ScorableDocuments, is_learner, make_scorers

DOCUMENTS = ScorableDocuments(
    file="a.jsonl",
    rows_N=np.array([3, 4, 9]),
    n_bytes_N=np.array([40, 10, 3]),
    text_hash_N=np.array([1, -2, 3]),
    texts_N=["a b c", "d", "e"],
    embedding_ND=np.eye(3, dtype=np.float32),
    n_tokens_N=np.array([20, 8, 1]),
    n_predicted_N=np.array([5, 8, 0]),
    n_targets_N=np.array([8, 9, 2]),
    token_sums={
        "nll": np.array([16.0, 4.5, 3.0]),
        "log_p_yes": np.array([-0.5, -1e-9, -80.25]),
        "log_p_no": np.array([-1.0, -30.0, -2.0]),
        "el2n": np.array([4.0, 9.0, 1.0]),
        "match": np.array([0.0, 8.0, 32.0]),
        "embedding": np.eye(3),
    },
)


class OneUnit:
    """A corpus of these documents."""

    num_rows = 3

    def __iter__(self):
        yield DOCUMENTS


def test_perplexity_is_the_mean_over_target_tokens():
    (scorer,) = make_scorers(["perplexity"])
    columns = scorer.score(DOCUMENTS)
    assert columns["nll"].tolist() == [2.0, 0.5, 1.5]
    # 16 nats over a quarter of 40 bytes; 4.5 over all 10; no byte is predicted of the last.
    expected = [16 / np.log(2) / 10, 4.5 / np.log(2) / 10, np.nan]
    np.testing.assert_allclose(columns["bits_per_byte"], expected, rtol=1e-6)
    assert {c.dtype for c in columns.values()} == {np.dtype(np.float32)}
    assert scorer.needs == {"nll"}


def test_random_is_the_hash_of_id_and_seed_whatever_the_text():
    (scorer,) = make_scorers(["random"], seed=7)
    other = dataclasses.replace(DOCUMENTS, n_bytes_N=np.zeros(3), texts_N=None)
    columns = scorer.score(other)
    assert columns["random"].tolist() == id_uniform("a.jsonl", DOCUMENTS.rows_N, 7).tolist()
    assert scorer.settings() == {"seed": 7}
    assert scorer.needs == frozenset()


def test_ask_llm_is_the_log_probability_as_it_came():
    question = Question(template="Good?\n{document}", yes=("y", "Y"), no=("n",))
    (scorer,) = make_scorers(["ask_llm"], question=question)
    columns = scorer.score(DOCUMENTS)
    assert columns["log_p_yes"].tolist() == [-0.5, np.float32(-1e-9), -80.25]
    assert columns["log_p_no"].tolist() == [-1.0, -30.0, -2.0]
    assert [c.keeps for c in scorer.columns] == ["high", "low"]
    assert scorer.needs == {"log_p_yes", "log_p_no"}
    assert scorer.settings() == question.describe()
    assert make_scorers(["ask_llm"])[0].settings() == Question().describe()


def test_what_needs_two_forward_passes_is_refused_with_the_way_out():
    message = r"need different.*`prune score perplexity`.* into 2 stores"
    for names in (["ask_llm", "perplexity"], ["random", "perplexity", "ask_llm"]):
        with pytest.raises(ValueError, match=message):
            make_scorers(names)
    assert [s.name for s in make_scorers(["ask_llm", "random"])] == ["ask_llm", "random"]


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_states_what_it_does(name, tmp_path):
    settings = {"num_clusters": "2"} if name in ("semdedup", "prototypes") else {}
    if name == "importance":
        settings = {"target": f"jsonl:{toy.write_jsonl(tmp_path / 'a.jsonl', ['a b', 'c'])}"}
    (scorer,) = make_scorers([name], settings, seed=3, size=3)
    assert scorer.name == name
    if is_learner(scorer):
        scorer = scorer.scorer(scorer.fit(OneUnit()))
    assert scorer.name == name
    columns = scorer.score(DOCUMENTS)
    assert [*columns] == [c.name for c in scorer.columns]
    for column in scorer.columns:
        assert column.keeps in ("low", "middle", "high", "any")
        assert column.unit
        assert column.meaning
        assert columns[column.name].shape == ((3,) if column.size is None else (3, column.size))
        assert columns[column.name].dtype == np.float32


def test_scorers_keep_their_order():
    assert [s.name for s in make_scorers(["random", "perplexity"])] == ["random", "perplexity"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["el3n"], r"Unknown scorer 'el3n'\. Did you mean el2n\? Known are ask_llm, "),
        ([], "at least one"),
        (["random", "random"], "each once"),
    ],
)
def test_wrong_names_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        make_scorers(names)


def test_el2n_is_the_mean_over_target_tokens():
    (scorer,) = make_scorers(["el2n"])
    assert scorer.score(DOCUMENTS)["el2n"].tolist() == [0.5, 1.0, 0.5]


def test_memorization_is_the_share_that_matches():
    (scorer,) = make_scorers(["memorization"], {"continuation_tokens": "64"})
    assert scorer.score(DOCUMENTS)["memorization"].tolist() == [0.0, 0.125, 0.5]
    assert scorer.settings() == {"prompt_tokens": 32, "continuation_tokens": 64}


def test_settings_reach_those_that_have_them_and_no_other():
    memorization, control = make_scorers(["memorization", "random"], {"prompt_tokens": "8"}, seed=4)
    assert (memorization.prompt_tokens, control.seed) == (8, 4)
    for settings, message in (
        ({"prompt": "8"}, r"--settings prompt=…: none of .*known are .*prompt_tokens, seed"),
        ({"prompt_tokens": "x"}, r"--settings prompt_tokens=x: it must be of type int"),
    ):
        with pytest.raises(ValueError, match=message):
            make_scorers(["memorization", "random"], settings)

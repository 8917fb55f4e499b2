"""Ask-LLM from the command's point of view: whose question, what is recorded, what is refused."""

import json

import numpy as np
import pytest

from models.checkpoints import load_model
from pruning.cli import main
from pruning.jobs.open_question import question_to_ask, question_to_learn
from pruning.jobs.score import score
from pruning.jobs.train import train
from pruning.prompts import ASK_LLM_PROMPT, Question
from pruning.score_store import open_store

TEMPLATE = "Q:{document}:A"
NOTHING = {"objective": None, "prompt": None, "yes": (), "no": (), "cut": None}
TRAINING = {
    "objective": "ask_llm",
    "answer_yes": "damage=none",
    "yes": ["y", "Y"],
    "no": ["n"],
    "vocabulary": "bytes",
    "window": 40,
    "batch_rows": 2,
    "num_steps": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, a prompt, a model that learnt to answer it and one that learnt from text."""
    folder = tmp_path_factory.mktemp("ask_llm")
    (folder / "prompt.txt").write_text(TEMPLATE)
    rows = [
        {"text": f"{i} times {'#' * (i % 5)} over", "damage": ("none", "swapped")[i % 2]}
        for i in range(40)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source, settings = f"jsonl:{folder}/a.jsonl", {"vocabulary": "bytes", "window": 40}
    train(source, str(folder / "plain"), num_steps=1, batch_rows=2, **settings)
    train(source, str(folder / "asked"), prompt=str(folder / "prompt.txt"), **TRAINING)
    return folder


def ask(folder, output, model="asked", scorers=("ask_llm",), **settings):
    counts = score(
        scorers,
        f"jsonl:{folder}/a.jsonl",
        str(output),
        model=str(folder / model),
        **{"unit_rows": 16, "batch_rows": 2, **settings},
    )
    return counts, open_store(output)


def test_a_model_is_asked_what_it_learnt_to_answer(folder, tmp_path):
    counts, store = ask(folder, tmp_path / "scores", scorers=("ask_llm", "random"))
    assert (counts["scored"], counts["rows"]) == (40, 40)
    manifest = store.manifest
    learnt = Question(template=TEMPLATE, yes=("y", "Y"), no=("n",))
    assert manifest["scorers"]["ask_llm"] == learnt.describe()
    assert manifest["objective"] == {
        "name": "ask_llm",
        "window": 40,
        "yes_ids": [ord("y") + 3, ord("Y") + 3],
        "no_ids": [ord("n") + 3],
    }
    assert [c["name"] for c in manifest["columns"]] == ["log_p_yes", "log_p_no", "random"]
    (_, table), *_ = store.tables(["log_p_yes", "log_p_no"])
    for name in ("log_p_yes", "log_p_no"):
        assert str(table[name].type) == "float"
        assert (table[name].to_numpy() < 0).all()


def test_another_question_than_the_one_it_learnt_is_asked_and_said(folder, tmp_path, capsys):
    other = tmp_path / "other.txt"
    other.write_text("{document}?")
    for settings, message in (
        ({"prompt": str(other)}, r"asked was trained to answer with --prompt 'Q:{document}:A'; "),
        ({"yes": ["y"]}, r"--yes ('y', 'Y'); this run asks with ('y',)"),
        ({"cut": "text"}, r"--cut 'tokens'; this run asks with 'text'. Leave --cut out"),
    ):
        ask(folder, tmp_path / "-".join(settings), **settings)
        assert message in capsys.readouterr().out
    ask(folder, tmp_path / "scores", prompt=str(folder / "prompt.txt"), no=["n"], cut="tokens")
    assert "was trained to answer" not in capsys.readouterr().out


def test_a_store_goes_on_with_its_own_question_only(folder, tmp_path):
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("Q:{document}:A")
    other.write_text("Q:{document}:B")
    settings = {"model": "plain", "prompt": str(one), "yes": ["y"], "no": ["n"]}
    ask(folder, tmp_path / "scores", sample=0.4, **settings)
    for changes, message in (
        ({"prompt": str(other)}, r"scorers.ask_llm.prompt_digest = \"\w+\", this run has \"\w+\""),
        ({"yes": ["y", "Y"]}, r'scorers.ask_llm.yes = \["y"\], this run has \["y", "Y"\]'),
        ({"no": ["N"]}, r'scorers.ask_llm.no = \["n"\], this run has \["N"\]'),
        ({"cut": "text"}, r'scorers.ask_llm.cut = "tokens", this run has "text"'),
        ({"window": 30}, r"objective.window = 40, this run has 30"),
    ):
        with pytest.raises(ValueError, match=message):
            ask(folder, tmp_path / "scores", **{**settings, **changes})
    other.write_text("Q:{document}:A")  # the same words in another file
    counts, _ = ask(folder, tmp_path / "scores", **{**settings, "prompt": str(other)})
    assert counts["scored"] == 40


def test_what_the_default_question_needs_of_a_vocabulary_is_said(folder, tmp_path):
    with pytest.raises(ValueError, match=r"--yes 'yes' is 3 tokens .*as in ByT5"):
        ask(folder, tmp_path / "scores", model="plain")
    message = r"--window 40 leaves no room for a document: the prompt has \d{3} tokens"
    with pytest.raises(ValueError, match=message):
        ask(folder, tmp_path / "scores", model="plain", yes=["y"], no=["n"])


def test_flags_that_belong_to_another_scorer_are_refused(folder, tmp_path):
    for scorers, settings, message in (
        (
            ["perplexity"],
            {"yes": ["y"]},
            r"belong to ask_llm, and the scorers are \['perplexity'\]",
        ),
        (["ask_llm"], {"objective": "causal_lm"}, "leave out --objective causal_lm"),
        (["ask_llm", "perplexity"], {}, "need different forward passes"),
        (["perplexity"], {}, "trained to answer a question .*--objective span_corruption"),
    ):
        with pytest.raises(ValueError, match=message):
            ask(folder, tmp_path / "scores", scorers=scorers, **settings)
    assert not (tmp_path / "scores").exists()
    ask(folder, tmp_path / "scores", scorers=["perplexity"], objective="span_corruption")


def test_a_question_is_the_paper_s_where_nothing_says_otherwise(folder):
    plain = str(folder / "plain")
    for models in ([plain], []):
        assert question_to_ask(["ask_llm"], models, **NOTHING) == Question()
    assert question_to_ask(["random"], [], **NOTHING) is None
    asked = question_to_ask(
        ["ask_llm"], [plain], **{**NOTHING, "yes": ["yes", "Yes"], "cut": "text"}
    )
    assert asked == Question(template=ASK_LLM_PROMPT, yes=("yes", "Yes"), cut="text")


def test_what_is_learnt_is_refused_unless_it_is_known():
    nothing = {"answer_yes": None, "prompt": None, "yes": (), "no": ()}
    assert question_to_learn("causal_lm", **nothing) is None
    assert question_to_learn("ask_llm", **{**nothing, "answer_yes": "a=b"}) == Question()
    with pytest.raises(ValueError, match=r"Give --answer_yes FIELD=VALUE"):
        question_to_learn("ask_llm", **nothing)
    for changes in ({"answer_yes": "a=b"}, {"yes": ["y"]}):
        with pytest.raises(ValueError, match=r"belong to --objective ask_llm, .* has causal_lm"):
            question_to_learn("causal_lm", **{**nothing, **changes})


def test_float16_is_refused_with_the_reason(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PRUNE_TRACEBACK", raising=False)
    source = f"jsonl:{folder}/a.jsonl"
    for command in (
        ["score", "ask_llm", "--model", str(folder / "asked")],
        ["train"],
    ):
        with pytest.raises(SystemExit):
            main(
                [
                    *command,
                    "--source",
                    source,
                    "--output",
                    str(tmp_path / "o"),
                    "--dtype",
                    "float16",
                ]
            )
        assert "65,504" in capsys.readouterr().err


def test_the_recipe_says_what_was_asked(folder):
    recipe = json.loads((folder / "asked/training.json").read_text())["recipe"]
    question = Question(template=TEMPLATE, yes=("y", "Y"), no=("n",))
    assert recipe["question"] == question.describe()
    assert recipe["answer_yes"] == "damage=none"
    assert "initial_checkpoint" not in recipe


def test_a_run_with_another_question_is_refused(folder):
    with pytest.raises(ValueError, match=r"recipe.answer_yes: the folder has 'damage=none'"):
        train(
            f"jsonl:{folder}/a.jsonl",
            str(folder / "asked"),
            prompt=str(folder / "prompt.txt"),
            **{**TRAINING, "answer_yes": "damage=swapped"},
        )


def test_answers_are_learnt(folder, tmp_path):
    """A model of bytes tells two words apart after a hundred steps, and says so in its scores."""
    rows = [
        {"text": f"{i} {('good', 'evil')[i % 2]} {i * i}", "kind": ("a", "b")[i % 2]}
        for i in range(60)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source, model = f"jsonl:{tmp_path}/a.jsonl", str(tmp_path / "model")
    settings = {**TRAINING, "answer_yes": "kind=a", "num_steps": 100, "learning_rate": 3.0}
    train(source, model, prompt=str(folder / "prompt.txt"), **{**settings, "batch_rows": 8})
    score(["ask_llm"], source, str(tmp_path / "scores"), model=model)
    (_, table), *_ = open_store(tmp_path / "scores").tables(["log_p_yes", "log_p_no"])
    yes, no = (table[name].to_numpy() for name in ("log_p_yes", "log_p_no"))
    assert yes[::2].min() > no[::2].max()
    assert no[1::2].min() > yes[1::2].max()
    np.testing.assert_allclose(np.exp(yes) + np.exp(no), 1, atol=0.05)


def test_training_starts_from_another_model(folder, tmp_path, monkeypatch):
    source = f"jsonl:{folder}/a.jsonl"
    settings = {
        **TRAINING,
        "prompt": str(folder / "prompt.txt"),
        "vocabulary": None,
        "initial_checkpoint": str(folder / "plain"),
        "num_steps": 1,
    }
    # With a rate of nearly nothing what comes out is what went in.
    train(source, str(tmp_path / "model"), **{**settings, "learning_rate": 1e-20})
    plain, model = load_model(folder / "plain"), load_model(tmp_path / "model")
    for path in ("encoder", "decoder", "token_embedder"):
        left, right = plain.params[path], model.params[path]
        for a, b in zip(leaves(left), leaves(right), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    recipe = json.loads((tmp_path / "model/training.json").read_text())["recipe"]
    assert recipe["initial_checkpoint"] == plain.digest
    assert recipe["vocabulary"] == "bytes"
    for changes, message in (
        (
            {"initial_checkpoint": str(folder / "asked")},
            r"recipe.initial_checkpoint: the folder has",
        ),
        (
            {"initial_checkpoint": None, "vocabulary": "bytes"},
            r"initial_checkpoint: the folder has",
        ),
        ({"size": "tiny"}, r"has a size of its own: leave out --size tiny"),
    ):
        with pytest.raises(ValueError, match=message):
            train(
                source, str(tmp_path / "model"), **{**settings, "learning_rate": 1e-20, **changes}
            )


def leaves(tree):
    import jax

    return jax.tree.leaves(tree)

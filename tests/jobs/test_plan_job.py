"""`prune plan`: what it computes, and what it says where it cannot."""

import importlib.util
import sys
import types

import pytest

from models.configs import DecoderOnlyConfig, named_config
from models.mesh_choice import num_parameters
from pruning.cli import main
from pruning.jobs.plan import plan
from pruning.jobs.planned_scoring import planned_objective, planned_scorer
from pruning.jobs.planned_slice import _over_hosts
from pruning.prompts import Question

TINY = DecoderOnlyConfig(vocab_size=64, d_model=16, num_heads=2, d_ff=32, num_layers=1)

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed"
)


def test_a_step_is_measured_on_this_machine(capsys, monkeypatch):
    monkeypatch.setattr("pruning.jobs.planned_scoring.open_config", lambda model: TINY)
    figures = plan(
        "gpt_tiny", "here", scorer="perplexity", window=16, documents=1000, tokens_per_document=30
    )
    assert figures["rows_per_second"] == figures["batch_rows"] / figures["step_seconds"]
    # 15 tokens of a document in a row, at a fill of 95 %.
    assert figures["documents_per_second"] == pytest.approx(figures["rows_per_second"] * 0.475)
    assert figures["hours"] == pytest.approx(1000 / figures["documents_per_second"] / 3600)
    assert "1,000 documents" in capsys.readouterr().out


def test_the_prompt_is_as_long_as_the_one_that_is_asked():
    """Of T5's vocabulary 79 tokens and an end: 432 of 512 are the document's."""
    config = named_config("flan_t5_small")
    asked = planned_objective(planned_scorer("ask_llm", config), config, 512)
    assert asked.window_tokens == 432
    assert asked.lengths == (512, 6)
    assert asked.question == Question()


@pytest.mark.parametrize(
    ("scorer", "model", "message"),
    [
        ("random", "t5_small", "random runs no model.*ask_llm.*perplexity"),
        ("nothing", "t5_small", "nothing runs no model"),
        ("ask_llm", "gpt_124m", "reads documents with an encoder"),
        ("ask_llm", "t5_huge", "Unknown model size 't5_huge'"),
    ],
)
def test_what_cannot_be_planned_is_refused(scorer, model, message):
    with pytest.raises(ValueError, match=message):
        plan(model, "v5e:2x4", scorer=scorer)


@pytest.mark.parametrize("topology", ["v5e", "v5e:8", "v9:2x2", "2x4", "v5e:2x4x2x2"])
def test_slices_of_another_form_are_refused(topology):
    with pytest.raises(ValueError, match=r"is no TPU slice.*v5e:2x4"):
        plan("tiny", topology)


def test_without_libtpu_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "libtpu", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'jax\[tpu\]'"):
        plan("tiny", "v5e:2x4")


@pytest.mark.parametrize(
    "flags",
    [
        {"topology": "here", "documents": 10, "pretraining_model": "gpt_124m"},
        {"topology": "v5e:2x4", "pretraining_model": "gpt_124m"},
        {"topology": "v5e:2x4", "documents": 10},
    ],
)
def test_pretraining_needs_a_corpus_a_model_and_a_peak(flags):
    with pytest.raises(ValueError, match=r"give --pretraining_model and --documents too"):
        plan("gpt_tiny", **flags, pretraining_tokens=1e9)


def test_a_share_is_a_share():
    with pytest.raises(ValueError, match=r"--keep 70.0 is no share"):
        plan("gpt_tiny", "here", keep=70.0)


@pytest.mark.parametrize(
    ("documents", "printed"), [(3_600_000, "Scoring is 25.0%"), (1_800_000, "Scoring is 12.5%")]
)
def test_scoring_is_set_against_pretraining(monkeypatch, capsys, documents, printed):
    """1,000 documents a second on 4 chips, and a training run of 16 chip-hours."""
    parameters = num_parameters(TINY) - TINY.vocab_size * TINY.d_model
    # 4 chips at 40 % of their peak take 4 hours.
    tokens = 4 * 3600 * 4 * 0.4 * 1e12 / (6 * parameters)
    monkeypatch.setattr("pruning.jobs.planned_scoring.open_config", lambda model: TINY)
    monkeypatch.setattr(
        "pruning.jobs.planned_slice.plan_slice",
        lambda *_: {"chips": 4, "peak_flops": 1e12, "rows_per_second": 1000.0},
    )
    monkeypatch.setattr("pruning.plan.documents_per_row", lambda *_: 1.0)
    figures = plan(
        "any",
        "v5e:2x2",
        scorer="perplexity",
        documents=documents,
        price=3.0,
        pretraining_model="any",
        pretraining_tokens=tokens,
    )
    assert figures["chip_hours"] == pytest.approx(documents / 1000 / 3600 * 4)
    assert figures["dollars"] == pytest.approx(3 * figures["chip_hours"])
    assert figures["pretraining_chip_hours"] == pytest.approx(16)
    assert printed in capsys.readouterr().out


@needs_libtpu
def test_a_slice_that_is_not_there(capsys):
    flags = "--topology v5e:1x1 --documents 1000 --price 2"
    main(["plan", "--model", "tiny", *flags.split()])
    printed = capsys.readouterr().out
    for words in ("v5e:1x1: 1 chips of 16 GiB", "--model_devices 1", "memory of a chip", "1,000"):
        assert words in printed


def test_a_copy_of_several_hosts_is_said():
    devices = [types.SimpleNamespace(process_index=i // 4) for i in range(16)]
    assert _over_hosts(4, devices) == ""
    assert "A copy is on 2 hosts of 4 chips" in _over_hosts(8, devices)

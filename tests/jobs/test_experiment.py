"""`prune experiment`: a whole one of a few steps, killed and gone on with."""

import json
import os
import sys
import types

import gin
import jax
import numpy as np
import pytest

from models.checkpoints import load_model
from pruning.experiments.page import markdown, read_section
from pruning.jobs import experiment_reading, experiment_run
from pruning.jobs.experiment import experiment
from pruning.keep_bits import read_selection
from pruning.score_store import open_store

SETTINGS = {
    "arms": ("full", "random", "low:gpt.nll"),
    "rates": (0.5,),
    "seeds": (0,),
    "references": ("gpt=gpt_tiny",),
    "reference_steps": 2,
    "reference_fraction": 0.25,
    "held_out_fraction": 0.25,
    "minimal_pairs": 2,
    "evaluations": 2,
    "num_steps": 4,
    "vocabulary": "bytes",
    "window": 32,
    "batch_rows": 2,
    "size": "gpt_tiny",
    "learning_rates": ("gpt_tiny=1e-3",),
}
QUESTION = {"context": "the lazy", "options": ["dog", "sea"], "answer": 0}


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    # A text of the last forty is one of the first twenty, or stands alone.
    numbers = [*range(40), *range(20), *range(60, 80)]
    rows = [
        {"text": f"{n} times over the lazy dog, and then {n} more. " * 3, "domain": "ab"[i % 2]}
        for i, n in enumerate(numbers)
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "a.jsonl").write_text("".join([*lines, "{broken\n"]))
    (folder / "q.jsonl").write_text(json.dumps(QUESTION) + "\n")
    return folder


def run(corpus, output, **changes):
    settings = {**SETTINGS, "tasks": (f"sense/dogs={corpus}/q.jsonl",), **changes}
    return experiment(f"jsonl:{corpus}/a.jsonl", str(output), **settings)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "small"
    run(corpus, output)
    return output


def digest(output, arm="full", seed=0):
    return load_model(output / f"arms/{arm}/seed{seed}/model/checkpoint_4").digest


def losses(output, arm="full"):
    folder = output / f"arms/{arm}/seed0/evaluations/4/held_out"
    return {p.name: p.read_bytes() for p in folder.rglob("*.parquet")}


def test_splits_are_disjoint_and_arms_are_parts_of_the_pool(whole):
    splits = {n: read_selection(whole / f"splits/{n}") for n in ("held_out", "reference", "pool")}
    bits = {name: split.keep("a.jsonl") for name, split in splits.items()}
    assert [int(b.sum()) for b in bits.values()] == [20, 20, 40]
    assert sum(b.astype(int) for b in bits.values()).max() == 1
    for name in ("random50_seed0", "low50"):
        keep = read_selection(whole / f"selections/{name}").keep("a.jsonl")
        assert keep.sum() == 20
        assert not (keep & ~bits["pool"]).any()


def test_held_out_texts_that_the_pool_has_too_do_not_count(whole, corpus):
    held_out, pool = (
        read_selection(whole / f"splits/{name}").keep("a.jsonl")[:80]
        for name in ("held_out", "pool")
    )
    twin_N = np.arange(80)
    twin_N[:20], twin_N[40:60] = np.arange(40, 60), np.arange(20)
    copied_N = held_out & pool[twin_N]
    assert 0 < copied_N.sum() < 20
    results = json.loads((whole / "results.json").read_text())
    assert results["plan"]["copies"] == copied_N.sum()
    assert (
        f"{copied_N.sum()} held-out documents stood in the pool"
        in (whole / "results.md").read_text()
    )
    store = open_store(whole / "arms/full/seed0/evaluations/4/held_out")
    ((_, table),) = store.tables(["nll", "n_targets"])
    left_N = held_out & ~copied_N
    nll_N, n_targets_N = (np.asarray(table[name])[:80][left_N] for name in table.column_names)
    loss = results["arms"][0]["numbers"]["loss"]["value"]
    assert loss == pytest.approx(np.average(nll_N, weights=n_targets_N), rel=1e-6)
    pairs = [json.loads(line)["text"] for line in (whole / "pairs/pairs.jsonl").open()]
    lines = (corpus / "a.jsonl").read_text().splitlines()[:80]
    texts = np.array([json.loads(line)["text"][:200] for line in lines])
    assert {*pairs[::2]} <= {*texts[left_N]}


def test_held_out_texts_that_all_stand_in_the_pool_are_refused(whole, corpus, monkeypatch):
    monkeypatch.setattr(experiment_reading, "is_in_pool", lambda _, hash_I: hash_I == hash_I)
    with pytest.raises(ValueError, match=r"None of 20 scored documents .* hold out more documents"):
        run(corpus, whole, stage="read")


def test_every_checkpoint_is_evaluated(whole):
    for arm in ("full", "random50", "low50"):
        for step in ("2", "4"):
            folder = whole / f"arms/{arm}/seed0/evaluations/{step}"
            found = sorted(p.name for p in folder.iterdir())
            assert found == ["held_out", "pairs", "sense.dogs.json"]
    results = json.loads((whole / "results.json").read_text())
    assert [row["arm"] for row in results["arms"]] == ["full", "random50", "low50"]
    assert results["curves"]["accuracy"]["full"]["steps"] == [2, 4]
    assert set(results["arms"][0]["categories"]) == {"sense", "minimal_pairs"}
    assert set(results["arms"][0]["groups"]) == {"domain=a", "domain=b"}
    text = (whole / "results.md").read_text()
    assert "cannot be told from random50" in text
    shown = read_section(str(whole))
    assert markdown(shown) == text
    assert shown.curves["loss"].startswith("<svg")
    with pytest.raises(FileNotFoundError, match="--stage read"):
        read_section(str(whole / "t5x"))


def test_costs_are_those_of_what_is_read(whole):
    costs = json.loads((whole / "results.json").read_text())["plan"]["costs"]
    full, half, low = (costs[arm] for arm in ("full", "random50", "low50"))
    assert [cost["documents"] for cost in (full, half, low)] == [40, 20, 20]
    # A token of bytes is a byte.
    assert (
        half["tokens"]
        == read_selection(whole / "selections/random50_seed0").info["counts"]["kept_bytes"]
    )
    assert half["epochs"] == pytest.approx(4 * 2 * 32 / half["tokens"])
    params = load_model(whole / "arms/full/seed0/model/checkpoint_4").params
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert full["flops"] == 6 * parameters * 4 * 2 * 32
    # Two of four steps to train it, and a third of a step for as many tokens of the pool.
    trained, scored = full["flops"] / 2, 2 * parameters * full["tokens"]
    assert [cost["reference_flops"] for cost in (full, half)] == [0, 0]
    assert low["reference_flops"] == pytest.approx(trained + scored)


def test_an_arm_killed_in_training_or_evaluation_ends_at_the_same_loss(
    corpus, whole, tmp_path, monkeypatch
):
    from models import training
    from models.checkpoints import t5x_orbax

    output = tmp_path / "small"
    write = t5x_orbax.write

    def dying_write(folder, step, *rest, **how):
        if "arms" in str(folder) and step == 4:
            raise KilledError
        write(folder, step, *rest, **how)

    with monkeypatch.context() as patch:
        patch.setattr(training.t5x_orbax, "write", dying_write)
        with pytest.raises(KilledError):
            run(corpus, output)
    assert t5x_orbax.steps(output / "arms/full/seed0/model") == [2]

    def die(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(experiment_run, "_ask", die)
        with pytest.raises(KilledError):
            run(corpus, output, arm=("full",))
    run(corpus, output, arm=("full",))
    assert digest(output) == digest(whole)
    assert losses(output) == losses(whole)
    # The same again from nothing, as an array of jobs in another order.
    for index in (1, 0):
        run(
            corpus,
            output,
            arm=("low50", "random50"),
            num_shards=2,
            shard_index=index,
            stage="train",
        )
    run(corpus, output, stage="read")
    assert digest(output, "low50") == digest(whole, "low50")
    assert json.loads((output / "results.json").read_text()) == json.loads(
        (whole / "results.json").read_text()
    )


def test_a_second_call_does_only_what_is_missing(corpus, whole, monkeypatch):
    trained = []
    monkeypatch.setattr("pruning.jobs.train.train", lambda **how: trained.append(how))
    monkeypatch.setattr("pruning.jobs.score.score", lambda *_, **__: pytest.fail("scored again"))
    run(corpus, whole)
    assert trained == []
    with pytest.raises(ValueError, match=r"experiment.json is from (?s:.*)num_steps"):
        run(corpus, whole, num_steps=8)


def test_a_seed_may_be_added_and_is_another_run(corpus, whole):
    run(corpus, whole, seeds=(0, 1), arm=("full",))
    assert digest(whole, seed=1) != digest(whole, seed=0)
    run(corpus, whole, stage="read")


def test_the_table_goes_into_a_document(corpus, whole, tmp_path):
    document = tmp_path / "docs.md"
    document.write_text("<!-- experiment small -->\n<!-- end of experiment small -->\n")
    run(corpus, whole, stage="read", docs=str(document))
    assert "| random50 | 50 % | 1 |" in document.read_text()


def test_other_questions_are_refused(corpus, whole, tmp_path):
    file = whole / "arms/low50/seed0/evaluations/4/sense.dogs.json"
    before = file.read_text()
    file.write_text(json.dumps(json.loads(before) | {"questions": "0" * 64}))
    try:
        with pytest.raises(ValueError, match=r"questions of digest 000000000000.* has changed"):
            run(corpus, whole, stage="read")
    finally:
        file.write_text(before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": "train"}, "splits|experiment.json is missing. Run .* --stage prepare first"),
        ({"evaluations": 9}, "--evaluations is 9"),
        ({"held_out_fraction": 0.8}, "leave nothing to train on"),
        ({"tasks": ("copa.jsonl",)}, "'copa.jsonl'|copa.jsonl is not NAME=FILE"),
        ({"references": ("tiny", "tiny=gpt_tiny")}, "two have one name"),
        ({"seeds": ()}, "at least one of --arms and one of --seeds"),
        ({"arm": ("low25",)}, "no arm 'low25'"),
        ({"emit": "t5x"}, "Size gpt_tiny has no encoder, and --emit t5x .* Give a T5 size"),
        ({"emit": "t5x", "t5x_size": "mini"}, "no arm is of that size; they are of gpt_tiny"),
        ({"references": (), "arms": ("low:nll",)}, "there is none: give --scores, or --references"),
    ],
)
def test_what_is_refused(corpus, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run(corpus, tmp_path / "x", **changes)


@pytest.mark.parametrize("stage", ["prepare", "read"])
@pytest.mark.parametrize("output", ["gs://runs/web", "s3://runs/web"])
def test_an_object_store_is_refused_as_output(corpus, tmp_path, monkeypatch, output, stage):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"got --output {output}. Expected a folder on a disk"):
        run(corpus, output, stage=stage)
    assert os.listdir() == []


def test_t5x_gets_a_gin_file_and_a_command_for_every_run(corpus, whole, tmp_path, monkeypatch):
    def emit(**more):
        by_t5x = {"size": "tiny", "larger_size": "mini", "references": (), "learning_rates": ()}
        scores = (f"gpt={whole}/scores/gpt",)
        run(corpus, output, scores=scores, emit="t5x", **by_t5x, **more)

    output = tmp_path / "small"
    emit(t5x_pretrain="base.gin", t5x_finetune="glue.gin", arm=("low50", "full"))
    emit(t5x_pretrain="base.gin", arm=("random50",))
    emit(t5x_pretrain="larger.gin", t5x_size="mini")
    commands = (output / "t5x/commands.sh").read_text().splitlines()
    assert [os.path.basename(c.partition("--gin_file=")[2]) for c in commands[1:]] == [
        "full_seed0.gin",
        "full_seed0_finetuned.gin",
        "random50_seed0.gin",
        "low50_seed0.gin",
        "low50_seed0_finetuned.gin",
        "full_mini_seed0.gin",
    ]
    (output / "t5x/base.gin").write_text("BATCH_SIZE = 1\nSELECTION = %gin.REQUIRED\n")
    (output / "t5x/glue.gin").write_text("")
    for registry in ("_REGISTRY", "_INVERSE_REGISTRY"):  # t5x's own is registered elsewhere
        monkeypatch.setattr(gin.config, registry, getattr(gin.config, registry).copy())
    utils = types.ModuleType("t5x.utils")
    utils.DatasetConfig = type("DatasetConfig", (), {"__init__": lambda self, seed=None: None})
    utils.SaveCheckpointConfig = type(
        "SaveCheckpointConfig", (), {"__init__": lambda self, period=1, keep=1: None}
    )
    for module in (utils.DatasetConfig, utils.SaveCheckpointConfig):
        module.__module__ = "t5x.utils"
    package = types.ModuleType("t5x")
    package.utils = utils
    monkeypatch.setitem(sys.modules, "t5x", package)
    monkeypatch.setitem(sys.modules, "t5x.utils", utils)
    script = types.ModuleType("__main__")
    script.train = lambda eval_period=1: None
    script.train.__module__ = "__main__"
    monkeypatch.setitem(sys.modules, "__main__", script)
    gin.clear_config()
    gin.add_config_file_search_path(str(output / "t5x"))
    try:
        gin.parse_config_file(str(output / "t5x/low50_seed0.gin"))
        assert gin.query_parameter("SELECTION/macro.value") == str(output / "selections/low50")
        assert gin.query_parameter("TRAIN_STEPS/macro.value") == 4
        assert gin.query_parameter("VOCABULARY_FILE/macro.value") == "bytes"
        assert gin.query_parameter("VOCABULARY_ROWS/macro.value") == 384
        # t5x refuses periods of which neither is a multiple of the other.
        assert gin.query_parameter("train_script.train.eval_period") == 2
        assert gin.query_parameter("SaveCheckpointConfig.period") == 2
        gin.clear_config()
        gin.parse_config_file(str(output / "t5x/low50_seed0_finetuned.gin"))
        start = str(output / "arms/low50/seed0/model/checkpoint_4")
        assert gin.query_parameter("INITIAL_CHECKPOINT_PATH/macro.value") == start
        assert gin.query_parameter("TRAIN_STEPS/macro.value") == 4 + 262_144
        assert gin.query_parameter("TRAIN_STEPS_RELATIVE/macro.value") is None
    finally:
        gin.clear_config()

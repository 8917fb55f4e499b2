"""`prune convert`: between t5x and Hugging Face and back."""

import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers

from models.checkpoints import load_model, open_model, t5x_orbax
from models.checkpoints.optimizer_state import from_param_states, to_param_states
from models.configs import T5Config
from models.optimizer import init_adafactor
from models.t5 import init_params
from pruning.cli import main
from pruning.jobs import convert as convert_job
from pruning.jobs.convert import convert
from pruning.jobs.reference_model import find_recipe
from pruning.jobs.scoring_model import open_scoring_model
from pruning.jobs.train import train
from pruning.scorers.perplexity import Perplexity

TEXTS = [f"{i} times over the lazy dog, and {i * i} more" for i in range(60)]
CONFIG = T5Config(
    vocab_size=384,
    d_model=128,
    num_heads=2,
    head_dim=8,
    d_ff=130,
    num_encoder_layers=1,
    num_decoder_layers=2,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of `prune train`, and the same model for Hugging Face and back in t5x."""
    folder = tmp_path_factory.mktemp("models")
    rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (folder / "a.jsonl").write_text(rows)
    train(
        f"jsonl:{folder}/a.jsonl",
        str(folder / "trained"),
        vocabulary_size=60,
        objective="prefix_lm",
        window=32,
        batch_rows=2,
        num_steps=1,
    )
    convert(str(folder / "trained"), str(folder / "hugging_face"), "hugging_face")
    convert(str(folder / "hugging_face"), str(folder / "t5x"), "t5x")
    return folder


@pytest.fixture
def bare(tmp_path):
    """A t5x checkpoint in bfloat16 without anything beside it."""
    params = init_params(CONFIG, jax.random.key(0))
    params = jax.tree.map(lambda array: array.astype(jnp.bfloat16), params)
    t5x_orbax.write(tmp_path / "bare", 7, params, to_param_states(init_adafactor(params)), {})
    return str(tmp_path / "bare")


def stored_bytes(path) -> dict[str, tuple]:
    model = open_model(path)
    arrays = {name: array.read() for name, array in model.params.items()}
    return {name: (a.shape, str(a.dtype), a.tobytes()) for name, a in arrays.items()}


def open_model_to_score(path):
    nothing = dict.fromkeys(("vocabulary", "objective", "window", "row_length", "batch_rows"))
    return open_scoring_model([str(path)], [Perplexity()], **nothing, dtype="float32")


def test_there_and_back_gives_the_same_bytes(trained, bare, tmp_path):
    before = stored_bytes(trained / "trained")
    assert stored_bytes(trained / "hugging_face") == before
    assert stored_bytes(trained / "t5x") == before
    convert(bare, str(tmp_path / "there"), "hugging_face")
    convert(str(tmp_path / "there"), str(tmp_path / "back"), "t5x")
    assert stored_bytes(tmp_path / "back") == stored_bytes(bare)
    assert {dtype for _, dtype, _ in stored_bytes(bare).values()} == {"bfloat16"}
    assert load_model(tmp_path / "back").digest == load_model(bare).digest


def test_scoring_finds_what_it_needs_beside_each(trained):
    opened = [open_model_to_score(trained / name) for name in ("trained", "hugging_face", "t5x")]
    assert [o.objective.name for o in opened] == ["prefix_lm"] * 3
    assert [o.objective.window for o in opened] == [32] * 3
    assert len({o.vocabulary.digest for o in opened}) == len({o.digest for o in opened}) == 1
    recipes = [find_recipe(trained / name) for name in ("trained", "hugging_face", "t5x")]
    for recipe in recipes:
        assert os.path.exists(recipe.pop("vocabulary"))
    assert recipes[0] == recipes[1] == recipes[2]


def test_transformers_opens_model_and_tokenizer(trained):
    folder = trained / "hugging_face"
    model, info = transformers.T5ForConditionalGeneration.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(info.values()), info
    head = load_model(folder).params["decoder"]["logits_dense"]["kernel"]
    np.testing.assert_array_equal(model.lm_head.weight.detach().numpy().T, head)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = open_model_to_score(folder).vocabulary.encode(TEXTS[:5])
    assert tokenizer(TEXTS[:5], add_special_tokens=False).input_ids == [o.tolist() for o in ours]


def test_t5x_gets_a_fresh_optimizer(bare, tmp_path):
    convert(bare, str(tmp_path / "hugging_face"), "hugging_face")
    convert(str(tmp_path / "hugging_face"), str(tmp_path / "t5x"), "t5x")
    step, params, param_states, _ = t5x_orbax.read(tmp_path / "t5x" / "checkpoint_0")
    assert step == 0
    expected = init_adafactor(jax.tree.map(lambda a: jnp.zeros(a.shape, jnp.float32), params))
    found = from_param_states(0, param_states)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(param_states)} == {"float32"}


def test_models_from_hugging_face_bring_their_vocabulary(trained, bare, tmp_path):
    byt5, t5 = tmp_path / "byt5", trained / "hugging_face"
    convert(bare, str(byt5), "hugging_face", vocabulary="bytes")
    assert "ByT5" in (byt5 / "tokenizer_config.json").read_text()
    (byt5 / "training.json").unlink()  # nothing of ours
    assert find_recipe(byt5) == {"vocabulary": "bytes"}
    (byt5 / "tokenizer_config.json").unlink()
    assert find_recipe(byt5) == {}
    config = json.loads((byt5 / "config.json").read_text())
    (byt5 / "config.json").write_text(json.dumps(config | {"tokenizer_class": "ByT5Tokenizer"}))
    assert open_model_to_score(byt5).vocabulary.digest == "bytes"
    convert(str(byt5), str(tmp_path / "t5x"), "t5x")
    assert open_model_to_score(tmp_path / "t5x").vocabulary.digest == "bytes"
    (byt5 / "spiece.model").write_bytes((t5 / "spiece.model").read_bytes())
    assert find_recipe(byt5) == {"vocabulary": str(byt5 / "spiece.model")}


def test_a_vocabulary_of_another_model_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match=r"bytes has digest bytes, but model .* was trained with"):
        convert(str(trained / "trained"), str(tmp_path / "out"), "t5x", vocabulary="bytes")
    assert not (tmp_path / "out").exists()


def test_only_an_empty_folder_is_written_to(bare, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for path in (tmp_path / "full", tmp_path / "full" / "file"):
        with pytest.raises(ValueError, match=rf"{path} is not empty. Give another --output"):
            convert(bare, str(path), "t5x")
    (tmp_path / "empty").mkdir()
    assert convert(bare, str(tmp_path / "empty"), "t5x") == str(tmp_path / "empty")
    assert load_model(tmp_path / "empty").digest == load_model(bare).digest


@pytest.mark.parametrize("to", ["t5x", "hugging_face"])
def test_a_conversion_that_fails_leaves_nothing(bare, tmp_path, monkeypatch, to):
    before = sorted(tmp_path.iterdir())
    writers = dict.fromkeys(("t5x", "hugging_face"), lambda folder, *_: (folder / "x").mkdir(1 / 0))
    monkeypatch.setattr(convert_job, "_WRITERS", writers)
    with pytest.raises(ZeroDivisionError):
        convert(bare, str(tmp_path / "out"), to)
    assert sorted(tmp_path.iterdir()) == before


def test_the_command(bare, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRUNE_TRACEBACK", raising=False)
    main(["convert", "bare", "--to", "hugging_face", "--output", "there"])
    assert capsys.readouterr().out == (
        "there: bare as Hugging Face safetensors, 290,432 parameters in bfloat16, "
        "without a vocabulary.\n"
    )
    main(["convert", "there", "--to=t5x", "--output=back", "--vocabulary=bytes"])
    assert "back: there as t5x's checkpoint_0, 290," in (out := capsys.readouterr().out)
    assert out.endswith("in bfloat16, vocabulary bytes.\n")
    for argv, missing in (
        (["--to", "t5x", "--output", "x"], "MODEL"),
        (["bare", "--to", "t5x"], "--output"),
        (["bare", "--output", "x"], "--to"),
    ):
        with pytest.raises(SystemExit):
            main(["convert", *argv])
        assert f"prune convert: {missing} is missing" in capsys.readouterr().err

"""Every gin file is parsed, and every name in it resolved."""

import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
GIN_FILES = sorted((ROOT / "gin").rglob("*.gin"))
SCRIPTS = ("train", "eval", "infer")

# Files that stand alone have no name that they do not import or include; these complete others.
MODEL = ["gin/models/tiny.gin"]
BEFORE = {
    "gin/pretrain/recipe.gin": MODEL,
    "gin/pretrain/c4_task.gin": MODEL,
    "gin/pretrain/text_task.gin": MODEL,
    "gin/finetune/recipe.gin": MODEL,
    "gin/evaluate/perplexity.gin": MODEL,
    "gin/evaluate/scores.gin": MODEL,
}


def parse(files, bindings=()):
    import gin
    import t5x

    gin.add_config_file_search_path(str(ROOT))
    gin.add_config_file_search_path(str(pathlib.Path(t5x.__file__).parents[1]))
    gin.parse_config_files_and_bindings([*files], [*bindings], finalize_config=False)


def script_of(path):
    text = path.read_text()
    return next((s for s in SCRIPTS if f"{s}_script" in text), "train")


@pytest.mark.parametrize("path", GIN_FILES, ids=lambda p: str(p.relative_to(ROOT / "gin")))
def test_a_gin_file_parses_and_its_names_are_there(path, run_as_script):
    from gin.config import _CONFIG

    run_as_script(script_of(path))
    name = str(path.relative_to(ROOT))
    parse([*BEFORE.get(name, []), name])
    # A macro that nobody sets would only be found when it is used.
    used = {macro for parameters in _CONFIG.values() for macro in _macros(parameters)}
    defined = {scope for scope, selector in _CONFIG if selector == "gin.macro"}
    assert used <= defined


def _macros(value):
    """All `%NAME` in the values of a configuration."""
    from gin import config

    if isinstance(value, dict):
        for part in value.values():
            yield from _macros(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _macros(part)
    elif isinstance(value, config.ConfigurableReference) and value.config_key[1] == "gin.macro":
        yield value.config_key[0]


@pytest.mark.parametrize("size", ["small", "base", "large", "xl", "xxl"])
def test_models_have_the_shapes_that_prune_knows(size, run_as_script):
    """What one side writes the other can read."""
    import gin

    from models.configs import named_config

    run_as_script("train")
    parse([f"gin/models/t5_1_1_{size}.gin"], ["DROPOUT_RATE = 0.0"])
    _check_shape(gin.get_configurable("network.T5Config")(), named_config(f"t5_1_1_{size}"))


def test_the_tiny_model_is_that_of_prune_train(run_as_script):
    import gin

    from models.configs import named_config

    run_as_script("train")
    parse(MODEL, ["DROPOUT_RATE = 0.0"])
    _check_shape(gin.get_configurable("network.T5Config")(), named_config("tiny"))


def _check_shape(theirs, ours):
    assert (theirs.emb_dim, theirs.num_heads, theirs.head_dim, theirs.mlp_dim) == (
        ours.d_model,
        ours.num_heads,
        ours.head_dim,
        ours.d_ff,
    )
    assert theirs.num_encoder_layers == theirs.num_decoder_layers == ours.num_encoder_layers
    assert theirs.vocab_size == ours.vocab_size


def test_the_recipe_is_that_of_the_papers(run_as_script):
    """Batch 1024 x 512, 1 million steps, 1 / sqrt(max(step, 10,000)), Adafactor."""
    import gin

    run_as_script("train")
    files = ["gin/pretrain/t5_1_1_small_c4.gin"]
    parse(files, ['SELECTION = "s"', 'MODEL_DIR = "m"'])
    rate = gin.get_configurable("utils.create_learning_rate_scheduler")()
    assert [float(rate(n)) for n in (0, 9_999, 40_000)] == pytest.approx([0.01, 0.01, 0.005])
    macros = {name: gin.query_parameter(f"%{name}") for name in ("BATCH_SIZE", "TRAIN_STEPS")}
    assert macros == {"BATCH_SIZE": 1024, "TRAIN_STEPS": 1_000_000}
    lengths = gin.query_parameter("%TASK_FEATURE_LENGTHS")
    assert lengths == {"inputs": 512, "targets": 114}
    assert not gin.query_parameter("%USE_CACHED_TASKS")


def test_t5x_is_a_package_and_not_a_folder_of_tests():
    assert importlib.util.find_spec("t5x").origin is not None

import dataclasses

import pytest
import transformers

from models import t5_configs
from models.checkpoints.inferred_config import config_from_params
from models.configs import (
    SIZES,
    T5Config,
    check_dtype,
    config_from_json,
    config_to_json,
    named_config,
)
from models.families import param_shapes


@pytest.mark.parametrize("name", SIZES)
def test_config_survives_json(name):
    assert config_from_json(config_to_json(SIZES[name])) == SIZES[name]


@pytest.mark.parametrize("name", t5_configs.SIZES)
def test_config_is_inferred_from_shapes(name):
    assert config_from_params(param_shapes(SIZES[name])) == SIZES[name]


@pytest.mark.parametrize("name", ["t5_small", "t5_1_1_small"])
def test_hugging_face_reads_ours_and_we_read_theirs(name):
    config = dataclasses.replace(SIZES[name], num_decoder_layers=3, dropout_rate=0.25)
    theirs = transformers.T5Config(**config_to_json(config))
    assert (theirs.d_kv, theirs.num_layers, theirs.num_decoder_layers) == (
        config.head_dim,
        config.num_encoder_layers,
        3,
    )
    assert theirs.is_gated_act == (config.mlp == "gated_gelu")
    assert config_from_json(theirs.to_dict()) == config


def test_hugging_face_defaults_for_absent_keys():
    values = config_to_json(SIZES["t5_small"])
    for key in ("num_decoder_layers", "feed_forward_proj", "tie_word_embeddings"):
        del values[key]
    assert config_from_json(values) == SIZES["t5_small"]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("t5_small", 60.5),
        ("t5_base", 222.9),
        ("t5_1_1_small", 77.0),
        ("t5_1_1_xl", 2849.8),
        ("mt5_small", 300.2),
        ("umt5_small", 306.6),
        ("byt5_small", 299.6),
        # The papers' names, with their own table and context.
        ("gpt_124m", 126.0),
        ("gpt_1_5b", 1560.8),
        ("mpt_125m", 123.6),
        ("mpt_1b", 1311.2),
        ("mpt_3b", 2645.7),
    ],
)
def test_public_sizes_have_their_published_number_of_parameters(name, millions):
    import jax

    count = sum(leaf.size for leaf in jax.tree.leaves(param_shapes(named_config(name))))
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match=r"Unknown model size 't6'.*tiny.*t5_1_1_xxl.*mpt_3b"):
        named_config("t6")
    with pytest.raises(ValueError, match=r"mlp is 'silu'.*relu, gated_gelu"):
        dataclasses.replace(SIZES["tiny"], mlp="silu")
    with pytest.raises(ValueError, match=r"architecture is 'bloom'.*gpt2, mpt"):
        dataclasses.replace(SIZES["gpt_tiny"], architecture="bloom")
    with pytest.raises(ValueError, match="d_model is 128 and num_heads is 3; heads must divide"):
        dataclasses.replace(SIZES["gpt_tiny"], num_heads=3)


def test_dtypes_are_checked_and_float16_is_explained():
    with pytest.raises(ValueError, match=r"dtype is 'float64'.*float32, bfloat16"):
        check_dtype("float64")
    with pytest.raises(ValueError, match=r"'float16'.*65,504.*inf or NaN.*bfloat16"):
        dataclasses.replace(SIZES["tiny"], dtype="float16")
    check_dtype("bfloat16")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mini", "mini"),
        ("GPT-1.5B", "gpt_1_5b"),
        ("mpt-125m", "mpt_125m"),
        ("t5_1_1_small", "t5_1_1_small"),
        ("google-t5/t5-3b", "t5_3b"),
        ("t5_11B", "t5_11b"),
        ("t5_1_0_base", "t5_base"),
        ("flan_t5_xl", "t5_1_1_xl"),
        ("google/flan-t5-xl", "t5_1_1_xl"),
        ("google/t5-v1_1-xxl", "t5_1_1_xxl"),
        ("t5.1.1.large", "t5_1_1_large"),
        ("t5_1_1_lm_adapt_base", "t5_1_1_base"),
        ("t5_1_1_lm100k_base", "t5_1_1_base"),
        ("google/t5-xl-lm-adapt", "t5_1_1_xl"),
        ("google/mt5-base", "mt5_base"),
        ("mt5_lm_adapted_xxl", "mt5_xxl"),
        ("umt5_xl", "umt5_xl"),
        ("google/byt5-small", "byt5_small"),
    ],
)
def test_public_names_are_known(name, size):
    assert named_config(name) == SIZES[size]


@pytest.mark.parametrize("name", ["flan_mt5_xl", "t5_1_1", "small", "t5_1_1_xl_xl", "umt5_large"])
def test_other_names_are_not_guessed(name):
    with pytest.raises(ValueError, match="Unknown model size"):
        named_config(name)


def test_umt5_json_says_so():
    values = config_to_json(SIZES["umt5_small"])
    assert values["model_type"] == "umt5"
    assert values["architectures"] == ["UMT5ForConditionalGeneration"]
    assert config_to_json(SIZES["byt5_small"])["model_type"] == "t5"
    # Some of the hub's files leave out what is umT5's default.
    for key in ("model_type", "feed_forward_proj", "tie_word_embeddings"):
        del values[key]
    assert config_from_json(values) == SIZES["umt5_small"]


@pytest.mark.parametrize("name", ["MT5", "UMT5"])
def test_hugging_face_defaults_are_the_small_models(name):
    theirs = getattr(transformers, f"{name}Config")(vocab_size=256_384).to_dict()
    # They say this of every model since transformers 5.
    del theirs["tie_word_embeddings"]
    config = config_from_json(theirs)
    expected = SIZES["umt5_small"]
    if name == "MT5":
        expected = dataclasses.replace(expected, position_bias="shared")
    assert dataclasses.replace(config, dropout_rate=0.0) == expected


def test_unreadable_json_is_named():
    values = config_to_json(SIZES["tiny"])
    with pytest.raises(ValueError, match=r"feed_forward_proj 'gated-silu'; known are: relu"):
        config_from_json({**values, "feed_forward_proj": "gated-silu"})
    with pytest.raises(ValueError, match="model_type 'bart'"):
        config_from_json({**values, "model_type": "bart"})
    with pytest.raises(ValueError, match="has no d_kv"):
        config_from_json({key: value for key, value in values.items() if key != "d_kv"})


@pytest.mark.parametrize("name", ["gpt_tiny", "mpt_tiny"])
def test_decoder_only_json_is_hugging_faces(name):
    config = dataclasses.replace(SIZES[name], num_layers=3, d_ff=512, context_length=64)
    values = config_to_json(config)
    cls = {"gpt2": transformers.GPT2Config, "mpt": transformers.MptConfig}[config.architecture]
    theirs = cls(**values)
    assert (theirs.hidden_size, theirs.num_hidden_layers, theirs.vocab_size) == (
        128,
        3,
        config.vocab_size,
    )
    assert config_from_json(theirs.to_dict()) == config
    layers = "n_layer" if config.architecture == "gpt2" else "n_layers"
    with pytest.raises(ValueError, match=f"has no {layers}; every config of model_type"):
        config_from_json({key: value for key, value in values.items() if key != layers})


@pytest.mark.parametrize(
    ("name", "variant", "message"),
    [
        ("gpt_tiny", {"activation_function": "relu"}, "activation_function 'relu'.*'gelu_new'"),
        ("mpt_tiny", {"no_bias": False}, "no_bias False.*only True"),
        ("mpt_tiny", {"attn_config": {"alibi": False}}, "attn_config.alibi False"),
        ("mpt_tiny", {"attn_config": {"clip_qkv": 8}}, "attn_config.clip_qkv 8"),
        ("gpt_tiny", {"tie_word_embeddings": False}, "tie_word_embeddings False"),
    ],
)
def test_variants_of_decoder_only_models_are_refused(name, variant, message):
    with pytest.raises(ValueError, match=message):
        config_from_json({**config_to_json(SIZES[name]), **variant})


def test_other_trees_are_refused():
    tree = param_shapes(SIZES["tiny"])
    scanned = {**tree, "encoder": {"encoder": tree["encoder"]["layers_0"]}}
    with pytest.raises(ValueError, match="no encoder/relpos_bias/rel_embedding"):
        config_from_params(scanned)
    with pytest.raises(ValueError, match=r"a decoder-only model needs its config\.json beside"):
        config_from_params(param_shapes(SIZES["gpt_tiny"]))


def test_config_is_keyword_only():
    with pytest.raises(TypeError):
        T5Config(1, 2, 3, 4, 5, 6, 7)

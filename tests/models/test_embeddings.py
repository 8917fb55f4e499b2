"""Pooled embeddings against transformers' encoder, torch's mean and a matrix product."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
import torch
import transformers
from flax import traverse_util
from safetensors.torch import save_file

from models.checkpoints import hugging_face, load_model, open_model
from models.checkpoints.stored import StoredArray
from models.configs import T5Config, config_from_json, config_to_json, named_config
from models.embeddings import make_embedding_fn
from models.families import init_params
from models.partitioning import make_mesh
from models.scoring_model import make_token_statistics_fn

CONFIG = T5Config(
    vocab_size=61,
    d_model=24,
    num_heads=3,
    head_dim=6,
    d_ff=40,
    num_encoder_layers=2,
    num_decoder_layers=0,
    embedding_dim=10,
    mlp="relu",
    tied_embedding=True,
)
DENSE = {
    "in_features": 24,
    "out_features": 10,
    "bias": False,
    "activation_function": "torch.nn.modules.linear.Identity",
}


def write_json(file, values):
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(values))


@pytest.fixture(scope="module")
def sentence_t5(tmp_path_factory):
    """A folder as sentence-transformers writes Sentence-T5, with random weights; and its parts."""
    folder = tmp_path_factory.mktemp("sentence_t5")
    torch.manual_seed(0)
    values = config_to_json(dataclasses.replace(CONFIG, embedding_dim=None))
    # As the public files, which keep the decoder's layers of the model that they are from.
    values |= {"num_decoder_layers": 2}
    encoder = transformers.T5EncoderModel(transformers.T5Config(**values)).eval()
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            noise = torch.randn_like(parameter)
            if "layer_norm" in name:
                noise = 1 + 0.3 * noise
            elif ".block." in name and "relative_attention_bias" not in name:
                noise *= 0.7 / parameter.shape[1] ** 0.5
            parameter.copy_(noise)
    encoder.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["T5EncoderModel"]
    weight_ED = torch.randn(10, 24)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.models.Pooling",
        },
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        {
            "idx": 3,
            "name": "3",
            "path": "3_Normalize",
            "type": "sentence_transformers.models.Normalize",
        },
    ]
    write_json(folder / "modules.json", modules)
    pooling = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "2_Dense" / "config.json", DENSE)
    save_file({"linear.weight": weight_ED}, folder / "2_Dense" / "model.safetensors")
    return folder, encoder, weight_ED


def documents(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(1, CONFIG.vocab_size, length) for length in lengths]


def packed() -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Two rows of documents, each with one decoder position; and the documents."""
    texts = documents(9, 4, 17, 1)
    batch = {
        "encoder_input_tokens": np.zeros((2, 20), np.int32),
        "encoder_segment_ids": np.zeros((2, 20), np.int32),
        "decoder_segment_ids": np.array([[1, 2, 0], [1, 2, 0]], np.int32),
    }
    for row, pair in enumerate((texts[:2], texts[2:])):
        tokens = np.concatenate(pair)
        segments = np.repeat([1, 2], [len(text) for text in pair])
        batch["encoder_input_tokens"][row, : len(tokens)] = tokens
        batch["encoder_segment_ids"][row, : len(tokens)] = segments
    return batch, texts


def reference(encoder, text: np.ndarray, weight_ED: torch.Tensor | None) -> np.ndarray:
    with torch.no_grad():
        hidden_BSD = encoder(input_ids=torch.from_numpy(text)[None]).last_hidden_state
        pooled_D = hidden_BSD[0].mean(0)
        return (pooled_D if weight_ED is None else weight_ED @ pooled_D).numpy()


def test_embeddings_equal_sentence_t5(sentence_t5):
    folder, encoder, weight_ED = sentence_t5
    model = load_model(folder)
    assert model.config == CONFIG
    batch, texts = packed()
    expected = np.stack([reference(encoder, text, weight_ED) for text in texts])
    plain = make_embedding_fn(model.config, model.params, normalize=False)(batch)["embedding"]
    assert (plain.shape, plain.dtype) == ((2, 3, 10), np.float32)
    np.testing.assert_allclose(np.reshape(plain[:, :2], (4, 10)), expected, atol=1e-4)
    np.testing.assert_array_equal(plain[:, 2], 0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    unit = make_embedding_fn(model.config, model.params, make_mesh())(batch)["embedding"]
    np.testing.assert_allclose(np.reshape(unit[:, :2], (4, 10)), expected, atol=1e-5)
    np.testing.assert_array_equal(unit[:, 2], 0)


def test_a_plain_t5_is_pooled_without_a_projection(sentence_t5):
    folder, encoder, _ = sentence_t5
    model = load_model(folder)
    config = dataclasses.replace(CONFIG, embedding_dim=None)
    batch, texts = packed()
    expected = np.stack([reference(encoder, text, None) for text in texts])
    found = make_embedding_fn(config, model.params, normalize=False)(batch)["embedding"]
    np.testing.assert_allclose(np.reshape(found[:, :2], (4, 24)), expected, atol=1e-4)


def test_bfloat16_is_near_float32(sentence_t5):
    model = load_model(sentence_t5[0])
    batch, _ = packed()
    exact = make_embedding_fn(model.config, model.params)(batch)["embedding"]
    config = dataclasses.replace(model.config, dtype="bfloat16")
    rounded = make_embedding_fn(config, model.params)(batch)["embedding"]
    assert rounded.dtype == np.float32
    cosine = (exact * rounded).sum(-1)[:, :2]
    assert 0.99 < cosine.min() < 1 - 1e-7


def test_a_decoder_stays_away_from_the_devices(tmp_path):
    config = dataclasses.replace(named_config("tiny"), vocab_size=61)
    whole = init_params(config, jax.random.key(0))
    (tmp_path / "hf").mkdir()
    hugging_face.write(tmp_path / "hf", stored(whole), config)
    encoder = load_model(tmp_path / "hf", encoder_only=True)
    assert set(encoder.params) == {"token_embedder", "encoder"}
    assert encoder.digest == load_model(tmp_path / "hf").digest
    batch, _ = packed()
    # Nothing of a decoder is needed, and what is there is not looked at.
    spoilt = {**whole, "decoder": {"layers_0": "no array"}}
    np.testing.assert_array_equal(
        make_embedding_fn(config, encoder.params)(batch)["embedding"],
        make_embedding_fn(config, spoilt)(batch)["embedding"],
    )


def stored(params):
    flat = traverse_util.flatten_dict(params, sep="/")
    return {
        path: StoredArray(a.shape, a.dtype, lambda a=a: np.asarray(a)) for path, a in flat.items()
    }


def test_an_encoder_alone_survives_json_and_predicts_nothing():
    assert config_from_json(config_to_json(CONFIG)) == CONFIG
    batch, _ = packed()
    tokens = np.ones((2, 3), np.int32)
    batch |= {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens}
    score = make_token_statistics_fn(CONFIG, init_params(CONFIG, jax.random.key(0)))
    with pytest.raises(ValueError, match="an encoder without a decoder, as Sentence-T5 is"):
        score(batch)
    with pytest.raises(ValueError, match="is decoder-only, and embeddings are pooled"):
        make_embedding_fn(named_config("gpt_tiny"), {})
    with pytest.raises(ValueError, match="has Sentence-T5's projection, and only plain T5"):
        hugging_face.write("unused", {}, CONFIG)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("2_Dense/config.json", {**DENSE, "bias": True}, "bias True and activation Identity"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.Tanh"}, "activation Tanh"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "mode pooling_mode_cls_token"),
        ("1_Pooling/config.json", {"pooling_mode": "max"}, "pooling mode max; only the mean"),
        ("modules.json", [{"type": "a.Dense", "path": p} for p in "ab"], "2 modules of type Dense"),
    ],
)
def test_other_models_of_sentence_transformers_are_refused(
    sentence_t5, tmp_path, file, values, message
):
    shutil.copytree(sentence_t5[0], tmp_path, dirs_exist_ok=True)
    write_json(tmp_path / file, values)
    with pytest.raises(ValueError, match=message):
        open_model(tmp_path)


def test_a_projection_in_torchs_own_format_is_refused(sentence_t5, tmp_path):
    shutil.copytree(sentence_t5[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "2_Dense" / "model.safetensors").rename(tmp_path / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"2_Dense has no model\.safetensors(.|\n)*Convert it once"
    ):
        open_model(tmp_path)
    # Newer versions name the mode otherwise.
    write_json(tmp_path / "1_Pooling" / "config.json", {"pooling_mode": "mean"})
    (tmp_path / "2_Dense" / "pytorch_model.bin").rename(tmp_path / "2_Dense" / "model.safetensors")
    assert open_model(tmp_path).config == CONFIG

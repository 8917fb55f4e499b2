"""Hugging Face folders: what transformers writes we read, and the other way round."""

import io
import json
import weakref

import numpy as np
import pytest
import sentencepiece
import torch
import transformers
from flax import traverse_util
from safetensors.numpy import load_file, save_file
from test_t5_parity import SHAPE, batch, our_logits, their_logits

from models.checkpoints import hugging_face, safetensors_files
from models.checkpoints.hugging_face_names import hugging_face_names
from models.checkpoints.stored import StoredArray, StoredParams
from models.configs import T5Config, config_to_json
from models.families import param_shapes

BYT5 = {**SHAPE, "num_encoder_layers": 3, "num_decoder_layers": 1}
CONFIGS = {
    "1.0": T5Config(**SHAPE, mlp="relu", tied_embedding=True),
    "1.1": T5Config(**SHAPE),
    "umt5": T5Config(**SHAPE, position_bias="per_layer"),
    "byt5": T5Config(**BYT5),
}


def random_params(config: T5Config, dtype: str = "float32") -> StoredParams:
    """Large enough that attention is far from uniform and norms are not all ones."""
    rng = np.random.default_rng(0)
    params = {}
    for path, leaf in traverse_util.flatten_dict(param_shapes(config), sep="/").items():
        array = rng.standard_normal(leaf.shape)
        if path.endswith("/scale"):
            array = 1 + 0.3 * array
        elif path.endswith("/kernel"):
            array *= 0.7 / leaf.shape[0] ** 0.5
        params[path] = stored(array.astype(dtype))
    return params


def stored(array: np.ndarray) -> StoredArray:
    return StoredArray(array.shape, array.dtype, lambda: array)


def arrays(params: StoredParams) -> dict[str, np.ndarray]:
    return {path: array.read() for path, array in params.items()}


def as_bytes(params: StoredParams) -> dict[str, tuple]:
    return {path: (a.shape, str(a.dtype), a.tobytes()) for path, a in arrays(params).items()}


def tree(params: StoredParams) -> dict:
    return traverse_util.unflatten_dict(arrays(params), sep="/")


def their_class(config: T5Config):
    if config.position_bias == "per_layer":
        return transformers.UMT5ForConditionalGeneration
    return transformers.T5ForConditionalGeneration


def their_model(config: T5Config):
    """A model of transformers with random weights, none of which went through our code."""
    torch.manual_seed(0)
    cls = their_class(config)
    model = cls(cls.config_class(**config_to_json(config))).eval()
    if not config.tied_embedding:
        model.lm_head.weight = torch.nn.Parameter(torch.empty(config.vocab_size, config.d_model))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if "layer_norm" in name:
                noise = 1 + 0.3 * noise
            elif ".block." in name and "relative_attention_bias" not in name:
                noise *= 0.7 / parameter.shape[1] ** 0.5
            parameter.copy_(noise)
    return untied(model, config)


def untied(model, config: T5Config):
    # Transformers 5 takes every umT5 for one whose head is its embedding, and scales its logits.
    model.config.tie_word_embeddings = config.tied_embedding
    return model


def assert_same_logits(config, params, model):
    inputs = batch()
    real = inputs["decoder_segment_ids"] != 0
    ours, theirs = our_logits(config, tree(params), inputs), their_logits(model, inputs)
    assert np.abs(theirs[real]).max() > 1  # not trivially small
    np.testing.assert_allclose(ours[real], theirs[real], atol=1e-4, rtol=0)


@pytest.mark.parametrize("shard_size", ["1GB", "20KB"])
@pytest.mark.parametrize("version", CONFIGS)
def test_a_folder_that_transformers_wrote(version, shard_size, tmp_path):
    model = their_model(CONFIGS[version])
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (tmp_path / "model.safetensors").exists() == (shard_size == "1GB")
    assert hugging_face.find(str(tmp_path)) == tmp_path
    config = hugging_face.read_config(tmp_path)
    assert config == CONFIGS[version]
    params = hugging_face.stored_params(tmp_path, config)
    for array in params.values():
        read = array.read()
        assert (read.shape, read.dtype) == (array.shape, array.dtype)
    assert_same_logits(config, params, model)


@pytest.mark.parametrize("max_file_bytes", [10**9, 20_000])
@pytest.mark.parametrize("version", CONFIGS)
def test_transformers_reads_what_we_write(version, max_file_bytes, tmp_path):
    config = CONFIGS[version]
    params = random_params(config)
    hugging_face.write(tmp_path, params, config, max_file_bytes=max_file_bytes)
    assert (tmp_path / "model.safetensors").exists() == (max_file_bytes == 10**9)
    model, info = their_class(config).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert model.generation_config.decoder_start_token_id == 0
    assert_same_logits(config, params, untied(model.eval(), config))
    auto = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert type(auto) is their_class(config)


@pytest.mark.parametrize("version", CONFIGS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_arrays_keep_every_byte(version, dtype, tmp_path):
    config = CONFIGS[version]
    params = random_params(config, dtype)
    embedding = params["token_embedder/embedding"].read()
    embedding[0, :3] = [np.nan, -np.nan, -0.0]
    hugging_face.write(tmp_path, params, config, max_file_bytes=20_000)
    assert hugging_face.read_config(tmp_path) == config
    assert as_bytes(hugging_face.stored_params(tmp_path, config)) == as_bytes(params)


@pytest.mark.parametrize("version", CONFIGS)
def test_every_parameter_has_a_name_of_its_own(version):
    names = hugging_face_names(CONFIGS[version])
    assert set(names) == set(traverse_util.flatten_dict(param_shapes(CONFIGS[version]), sep="/"))
    assert len(set(names.values())) == len(names)


def test_files_are_no_larger_than_asked_unless_one_array_is(tmp_path):
    params = random_params(CONFIGS["1.1"])
    hugging_face.write(tmp_path, params, CONFIGS["1.1"], max_file_bytes=5_000)
    files = sorted(tmp_path.glob("model-*.safetensors"))
    assert files[-1].name == f"model-{len(files):05}-of-{len(files):05}.safetensors"
    tensors = [load_file(file) for file in files]
    assert all(len(t) == 1 or sum(a.nbytes for a in t.values()) <= 5_000 for t in tensors)
    assert max(len(t) for t in tensors) > 1
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(a.read().nbytes for a in params.values())
    assert index["weight_map"] == {
        n: f.name for f, t in zip(files, tensors, strict=True) for n in t
    }


def test_dtypes_may_differ(tmp_path):
    config = CONFIGS["1.1"]
    params = random_params(config) | {
        path: stored(array.read().astype("bfloat16"))
        for path, array in random_params(config).items()
        if path.endswith("scale")
    }
    hugging_face.write(tmp_path, params, config)
    assert as_bytes(hugging_face.stored_params(tmp_path, config)) == as_bytes(params)
    tensors = load_file(tmp_path / "model.safetensors")
    assert tensors["encoder.final_layer_norm.weight"].dtype.name == "bfloat16"
    assert tensors["shared.weight"].dtype.name == "float32"
    data = (tmp_path / "model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header.pop("__metadata__") == {"format": "pt"}
    dtypes = [tensor["dtype"] for tensor in header.values()]
    assert dtypes == sorted(dtypes, reverse=True)  # F32 before BF16, or numbers lie askew


def test_one_tensor_at_a_time_is_in_memory(tmp_path):
    alive, most = [], []

    def counted(array: StoredArray) -> StoredArray:
        def read() -> np.ndarray:
            copy = array.read().copy()
            alive.append(weakref.ref(copy))
            most.append(sum(ref() is not None for ref in alive))
            return copy

        return StoredArray(array.shape, array.dtype, read)

    params = {path: counted(array) for path, array in random_params(CONFIGS["1.1"]).items()}
    hugging_face.write(tmp_path, params, CONFIGS["1.1"])
    assert len(most) == len(params)
    assert max(most) == 1


def test_nothing_is_read_before_it_is_asked_for(tmp_path, monkeypatch):
    config, read = CONFIGS["umt5"], []
    params = random_params(config)
    hugging_face.write(tmp_path, params, config)
    original = safetensors_files._read_tensor
    monkeypatch.setattr(
        safetensors_files, "_read_tensor", lambda *a: (read.append(a[1]), original(*a))[1]
    )
    found = hugging_face.stored_params(tmp_path, hugging_face.read_config(tmp_path))
    assert read == []
    found["decoder/logits_dense/kernel"].read()
    assert read == ["lm_head.weight"]


@pytest.fixture
def folder(tmp_path):
    """Of T5 1.0, whose head is its embedding."""
    hugging_face.write(tmp_path, random_params(CONFIGS["1.0"]), CONFIGS["1.0"])
    return tmp_path


def change(folder, config: dict | None = None, *, remove=(), **tensors):
    file = folder / "model.safetensors"
    kept = {name: a for name, a in load_file(file).items() if name not in remove}
    save_file(kept | tensors, file, metadata={"format": "pt"})
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | (config or {})))


def read(folder) -> StoredParams:
    return hugging_face.stored_params(folder, hugging_face.read_config(folder))


def test_names_of_older_libraries(folder):
    before = as_bytes(read(folder))
    embedding = load_file(folder / "model.safetensors")["shared.weight"]
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    copies = dict.fromkeys(
        ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"], embedding
    )
    change(folder, **copies, **{unused: np.ones((8, 3), np.float32)})
    assert as_bytes(read(folder)) == before
    change(folder, remove=["shared.weight", "lm_head.weight"])
    assert as_bytes(read(folder)) == before


@pytest.mark.parametrize("name", ["encoder.embed_tokens.weight", "lm_head.weight"])
def test_a_copy_that_differs_is_refused(folder, name):
    embedding = load_file(folder / "model.safetensors")["shared.weight"]
    change(folder, **{name: np.nextafter(embedding, np.float32(9))})
    with pytest.raises(ValueError, match=rf"{name} of .* differs from shared.weight, and its conf"):
        read(folder)


def test_a_head_that_is_missing_is_named(folder):
    change(folder, {"tie_word_embeddings": False})
    with pytest.raises(ValueError, match=r"has no lm_head.weight, and a T5 of its config.json has"):
        read(folder)


def test_tensors_of_other_models_are_named(folder):
    name = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
    lora = "encoder.block.0.layer.0.SelfAttention.q.lora_A.weight"
    change(folder, **{name: np.ones((8, 3), np.float32), lora: np.ones(3, np.float32)})
    with pytest.raises(ValueError, match=rf"has {lora}, {name}, and a T5 of .* does not"):
        read(folder)


def test_umt5_that_transformers_5_called_tied_keeps_its_head(tmp_path):
    config = CONFIGS["umt5"]
    hugging_face.write(tmp_path, random_params(config), config)
    change(tmp_path, {"tie_word_embeddings": True})
    assert hugging_face.read_config(tmp_path) == config


def test_other_dtypes_are_refused(folder):
    change(folder, **{"encoder.final_layer_norm.weight": np.ones(24, np.int8)})
    with pytest.raises(
        ValueError, match=r"final_layer_norm.weight of .* is stored as I8; expected"
    ):
        read(folder)


def test_damaged_files_are_named(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"model.safetensors is no whole safetensors file"):
        read(folder)


def test_a_file_that_the_index_names_must_be_there(tmp_path):
    config = CONFIGS["1.1"]
    hugging_face.write(tmp_path, random_params(config), config, max_file_bytes=20_000)
    missing = sorted(tmp_path.glob("model-*"))[1]
    missing.unlink()
    with pytest.raises(FileNotFoundError, match=rf"no {missing.name}, which model.safetensors.ind"):
        read(tmp_path)


def test_pytorch_files_are_refused_with_a_way_out(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model.bin, are not read. Convert .*save_pretr"):
        hugging_face.find(folder)


def test_other_folders_and_paths_are_not_taken(tmp_path, folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", pytest.fail)
    (folder / "config.json").unlink()
    assert hugging_face.find(folder) is None
    for path in (tmp_path / "absent", "runs/a/checkpoint_3", "./model", "a/"):
        assert hugging_face.find(path) is None


@pytest.mark.parametrize("name", ["google/flan-t5-xl", "t5-small", "google/t5-v1_1-base"])
def test_a_name_is_downloaded(name, folder, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda name, *, allow_patterns: (asked.update({name: allow_patterns}), str(folder))[1],
    )
    assert hugging_face.find(name) == folder
    assert list(asked) == [name]
    assert "spiece.model" in asked[name]
    assert not [pattern for pattern in asked[name] if ".bin" in pattern]
    (folder / "model.safetensors").unlink()  # the hub has .bin only
    with pytest.raises(ValueError, match=rf"{name} has no config.json with model.safetensors"):
        hugging_face.find(name)


def test_a_name_that_cannot_be_downloaded(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise FileNotFoundError("Cannot find it in the cache.\nMore lines.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    message = (
        r"no model at runs/absent\. .*: Cannot find it in the cache\. Check .*hf download runs/a"
    )
    with pytest.raises(FileNotFoundError, match=message):
        hugging_face.find("runs/absent")
    (tmp_path / "runs").mkdir()
    for name in ("absent", "runs/absent"):  # paths, as far as one can tell
        with pytest.raises(FileNotFoundError, match=r"Check the path or name\.$"):
            hugging_face.find(name)


def test_transformers_opens_the_tokenizer(folder):
    sentences = [f"{i} times over the lazy dog, and {i * i} more" for i in range(60)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        model_type="unigram",
        vocab_size=55,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    hugging_face.write_tokenizer_config(folder, extra_ids=100)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer(sentences[:9]).input_ids == [[*pieces.encode(s), 1] for s in sentences[:9]]
    last = pieces.vocab_size() + 99
    assert tokenizer.convert_tokens_to_ids(["<extra_id_0>", "<extra_id_99>"]) == [last, last - 99]


def test_transformers_opens_the_tokenizer_of_byt5(folder):
    hugging_face.write_tokenizer_config(folder, extra_ids=None)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer("abé").input_ids == [byte + 3 for byte in "abé".encode()] + [1]

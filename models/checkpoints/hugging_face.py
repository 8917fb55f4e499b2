"""Hugging Face folders of every T5: `config.json` and safetensors, without torch."""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epath

from models.checkpoints import hugging_face_hub, safetensors_files, sentence_transformers
from models.checkpoints.hugging_face_names import (
    EMBEDDING,
    EMBEDDING_COPIES,
    HEAD,
    UNUSED,
    hugging_face_names,
    is_transposed,
)
from models.checkpoints.stored import StoredArray, StoredParams
from models.configs import Config, T5Config, config_from_json, config_to_json

_PROJECTION = "projection_layer/kernel"


def find(path: epath.PathLike) -> epath.Path | None:
    """Returns the folder of a Hugging Face model, or None.

    Args:
        path: A local folder with `config.json` and safetensors; where there is nothing at this
            path, the name of a model on the hub, which is downloaded.

    Raises:
        FileNotFoundError: It reads like a name on the hub, and cannot be had from there.
        ValueError: The model has weights in PyTorch's own format only.
    """
    folder = epath.Path(path)
    is_local = folder.exists()
    if not is_local:
        if not hugging_face_hub.is_hub_name(os.fspath(path)):
            return None
        folder = hugging_face_hub.download(os.fspath(path))
    if (folder / "config.json").exists() and safetensors_files.is_in(folder):
        return folder
    if is_local and not any(folder.glob("pytorch_model*.bin")):
        return None
    raise ValueError(
        f"{path} has no config.json with model.safetensors (or several, with an index); weights in "
        "other formats, such as pytorch_model.bin, are not read. Convert it once where torch is "
        "installed: transformers.AutoModelForSeq2SeqLM.from_pretrained("
        f"{os.fspath(path)!r}).save_pretrained(FOLDER), then give that folder."
    )


def read_config(folder: epath.PathLike) -> T5Config:
    """Reads the config of a folder from `find`, with float32 activations.

    Raises:
        ValueError: As of `config_from_json`, or the model is no T5.
    """
    folder = epath.Path(folder)
    values = json.loads((folder / "config.json").read_text())
    # Since transformers 5 these say they are tied, with a head or without.
    if values.get("model_type") in ("mt5", "umt5") and HEAD in safetensors_files.read(folder):
        values["tie_word_embeddings"] = False
    config = config_from_json(values)
    if not isinstance(config, T5Config):
        raise ValueError(
            f"{folder} has a model of type {values['model_type']!r}; from Hugging Face only T5, mT5, "
            "umT5 and ByT5 can be read. Train a decoder-only reference model with `prune train`."
        )
    projection = sentence_transformers.find_projection(folder)
    if projection is None:
        return config
    return dataclasses.replace(config, embedding_dim=projection.shape[0])


def stored_params(folder: epath.PathLike, config: T5Config) -> StoredParams:
    """Returns the parameters by their paths in t5x's tree; each is read when it is asked for.

    Args:
        folder: From `find`.
        config: From `read_config`.

    Raises:
        FileNotFoundError: A file that the index names is missing.
        ValueError: A tensor is missing, not known, or of a dtype that no T5 has.
    """
    folder = epath.Path(folder)
    tensors = safetensors_files.read(folder)
    _merge_copies(tensors, config, folder)
    names = hugging_face_names(config)
    if missing := sorted(set(names.values()) - set(tensors)):
        raise ValueError(
            f"{folder} has no {_listed(missing)}, and a T5 of its config.json has. Download it "
            "again, or correct config.json."
        )
    if unknown := sorted(set(tensors) - set(names.values()) - set(UNUSED)):
        raise ValueError(
            f"{folder} has {_listed(unknown)}, and a T5 of its config.json does not. What can be "
            "read are T5, mT5, umT5 and ByT5 encoder-decoders, with adapters merged."
        )
    params = {path: _other_layout(path, tensors[name]) for path, name in names.items()}
    projection = sentence_transformers.find_projection(folder)
    if projection is not None:
        params[_PROJECTION] = _other_layout(_PROJECTION, projection)
    return params


def write(
    folder: epath.PathLike,
    params: StoredParams,
    config: Config,
    *,
    max_file_bytes: int = safetensors_files.MAX_FILE_BYTES,
) -> None:
    """Writes `config.json`, `generation_config.json` and safetensors, as transformers reads them.

    Args:
        folder: Local; made if there is none.
        params: All parameters of `config`. They keep their dtypes and bytes.
        config: Of the model.
        max_file_bytes: Above it there are several files with an index. Tensors are
            written one after another, each read when its turn comes.

    Raises:
        ValueError: The model is no T5, or has Sentence-T5's projection.
    """
    if not isinstance(config, T5Config):
        raise ValueError(
            "A decoder-only model is not written for Hugging Face: its texts begin with the padding "
            "token, of which generation there knows nothing. Leave it in t5x's layout."
        )
    if config.embedding_dim is not None:
        raise ValueError(
            "The model has Sentence-T5's projection, and only plain T5 is written for Hugging Face. "
            "Use the folder that it came in, or t5x's layout."
        )
    folder = epath.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = hugging_face_names(config)
    tensors = {name: _other_layout(path, params[path]) for path, name in names.items()}
    safetensors_files.write(folder, tensors, max_file_bytes=max_file_bytes)
    values = config_to_json(config)
    token_ids = {key: value for key, value in values.items() if key.endswith("_token_id")}
    safetensors_files.write_json(folder / "config.json", values)
    safetensors_files.write_json(folder / "generation_config.json", token_ids)


def write_tokenizer_config(folder: epath.PathLike, *, extra_ids: int | None) -> None:
    """Writes `tokenizer_config.json`, with which `AutoTokenizer` opens the folder.

    Args:
        folder: Of the model. It has a `spiece.model`, but for ByT5.
        extra_ids: Sentinels behind the SentencePiece model's own pieces; None for ByT5.
    """
    kind: dict[str, Any] = {"tokenizer_class": "ByT5Tokenizer"}
    if extra_ids is not None:
        kind = {"tokenizer_class": "T5Tokenizer", "extra_ids": extra_ids}
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    safetensors_files.write_json(epath.Path(folder) / "tokenizer_config.json", kind | special)


def _merge_copies(tensors: dict[str, StoredArray], config: T5Config, folder: epath.Path) -> None:
    """Leaves one of the tensors that are said to be the embedding, under its first name."""
    same = (EMBEDDING, *EMBEDDING_COPIES, *([HEAD] if config.tied_embedding else []))
    found = {name: tensors.pop(name) for name in same if name in tensors}
    for name, copy in list(found.items())[1:]:
        first = next(iter(found))
        if not _same_bytes(found[first], copy):
            raise ValueError(
                f"{name} of {folder} differs from {first}, and its config.json says that they are "
                "one. If the model has a head of its own, tie_word_embeddings is false there."
            )
    if found:
        tensors[EMBEDDING] = next(iter(found.values()))


def _same_bytes(left: StoredArray, right: StoredArray) -> bool:
    if (left.shape, left.dtype) != (right.shape, right.dtype):
        return False
    return np.array_equal(left.read().view(np.uint8), right.read().view(np.uint8))


def _other_layout(path: str, stored: StoredArray) -> StoredArray:
    """Ours from theirs, or theirs from ours."""
    if not is_transposed(path):
        return stored
    return StoredArray(stored.shape[::-1], stored.dtype, lambda: stored.read().T)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more

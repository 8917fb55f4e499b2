"""`prune convert`: a model in the format of t5x or of Hugging Face.

Arrays keep their dtype and bytes, so that going there and back gives the same model.
"""

import json
import math
import os
import shutil
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from etils import epath

    from models.checkpoints import StoredModel
    from models.checkpoints.stored import StoredParams
    from models.configs import Config
    from pruning.tokenization import Vocabulary


def convert(
    model: str,
    output: str,
    to: Literal["hugging_face", "t5x"],
    *,
    vocabulary: str | None = None,
) -> str:
    """Writes a model as t5x or transformers reads it, with the vocabulary that lies beside it.

    For t5x that is a folder with checkpoint_0: the optimizer is fresh, and steps count from 0.

    Args:
      model: a t5x checkpoint, a folder of `prune train`, or a Hugging Face folder or name.
      output: folder of the converted model; must not exist, or be empty.
      to: the format to write.
      vocabulary: SentencePiece file, or `bytes` for ByT5; by default the one beside the model.

    Returns:
      The folder.

    Raises:
      FileNotFoundError: there is no model.
      ValueError: the output folder has something in it, or the vocabulary is another than the model's.
    """
    from models.checkpoints import open_model
    from models.checkpoints.checkpoint_folders import absolute
    from pruning.jobs.reference_model import check_vocabulary, find_recipe
    from pruning.publishing import temporary_name
    from pruning.tokenization import open_vocabulary

    target = absolute(output)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} is not empty. Give another --output, or delete it.")
    opened = open_model(model)
    recipe = find_recipe(model)
    name = vocabulary or recipe.get("vocabulary")
    beside = None if name is None else open_vocabulary(name)
    if beside is not None:
        check_vocabulary(beside, str(name), recipe, model)
    is_local = "://" not in os.fspath(target)
    # Whole or not at all; in an object store, where folders have no names, what counts comes last.
    draft = temporary_name(target) if is_local else target
    try:
        draft.mkdir(parents=True, exist_ok=True)
        _write_beside(draft, beside, recipe)
        _WRITERS[to](draft, opened.params, opened.config)
        if is_local:
            os.replace(draft, target)
    except BaseException:
        if is_local:
            shutil.rmtree(draft, ignore_errors=True)
        raise
    print(f"{output}: {_summary(opened, to, name)}")
    return os.fspath(target)


def _write_beside(
    folder: "epath.Path", vocabulary: "Vocabulary | None", recipe: dict[str, Any]
) -> None:
    """The vocabulary, and what `prune score` and people should know."""
    from models.checkpoints import hugging_face
    from pruning.jobs.reference_model import VOCABULARY_FILE
    from pruning.tokenization import BYTES, SentencePieceVocabulary, write_vocabulary

    if vocabulary is not None:
        extra_ids = None
        recipe = recipe | {"vocabulary": BYTES, "vocabulary_digest": vocabulary.digest}
        if isinstance(vocabulary, SentencePieceVocabulary):
            extra_ids, recipe["vocabulary"] = vocabulary.added_ids, VOCABULARY_FILE
            write_vocabulary(vocabulary.serialized_model, folder / VOCABULARY_FILE)
        hugging_face.write_tokenizer_config(folder, extra_ids=extra_ids)
    if recipe:
        text = json.dumps({"recipe": recipe}, indent=2, sort_keys=True)
        (folder / "training.json").write_text(text + "\n")


def _write_hugging_face(folder: "epath.Path", params: "StoredParams", config: "Config") -> None:
    from models.checkpoints import hugging_face

    hugging_face.write(folder, params, config)


def _write_t5x(folder: "epath.Path", params: "StoredParams", config: "Config") -> None:
    import jax
    import jax.numpy as jnp
    from flax import traverse_util

    from models.checkpoints import t5x_orbax
    from models.checkpoints.optimizer_state import to_param_states
    from models.configs import config_to_json
    from models.optimizer import init_adafactor

    (folder / "config.json").write_text(json.dumps(config_to_json(config), indent=2) + "\n")
    # Not in the memory of an accelerator, which need not have room for it.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        flat = {path: jnp.asarray(array.read()) for path, array in params.items()}
        tree = traverse_util.unflatten_dict(flat, sep="/")
        # Float32 whatever the parameters are, as t5x has it.
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float32), tree)
        slots = jax.tree.map(
            lambda slot: jnp.zeros(slot.shape, slot.dtype), jax.eval_shape(init_adafactor, shapes)
        )
        t5x_orbax.write(folder, 0, tree, to_param_states(slots), {})


_WRITERS = {"hugging_face": _write_hugging_face, "t5x": _write_t5x}


def _summary(model: "StoredModel", to: str, vocabulary: str | None) -> str:
    params = model.params
    total = sum(math.prod(array.shape) for array in params.values())
    dtypes = ", ".join(sorted({str(array.dtype) for array in params.values()}))
    kind = {"hugging_face": "Hugging Face safetensors", "t5x": "t5x's checkpoint_0"}[to]
    beside = f"vocabulary {vocabulary}" if vocabulary else "without a vocabulary"
    return f"{model.name} as {kind}, {total:,} parameters in {dtypes}, {beside}."


if __name__ == "__main__":
    from pruning.jobs.run_job import main

    main("convert")

"""What the sentence-transformers library puts beside a T5: the projection of its embeddings.

Its folders have `modules.json`, a list of modules that follow one another. Sentence-T5's are the
encoder in the folder itself, the mean over tokens, a matrix product, and a normalisation.
"""

import json

from etils import epath

from models.checkpoints import safetensors_files
from models.checkpoints.stored import StoredArray

_WEIGHT = "linear.weight"


def find_projection(folder: epath.PathLike) -> StoredArray | None:
    """Returns the projection [D', D] of a folder as stored, or None if it has none.

    Args:
        folder: Local, of a Hugging Face model.

    Raises:
        ValueError: Embeddings are made in another way than Sentence-T5's.
    """
    folder = epath.Path(folder)
    if not (folder / "modules.json").exists():
        return None
    modules = json.loads((folder / "modules.json").read_text())
    # Types are class names, `sentence_transformers.models.Dense` in most versions.
    paths = [(module["type"].rpartition(".")[2], folder / module["path"]) for module in modules]
    projections = [path for kind, path in paths if kind == "Dense"]
    for kind, path in paths:
        if kind == "Pooling":
            _check_pooling(path)
    if not projections:
        return None
    if len(projections) > 1:
        raise ValueError(
            f"{folder}/modules.json has {len(projections)} modules of type Dense; Sentence-T5 has "
            "one, and no other model of sentence-transformers can be read."
        )
    return _read(projections[0])


def _check_pooling(path: epath.Path) -> None:
    config = json.loads((path / "config.json").read_text())
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    found = config.get("pooling_mode") or ", ".join(modes)
    if found not in ("mean", "pooling_mode_mean_tokens"):
        raise ValueError(
            f"{path}/config.json has pooling mode {found or 'none'}; only the mean over tokens, as "
            "Sentence-T5 has it, can be computed."
        )


def _read(path: epath.Path) -> StoredArray:
    config = json.loads((path / "config.json").read_text())
    activation = config.get("activation_function", "Identity").rpartition(".")[2]
    if config.get("bias") or activation != "Identity":
        raise ValueError(
            f"{path}/config.json has bias {config.get('bias')} and activation {activation}; "
            "Sentence-T5's projection has neither, and no other can be computed."
        )
    if not safetensors_files.is_in(path):
        raise ValueError(
            f"{path} has no model.safetensors; weights in other formats, such as "
            "pytorch_model.bin, are not read. Convert it once where sentence-transformers is "
            "installed: SentenceTransformer(FOLDER).save(OTHER_FOLDER), then give that folder."
        )
    tensors = safetensors_files.read(path)
    if list(tensors) != [_WEIGHT]:
        raise ValueError(f"{path} has {', '.join(tensors)}; expected {_WEIGHT} alone.")
    return tensors[_WEIGHT]

"""Models that are named as on the Hugging Face hub, such as `google/flan-t5-xl`."""

import re

from etils import epath

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")

# What a model needs and no more: other files hold the same weights for other libraries.
_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "spiece.model",
    "tokenizer_config.json",
    "training.json",
    # Of Sentence-T5.
    "modules.json",
    "*_Pooling/config.json",
    "*_Dense/config.json",
    "*_Dense/model.safetensors",
)


def is_hub_name(path: str) -> bool:
    """Whether a string can be a name on the hub; many a relative path can."""
    return _NAME.fullmatch(path) is not None


def download(name: str) -> epath.Path:
    """Downloads a model, or finds it in the cache of `huggingface_hub` (see HF_HOME).

    Args:
        name: Of the model, `google/flan-t5-xl` or `t5-small`.

    Returns:
        The folder in the cache.

    Raises:
        FileNotFoundError: There is no such model, or the hub cannot be reached and the cache
            has nothing.
    """
    from huggingface_hub import snapshot_download

    try:
        return epath.Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".: ")
        owner, slash, _ = name.partition("/")
        advice = (
            f" On a machine without a network run `hf download {name}` where there is one, copy the "
            "folder and give its path, or set HF_HOME to a cache that has the model."
        )
        raise FileNotFoundError(
            f"There is no model at {name}. Nor could it be read from the Hugging Face hub under that "
            f"name: {reason}. Check the path or name."
            + (advice if slash and not epath.Path(owner).is_dir() else "")
        ) from error

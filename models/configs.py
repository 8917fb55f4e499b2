"""The shapes of all models: public sizes by name, and `config.json`, whatever the family."""

from collections.abc import Mapping
from typing import Any

from models import decoder_only_configs, t5_configs
from models.decoder_only_configs import DecoderOnlyConfig
from models.dtypes import check_dtype
from models.t5_configs import T5Config

__all__ = [
    "SIZES",
    "Config",
    "DecoderOnlyConfig",
    "T5Config",
    "check_dtype",
    "config_from_json",
    "config_to_json",
    "named_config",
]

Config = T5Config | DecoderOnlyConfig

SIZES: dict[str, Config] = {**t5_configs.SIZES, **decoder_only_configs.SIZES}


def named_config(name: str) -> Config:
    """Returns the config of a public size.

    Args:
        name: A key of `SIZES` (`gpt-124m` for `gpt_124m` will do), or the name of a public T5 as
            t5x or Hugging Face write it, such as `google/flan-t5-xl`; see
            `t5_configs.named_config`.

    Raises:
        ValueError: The name is not known; the message lists those that are.
    """
    key = name.lower().replace("-", "_").replace(".", "_")
    config = decoder_only_configs.SIZES.get(key) or t5_configs.named_config(name)
    if config is None:
        raise ValueError(
            f"Unknown model size {name!r}. Known sizes: {', '.join(SIZES)}. Flan-T5 and "
            "LM-adapted T5 have those of T5 1.1, and can be named flan_t5_SIZE."
        )
    return config


def config_to_json(config: Config) -> dict[str, Any]:
    """Returns the config under the keys of Hugging Face's `config.json` of its family."""
    if isinstance(config, DecoderOnlyConfig):
        return decoder_only_configs.config_to_json(config)
    return t5_configs.config_to_json(config)


def config_from_json(values: Mapping[str, Any]) -> Config:
    """Reads the parsed `config.json` of a Hugging Face model, or what `config_to_json` gave.

    Args:
        values: The parsed file. Keys that say nothing about the network are ignored.

    Returns:
        The config, with float32 activations.

    Raises:
        ValueError: A required key is missing, or the model is of no known family.
    """
    if values.get("model_type") in decoder_only_configs.ARCHITECTURES:
        return decoder_only_configs.config_from_json(values)
    return t5_configs.config_from_json(values)

"""What a training run leaves on record, and the guard against mixing two runs in one folder."""

import json
import os
import uuid
from typing import Any

from etils import epath

from models.configs import Config, config_to_json

_ABSENT = "nothing"
_MOST_DIFFERENCES = 10


def prepare(
    folder: epath.Path, config: Config, settings: dict[str, Any], recipe: dict[str, Any]
) -> None:
    """Writes `config.json` and `training.json`, or checks that they say the same.

    Args:
        folder: The model folder; made if there is none.
        config: Goes to `config.json` under Hugging Face's keys.
        settings: The trainer's own, of JSON values.
        recipe: The caller's, of JSON values.

    Raises:
        ValueError: The folder holds a run with other settings; each is named with both values.
    """
    write_or_check(folder / "config.json", config_to_json(config))
    write_or_check(folder / "training.json", {"settings": settings, "recipe": recipe})


def write_or_check(file: epath.Path, values: dict[str, Any]) -> None:
    """Writes a JSON file, or checks that it says the same.

    Args:
        file: Its folder is made if there is none.
        values: Of JSON values; dicts in it are compared key by key.

    Raises:
        ValueError: The file says something else. Names up to ten differences with both values,
            those of outer keys first.
    """
    asked = json.loads(json.dumps(values))
    if not file.exists():
        _write(file, json.dumps(values, indent=2, sort_keys=True) + "\n")
        return
    # One setting that differs must not drown among the files of a corpus.
    differences = sorted(_differences(json.loads(file.read_text()), asked), key=lambda d: d[0])
    if differences:
        more = len(differences) - _MOST_DIFFERENCES
        raise ValueError(
            f"{file} is from a run with other settings:\n  "
            + "\n  ".join(line for _, line in differences[:_MOST_DIFFERENCES])
            + (f"\n  and {more:,} more" if more > 0 else "")
            + "\nGive another output, or delete the folder."
        )


def _write(file: epath.Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if "://" in os.fspath(file):
        file.write_text(text)  # an object appears whole, and has no other name before
        return
    # A file that is there is whole: it gets its name last.
    draft = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.write_text(text)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _differences(found: Any, asked: Any, path: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Depth and description of every difference, in order of the keys."""
    if isinstance(found, dict) and isinstance(asked, dict):
        return [
            difference
            for key in sorted(found | asked)
            for difference in _differences(
                found.get(key, _ABSENT), asked.get(key, _ABSENT), (*path, key)
            )
        ]
    if found == asked:
        return []
    name = ".".join(path)
    return [(len(path), f"{name}: the folder has {found!r}, this run asks for {asked!r}")]

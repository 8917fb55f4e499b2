"""What `prune train` leaves beside its checkpoints: the recipe and the vocabulary."""

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from etils import epath

from models import training_folder
from models.checkpoints import hugging_face, t5x_legacy, t5x_orbax
from models.configs import Config
from pruning.documents import SourceFile, Unit
from pruning.hashing import id_hash
from pruning.prepared_units import Preparation, read_documents
from pruning.prompts import Question
from pruning.tokenization import (
    BYTES,
    Vocabulary,
    open_vocabulary,
    train_vocabulary,
    write_vocabulary,
)

# The name under which Hugging Face keeps a T5 vocabulary, too.
VOCABULARY_FILE = "spiece.model"
# What a vocabulary was trained on. Written before it, and absent beside one that was given.
VOCABULARY_RECORD = "vocabulary.json"

# Text that a vocabulary is trained on, at most.
VOCABULARY_TEXT_BYTES = 50_000_000
# How often it sees a question that is asked of each document, so that answers become one token.
QUESTION_REPEATS = 1_000


def find_recipe(path: str) -> dict[str, Any]:
    """What lies beside a model about how it was trained; empty if nothing does.

    Args:
      path: a model folder, a checkpoint in one, or a Hugging Face folder or name.

    Returns:
      The recipe of `prune train` where it was written or converted from there. Its `vocabulary`
      is a path that opens from here, or `bytes`.
    """
    checkpoint = t5x_orbax.find(path) or t5x_legacy.find(path)
    folder = hugging_face.find(path) if checkpoint is None else checkpoint.parent
    if folder is None:
        return {}
    record = folder / "training.json"
    recipe = json.loads(record.read_text())["recipe"] if record.exists() else {}
    vocabulary = recipe.get("vocabulary") or _vocabulary_beside(folder)
    if vocabulary is not None:
        recipe["vocabulary"] = vocabulary if vocabulary == BYTES else os.fspath(folder / vocabulary)
    return recipe


def _vocabulary_beside(folder: epath.Path) -> str | None:
    """The name of a vocabulary that no recipe tells, as in models from Hugging Face."""
    if (folder / VOCABULARY_FILE).exists():
        return VOCABULARY_FILE
    files = [folder / name for name in ("tokenizer_config.json", "config.json")]
    classes = [json.loads(f.read_text()).get("tokenizer_class") for f in files if f.exists()]
    return BYTES if "ByT5Tokenizer" in classes else None


def corpus_record(
    how: Preparation, files: Sequence[SourceFile], *, unit_rows: int
) -> dict[str, Any]:
    """What a run is trained on, as JSON; the same wherever the corpus lies."""
    described = how.source.describe()
    kind = described["spec"].partition(":")[0]
    source = {k: v for k, v in described.items() if k not in ("spec", "data_dir")}
    records = [dataclasses.asdict(file) for file in files]
    return {
        "source": source | {"kind": kind},
        "files": {record.pop("path"): record for record in records},
        "where": how.where and how.where.describe(),
        "max_document_bytes": how.max_document_bytes,
        "unit_rows": unit_rows,
    }


def find_or_train_vocabulary(
    output: str,
    vocabulary: str | None,
    *,
    how: Preparation,
    units: Sequence[Unit],
    trained_on: dict[str, Any],
    question: Question | None = None,
) -> tuple[Vocabulary, str]:
    """The vocabulary of a model folder, and its name in the recipe.

    A file is copied into the folder, so that the folder is all that scoring needs.

    Args:
      output: the model folder.
      vocabulary: a file, `bytes`, or None to train one.
      how, units: documents that it is trained on.
      trained_on: `corpus_record` and the `vocabulary_size` in pieces.
      question: whose prompt and answers a vocabulary is trained on, too.

    Raises:
      ValueError: the folder holds another vocabulary than the one given, one that
        was trained on something else, or one that its model was not trained with.
    """
    name = BYTES if vocabulary == BYTES else VOCABULARY_FILE
    if vocabulary is None:
        asked = [] if question is None else _asked_texts(question)
        trained_on = trained_on | ({"question": question.describe()} if question else {})
        opened = _find_or_train(
            epath.Path(output), how, units, trained_on, asked * QUESTION_REPEATS
        )
    elif vocabulary == BYTES:
        opened = open_vocabulary(BYTES)
    else:
        opened = _copied(vocabulary, epath.Path(output))
    # A folder that is yet to be made is not to be looked for among public models.
    recipe = find_recipe(output) if epath.Path(output).exists() else {}
    check_vocabulary(opened, name, recipe, output)
    return opened, name


def check_vocabulary(vocabulary: Vocabulary, name: str, recipe: dict[str, Any], model: str) -> None:
    """Refuses a vocabulary that the model was not trained with.

    Args:
      vocabulary: that is opened.
      name: of it, for the message.
      recipe: of the model; one without a digest passes.
      model: path, for the message.

    Raises:
      ValueError: names both digests.
    """
    expected = recipe.get("vocabulary_digest", vocabulary.digest)
    if vocabulary.digest != expected:
        raise ValueError(
            f"Vocabulary {name} has digest {vocabulary.digest}, but model {model} was trained with "
            f"{expected}. Put that vocabulary back, or give its file as --vocabulary."
        )


def model_config(shape: Config, vocabulary: Vocabulary) -> Config:
    """A size with the vocabulary's ids, padded to a multiple of 128 as T5's 32,100 are to 32,128."""
    return dataclasses.replace(shape, vocab_size=table_rows(vocabulary))


def table_rows(vocabulary: Vocabulary) -> int:
    """Rows of a model's table for a vocabulary: a multiple of 128."""
    return -(-vocabulary.vocab_size // 128) * 128


def _copied(vocabulary: str, folder: epath.Path) -> Vocabulary:
    given, path = open_vocabulary(vocabulary), folder / VOCABULARY_FILE
    _ = given.vocab_size  # raises before the folder has what is no vocabulary
    if path.exists() and open_vocabulary(os.fspath(path)).digest != given.digest:
        raise ValueError(
            f"{path} differs from --vocabulary {vocabulary}: the folder belongs to another "
            "run. Give another --output, or delete the folder."
        )
    copied: Vocabulary = write_vocabulary(epath.Path(vocabulary).read_bytes(), path)
    if copied.digest != given.digest:  # the number of sentinels stood beside the file
        hugging_face.write_tokenizer_config(folder, extra_ids=given.num_sentinels)
        copied = open_vocabulary(os.fspath(path))
    return copied


def _asked_texts(question: Question) -> list[str]:
    # SentencePiece takes a word for a piece only where it begins several words.
    answers = [f"{word} {word}. {word}," for word in (*question.yes, *question.no)]
    return [question.template, *answers]


def _find_or_train(
    folder: epath.Path,
    how: Preparation,
    units: Sequence[Unit],
    trained_on: dict[str, Any],
    more_texts: Sequence[str],
) -> Vocabulary:
    path, record = folder / VOCABULARY_FILE, folder / VOCABULARY_RECORD
    if path.exists() and not record.exists():
        raise ValueError(
            f"{path} is a vocabulary that was not trained by this command ({VOCABULARY_RECORD} is "
            "missing beside it), and this run asks for one trained on the source. Give its file "
            "as --vocabulary, or another --output."
        )
    if path.exists():
        training_folder.write_or_check(record, trained_on)
        return open_vocabulary(os.fspath(path))
    texts = _texts_up_to(VOCABULARY_TEXT_BYTES, how, units)
    first = next(texts, None)
    if first is None:
        raise ValueError(
            "There is nothing to train on: the source has no document that can be used. "
            "Look at --where, --text_field and the source."
        )
    size = trained_on["vocabulary_size"]
    print(f"Training a vocabulary of {size:,} pieces on the source.", flush=True)
    record.unlink(missing_ok=True)  # of a run that was killed before it had a vocabulary
    training_folder.write_or_check(record, trained_on)
    return train_vocabulary(itertools.chain([first], texts, more_texts), path, vocab_size=size)


def _texts_up_to(limit: int, how: Preparation, units: Sequence[Unit]) -> Iterator[str]:
    """Texts of the units in a seeded order, `limit` bytes of them."""
    drawn = sorted(units, key=lambda u: int(id_hash(u.file, u.first_row, 0)))
    texts = itertools.chain.from_iterable(read_documents(unit, how)[1] for unit in drawn)
    total = 0
    for text in texts:
        if text:
            yield text
            total += len(text.encode())
        if total >= limit:
            return

"""The vocabulary of a file as seqio's, with the sentinels that `pruning` finds in it."""

from typing import Any

import seqio

from pruning import tokenization


def open_vocabulary(path: str) -> seqio.Vocabulary:
    """The vocabulary in a SentencePiece file, or ByT5's for `bytes`.

    In gin, one path then serves the task and the model:
    `VOCABULARY = @vocabularies.open_vocabulary()`. The number of extra ids, which a seqio
    vocabulary must be told, is what the file needs: none if its own pieces end with sentinels
    (T5's own `cc_all.32000.100extra`, mT5), else T5's 100.

    Args:
      path: a `.model` file, or `bytes`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no SentencePiece model, or not one with T5's special ids.
    """
    opened = tokenization.open_vocabulary(path)
    if isinstance(opened, tokenization.ByteVocabulary):
        return seqio.ByteVocabulary()
    return seqio.SentencePieceVocabulary(path, extra_ids=opened.added_ids)


def check_vocabularies(dataset_config: Any, model: Any) -> None:
    """Compares a task's vocabulary with a t5x model's; `verify_matching_vocabs_fn` of t5x.

    Args:
      dataset_config: a `t5x.utils.DatasetConfig`.
      model: a `t5x.models.EncoderDecoderModel`.

    Raises:
      ValueError: they differ, or the model's table has fewer rows than the vocabulary has ids.
    """
    name = dataset_config.mixture_or_task_name
    features = seqio.get_mixture_or_task(name).output_features
    table = model.module.config.vocab_size
    for feature, of_model in (
        ("inputs", model.input_vocabulary),
        ("targets", model.output_vocabulary),
    ):
        of_task = features[feature].vocabulary
        if of_task != of_model:
            raise ValueError(
                f"The {feature} of {name!r} have the vocabulary {of_task}, the model has "
                f"{of_model}. Give both one file: in this project's gin files both read "
                "VOCABULARY_FILE, and a task of your own takes it as `vocabulary`."
            )
        if of_model.vocab_size > table:
            raise ValueError(
                f"The vocabulary {of_model} has {of_model.vocab_size:,} ids, and the model's table "
                f"{table:,} rows. Set network.T5Config.vocab_size to at least the former, or give "
                "the vocabulary that the model was made with."
            )


def checked_model(dataset_config: Any, model: Any) -> Any:
    """The model, once `check_vocabularies` has passed; for `t5x.eval`, whose own check is fixed.

    Args:
      dataset_config, model: as of `check_vocabularies`.

    Raises:
      ValueError: as `check_vocabularies`.
    """
    check_vocabularies(dataset_config, model)
    return model

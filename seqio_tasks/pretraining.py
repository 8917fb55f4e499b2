"""Pretraining tasks: C4, and text of one's own, with span corruption, prefix LM or causal LM.

Each function registers a task and returns its name, so that a gin file can say
`seqio_tasks.pruned_task.base = @pretraining.c4_task()`. Asked again for the same, it returns the
same name. seqio's `t5` package is not needed.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import seqio
import tensorflow as tf

from pruning.export_formats import TEXT_FEATURE
from seqio_tasks.denoising import OBJECTIVES, causal_lm
from seqio_tasks.vocabularies import open_vocabulary

# T5's vocabulary of 32,000 pieces and 100 sentinels.
T5_VOCABULARY = "gs://t5-data/vocabs/cc_all.32000.100extra/sentencepiece.model"

# What `prepare_c4` of TFDS writes today.
C4_VERSION = "3.1.0"
C4_CONFIGS = ("en", "realnewslike", "webtextlike")

Objective = Literal["span_corruption", "prefix_lm", "causal_lm"]
Files = Mapping[str, str | Sequence[str]]


def c4_task(
    config: str = "en",
    objective: Objective = "span_corruption",
    *,
    vocabulary: str | seqio.Vocabulary = T5_VOCABULARY,
    version: str = C4_VERSION,
    name: str | None = None,
) -> str:
    """Registers a task over C4 in TFDS, and returns its name, such as `c4_en_span_corruption`.

    `en` is the corpus of T5 and of "How to Train Data-Efficient LLMs"; `realnewslike` and
    `webtextlike` are the parts of it on which that paper measures the perplexity of
    high-quality text.

    Args:
      config: of C4.
      objective: what the model must predict.
      vocabulary: path of a SentencePiece model, `bytes`, or a seqio vocabulary.
      version: of the TFDS dataset.
      name: of the task.

    Raises:
      ValueError: no such config or objective, or another task has the name.
    """
    if config not in C4_CONFIGS:
        raise ValueError(f"Unknown config {config!r} of C4; known are {', '.join(C4_CONFIGS)}.")
    dataset = f"c4/{config}:{version}"
    return _add(
        name or f"c4_{config}_{objective}",
        seqio.TfdsDataSource(dataset, splits={"train": "train", "validation": "validation"}),
        objective,
        vocabulary,
        "text",
        reads=f"tfds:{dataset}",
    )


def text_task(
    name: str,
    *,
    tfrecords: Files | None = None,
    texts: Files | None = None,
    vocabulary: str | seqio.Vocabulary = T5_VOCABULARY,
    objective: Objective = "span_corruption",
    text_feature: str = TEXT_FEATURE,
) -> str:
    """Registers a task over TFRecord or text files, and returns its name.

    Other files become TFRecords by `prune export`: JSON Lines, Parquet, whatever is compressed.

    Args:
      name: of the task.
      tfrecords: file patterns of `tf.train.Example`s by split, such as
        `{"train": "export/**.tfrecord"}`.
      texts: file patterns of text with a document a line, in place of `tfrecords`.
      vocabulary: path of a SentencePiece model, `bytes`, or a seqio vocabulary.
      objective: what the model must predict.
      text_feature: the feature of the `tf.train.Example`s that holds the text.

    Raises:
      ValueError: both or neither of the files are given, or there is no such objective, or
        another task has the name.
    """
    if (tfrecords is None) == (texts is None):
        raise ValueError(
            f"Task {name!r} has tfrecords={tfrecords} and texts={texts}. Give one of the two, such "
            'as tfrecords={"train": "export/**.tfrecord"}.'
        )
    files = {s: p if isinstance(p, str) else list(p) for s, p in (tfrecords or texts or {}).items()}
    source: seqio.DataSource
    if texts is None:
        features = {text_feature: tf.io.FixedLenFeature([], tf.string)}
        source = seqio.TFExampleDataSource(files, features)
    else:
        source = seqio.TextLineDataSource(files)
    reads = f"{'texts' if tfrecords is None else 'tfrecords'}:{files}"
    return _add(name, source, objective, vocabulary, text_feature, reads=reads)


class PretrainingTask(seqio.Task):
    """A task that knows what it was made of, so that it can be asked for again."""

    made_of: Mapping[str, Any]


def _add(
    name: str,
    source: seqio.DataSource,
    objective: str,
    vocabulary: str | seqio.Vocabulary,
    text_feature: str,
    *,
    reads: str,
) -> str:
    if objective not in OBJECTIVES:
        raise ValueError(f"Unknown objective {objective!r}; known are {', '.join(OBJECTIVES)}.")
    made_of = {
        "reads": reads,
        "objective": objective,
        "vocabulary": vocabulary,
        "text_feature": text_feature,
    }
    if name in seqio.TaskRegistry.names():
        _check_same(name, made_of)
        return name
    opened = open_vocabulary(vocabulary) if isinstance(vocabulary, str) else vocabulary
    preprocess = OBJECTIVES[objective]
    task = PretrainingTask(
        name,
        source,
        preprocessors=[
            functools.partial(_only_text, text_feature=text_feature),
            functools.partial(
                seqio.preprocessors.tokenize, copy_pretokenized=preprocess is causal_lm
            ),
            # A cache holds whole documents: spans are drawn anew in every epoch.
            seqio.CacheDatasetPlaceholder(),
            preprocess,
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={
            feature: seqio.Feature(opened, add_eos=True) for feature in ("inputs", "targets")
        },
        postprocess_fn=_num_targets,
        metric_fns=[nll],
    )
    task.made_of = made_of
    seqio.TaskRegistry.add_provider(name, task)
    return name


def _check_same(name: str, made_of: Mapping[str, Any]) -> None:
    found = getattr(seqio.TaskRegistry.get(name), "made_of", None)
    if found is None:
        raise ValueError(f"A task {name!r} exists already, made elsewhere. Give another name.")
    for key, value in made_of.items():
        if found[key] != value:
            raise ValueError(
                f"Task {name!r} is registered with {key} {found[key]!r}, not {value!r}. Give "
                "another name."
            )


@seqio.map_over_dataset
def _only_text(document: Any, text_feature: str) -> dict[str, tf.Tensor]:
    # A line of a text file has no features.
    return {"targets": document[text_feature] if isinstance(document, dict) else document}


def _num_targets(decoded: str, *, example: Mapping[str, Any], is_target: bool) -> Any:
    """In place of the target's text, for `nll`: how many tokens it has."""
    return np.count_nonzero(example["targets"]) if is_target else decoded


def nll(targets: Sequence[int], scores: Sequence[float]) -> dict[str, float]:
    """Nats per target token, the end of sequence included, and their exponential.

    What `t5x.eval` reports of a pretraining task.

    Args:
      targets: numbers of tokens.
      scores: log-probabilities of whole targets.
    """
    value = -float(np.sum(np.asarray(scores, np.float64))) / float(np.sum(targets))
    return {"nll": value, "perplexity": float(np.exp(value))}

"""A seqio task over text that `prune export` wrote, the embedded corpus for one."""

from collections.abc import Mapping, Sequence

import seqio
import tensorflow as tf

from seqio_tasks.exported import TEXT_FEATURE


def text_task(
    name: str,
    *,
    tfrecords: Mapping[str, str | Sequence[str]],
    vocabulary: str | seqio.Vocabulary,
    text_feature: str = TEXT_FEATURE,
) -> str:
    """Registers a plain language-modeling task over TFRecords, and returns its name.

    `targets` are the tokens of the text with the end-of-sequence token, `inputs` is
    empty but for that token, so that encoder-decoder and decoder-only models both
    read it.

    Args:
      name: of the task.
      tfrecords: file patterns by split, such as `{"train": "export/**.tfrecord"}`.
      vocabulary: a seqio vocabulary, or the path of a SentencePiece model.
      text_feature: the feature of the `tf.train.Example`s that holds the text.
    """
    if isinstance(vocabulary, str):
        vocabulary = seqio.SentencePieceVocabulary(vocabulary)

    def rekey(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return seqio.preprocessors.rekey(dataset, {"inputs": None, "targets": text_feature})

    seqio.TaskRegistry.add(
        name,
        source=seqio.TFExampleDataSource(
            {
                split: pattern if isinstance(pattern, str) else list(pattern)
                for split, pattern in tfrecords.items()
            },
            {text_feature: tf.io.FixedLenFeature([], tf.string)},
        ),
        preprocessors=[
            rekey,
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={
            feature: seqio.Feature(vocabulary, add_eos=True) for feature in ("inputs", "targets")
        },
    )
    return name

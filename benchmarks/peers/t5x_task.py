"""The seqio task that t5x's `infer` scores: token ids in, nothing left to do to them.

t5x imports this module in a process of its own, so where the examples lie comes
from the environment. Inputs and targets are stored as ids: t5x has no rule that
cuts the document and keeps the prompt.
"""

import os

import seqio
import tensorflow as tf
from peers.t5x_infer import EXAMPLES, TASK, VOCABULARY


def _as_int32(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return dataset.map(lambda example: {name: tf.cast(example[name], tf.int32) for name in example})


_ids = tf.io.RaggedFeature(tf.int64)
_vocabulary = seqio.SentencePieceVocabulary(os.environ[VOCABULARY])
_feature = seqio.Feature(_vocabulary, add_eos=False)
seqio.TaskRegistry.add(
    TASK,
    source=seqio.TFExampleDataSource(
        {"train": os.environ[EXAMPLES]}, {"inputs": _ids, "targets": _ids}
    ),
    preprocessors=[_as_int32],
    output_features={"inputs": _feature, "targets": _feature},
)

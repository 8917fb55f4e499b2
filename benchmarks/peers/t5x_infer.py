"""t5x's `infer` in score mode, run as its users run it: a process with a gin file.

t5x is not on PyPI. Commit cc342d4 of github.com/google-research/t5x runs with the
versions in constraints.txt.
"""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

from models.configs import T5Config

HOW_TO_GET = (
    "t5x is left out, for it cannot be imported. Install it from "
    "https://github.com/google-research/t5x, or put a checkout and those of its requirements "
    "airio and jestimator on PYTHONPATH, with fiddle and grain installed."
)
# Environment variables that `t5x_task` reads, and the task that it registers.
EXAMPLES = "T5X_TASK_EXAMPLES"
VOCABULARY = "T5X_TASK_VOCABULARY"
TASK = "ids_to_score"

_CHUNK = re.compile(r"chunk completed in ([\d.]+) seconds")
_ACTIVATIONS = {"gated_gelu": "('gelu', 'linear')", "relu": "('relu',)"}

_GIN = """
from __gin__ import dynamic_registration
import __main__ as infer_script
import seqio
from peers import t5x_task
from t5x import adafactor
from t5x import models
from t5x import partitioning
from t5x import utils
from t5x.examples.t5 import network

include 't5x/configs/runs/infer.gin'

MIXTURE_OR_TASK_NAME = '{task}'
TASK_FEATURE_LENGTHS = {{'inputs': {inputs}, 'targets': {targets}}}
CHECKPOINT_PATH = '{checkpoint}'
INFER_OUTPUT_DIR = '{output}'
MODEL = @models.EncoderDecoderModel()
VOCABULARY = @seqio.SentencePieceVocabulary()

infer_script.infer:
  mode = 'score'
  checkpoint_period = {batches_per_chunk}
utils.DatasetConfig:
  split = 'train'
  batch_size = {batch_size}
utils.RestoreCheckpointConfig.dtype = '{dtype}'
seqio.SentencePieceVocabulary.sentencepiece_model_file = '{vocabulary}'
models.EncoderDecoderModel:
  module = @network.Transformer()
  input_vocabulary = %VOCABULARY
  output_vocabulary = %VOCABULARY
  optimizer_def = @adafactor.Adafactor()
network.Transformer.config = @network.T5Config()
network.T5Config:
  vocab_size = {config.vocab_size}
  dtype = '{dtype}'
  emb_dim = {config.d_model}
  num_heads = {config.num_heads}
  num_encoder_layers = {config.num_encoder_layers}
  num_decoder_layers = {config.num_decoder_layers}
  head_dim = {config.head_dim}
  mlp_dim = {config.d_ff}
  mlp_activations = {activations}
  dropout_rate = 0.0
  logits_via_embedding = {config.tied_embedding}
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5xInfer:
    """A model and examples as t5x sees them.

    Attributes:
        folder: For the gin file, the examples and what t5x writes.
        checkpoint: A `checkpoint_STEP` folder in t5x's Orbax layout.
        config: Of the model; its dtype is the one of activations and parameters.
        vocabulary: A SentencePiece file.
        lengths: Positions of a row's inputs and targets.
        batch_size: Rows at a time.
        batches_per_chunk: How often t5x writes scores, and reports its speed.
    """

    folder: pathlib.Path
    checkpoint: pathlib.Path
    config: T5Config
    vocabulary: pathlib.Path
    lengths: tuple[int, int]
    batch_size: int = 32
    batches_per_chunk: int = 5

    def write_examples(self, examples: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Writes pairs of inputs and targets as TFRecord."""
        import tensorflow as tf

        with tf.io.TFRecordWriter(str(self.folder / "examples.tfrecord")) as writer:
            for inputs, targets in examples:
                features = {
                    name: tf.train.Feature(int64_list=tf.train.Int64List(value=ids))
                    for name, ids in (("inputs", inputs), ("targets", targets))
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())

    def score(self) -> tuple[np.ndarray, float]:
        """Scores the examples in a fresh process.

        Returns:
            The sum of the targets' log-probabilities of each example, in nats, and the seconds
            that its loop takes for all of them, from the chunks after the first, in which it
            compiles.

        Raises:
            RuntimeError: t5x failed.
            ValueError: There is one chunk only.
        """
        output = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        gin_file = output / "infer.gin"
        gin_file.write_text(self._gin(output))
        here = pathlib.Path(__file__).parent.parent
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(here), *filter(None, sys.path)]),
            EXAMPLES: str(self.folder / "examples.tfrecord"),
            VOCABULARY: str(self.vocabulary),
        }
        done = subprocess.run(
            [sys.executable, "-m", "t5x.infer", f"--gin_file={gin_file}", "--verbosity=0"],
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"t5x.infer failed:\n{done.stderr[-4000:]}")
        lines = (output / f"{TASK}-score.jsonl-00000-of-00001").read_text().splitlines()
        scores = np.array([json.loads(line)["score"] for line in lines])
        seconds = [float(text) for text in _CHUNK.findall(done.stderr)]
        timed = len(scores) - self.batch_size * self.batches_per_chunk
        if timed <= 0:
            raise ValueError(
                f"{len(scores)} documents are one chunk of t5x's, in which it compiles. Give more "
                "--documents, or a smaller --t5x_batch_size."
            )
        return scores, sum(seconds[1:]) * len(scores) / timed

    def _gin(self, output: pathlib.Path) -> str:
        inputs, targets = self.lengths
        return _GIN.format(
            task=TASK,
            inputs=inputs,
            targets=targets,
            checkpoint=self.checkpoint,
            output=output,
            batches_per_chunk=self.batches_per_chunk,
            batch_size=self.batch_size,
            dtype=self.config.dtype,
            vocabulary=self.vocabulary,
            config=self.config,
            activations=_ACTIVATIONS[self.config.mlp],
        )


def is_there() -> bool:
    return importlib.util.find_spec("t5x") is not None

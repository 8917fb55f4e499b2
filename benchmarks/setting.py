"""What every side of a comparison gets: the same documents, vocabulary and weights."""

import argparse
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterator

import jax

from models.checkpoints import open_model, t5x_orbax
from models.configs import T5Config, named_config
from models.families import init_params
from pruning.documents import text_problem
from pruning.jobs.convert import convert
from pruning.jobs.open_source import open_source
from pruning.jobs.reference_model import find_recipe
from pruning.tokenization import BYTES, open_vocabulary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What is given.

    Attributes:
        folder: Temporary.
        texts: The documents.
        source: The same documents as JSON Lines, as `--source` takes them.
        vocabulary: As `--vocabulary` takes it.
        model: Hugging Face folder with the weights and the vocabulary.
        config: Of the model; its dtype is that of parameters and activations on every side.
    """

    folder: pathlib.Path
    texts: list[str]
    source: str
    vocabulary: str
    model: pathlib.Path
    config: T5Config

    def t5x_checkpoint(self) -> pathlib.Path:
        """Writes the weights as t5x reads them."""
        convert(str(self.model), str(self.folder / "t5x"), "t5x", vocabulary=self.vocabulary)
        return self.folder / "t5x" / "checkpoint_0"


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser of what all benchmarks of scoring are asked."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--source", default="python_docs:", help="such as jsonl:c4.jsonl.gz")
    parser.add_argument(
        "--vocabulary", help="SentencePiece file, or bytes; by default that of the model, or bytes"
    )
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--size", default="t5_1_1_small", help="of a model with random weights")
    parser.add_argument("--model", help="in place of random weights")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--batch_rows", type=int, help="rows that this project computes at a time")
    parser.add_argument("--row_length", type=int, help="longer side of this project's rows")
    return parser


def make_setting(arguments: argparse.Namespace, folder: pathlib.Path) -> Setting:
    """Writes documents and weights into a temporary folder."""
    texts = list(itertools.islice(_texts(arguments.source), arguments.documents))
    documents = folder / "documents.jsonl"
    documents.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    beside = find_recipe(arguments.model).get("vocabulary") if arguments.model else None
    vocabulary = arguments.vocabulary or beside or BYTES
    model = arguments.model or _write_random(folder, arguments.size, vocabulary)
    converted = folder / "hugging_face"
    convert(model, str(converted), "hugging_face", vocabulary=vocabulary)
    return Setting(
        folder=folder,
        texts=texts,
        source=f"jsonl:{documents}",
        vocabulary=vocabulary,
        model=converted,
        config=dataclasses.replace(open_model(converted).config, dtype=arguments.dtype),
    )


def _texts(source: str) -> Iterator[str]:
    """Texts that can be scored, in order."""
    corpus = open_source(source)
    for file in corpus.files():
        for document in corpus.read(file.path, 0, file.num_rows):
            if document.text is not None and not text_problem(document.text, 1_000_000):
                yield document.text.decode()


def _write_random(folder: pathlib.Path, size: str, vocabulary: str) -> str:
    """Writes random weights, with a table padded to a multiple of 128 as T5's is."""
    rows = -(-open_vocabulary(vocabulary).vocab_size // 128) * 128
    config = dataclasses.replace(named_config(size), vocab_size=rows)
    params = jax.jit(init_params, static_argnums=0)(config, jax.random.key(0))
    t5x_orbax.write(folder / "random", 0, params, {}, {})
    return str(folder / "random")

"""Embeddings to measure on: of a store, or drawn around centers."""

import argparse
import dataclasses
from collections.abc import Iterator

import numpy as np

from pruning.scorers.scorer import ScorableDocuments
from pruning.stored_embeddings import open_embeddings

UNIT_ROWS = 16_384


@dataclasses.dataclass(frozen=True)
class EmbeddedCorpus:
    """Vectors in memory as a corpus.

    Attributes:
        x_ND: float32.
    """

    x_ND: np.ndarray

    @property
    def num_rows(self) -> int:
        return len(self.x_ND)

    def __iter__(self) -> Iterator[ScorableDocuments]:
        for first in range(0, len(self.x_ND), UNIT_ROWS):
            x_ND = self.x_ND[first : first + UNIT_ROWS]
            n = len(x_ND)
            yield ScorableDocuments(
                file="vectors",
                rows_N=np.arange(first, first + n),
                n_bytes_N=np.zeros(n, np.int64),
                text_hash_N=np.zeros(n, np.int64),
                embedding_ND=x_ND,
            )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--embeddings", help="folder of a store; drawn vectors by default")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=768, help="dimensions of drawn vectors")
    parser.add_argument("--rounds", type=int, default=3)


def make_corpus(arguments: argparse.Namespace) -> EmbeddedCorpus:
    """The first documents of a store, or Gaussian clouds around 1,000 centers."""
    if arguments.embeddings:
        parts, n = [], 0
        for documents in open_embeddings(arguments.embeddings):
            parts.append(documents.embedding_ND)
            n += len(documents.rows_N)
            if n >= arguments.documents:
                break
        return EmbeddedCorpus(np.concatenate(parts)[: arguments.documents])
    generator = np.random.default_rng(0)
    center_GD = generator.standard_normal((1000, arguments.size), np.float32)
    x_ND = generator.standard_normal((arguments.documents, arguments.size), np.float32)
    x_ND += center_GD[generator.integers(len(center_GD), size=len(x_ND))]
    return EmbeddedCorpus(x_ND.astype(np.float16).astype(np.float32))

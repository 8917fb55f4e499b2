"""Density: how many documents lie around a document."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from pruning.lsh_sketch import HashFunctions, Sketch, draw_hash_functions
from pruning.progress import watched
from pruning.scorers.scorer import Artifact, Column, Corpus, ScorableDocuments

# No counter is larger than the number of documents, so that none can overflow.
MOST_DOCUMENTS = 2**31 - 1

# Weights 1/density that differ less than this draw almost as if all were equal.
NARROW_SPREAD = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Density:
    """The mean count of a document's buckets in an LSH sketch of the corpus.

    "How to Train Data-Efficient LLMs" Algorithm 2: an estimate of the sum
    over all documents, itself included, of the probability that one of them shares its
    bucket; from 1 to the number of documents. The paper samples with weights 1/density
    (its Algorithm 2 prints the score itself, its text and Theorem A.2 the inverse).
    Vectors are divided by their lengths first.

    Attributes:
      bandwidth: of a bucket. The paper gives none; 1.0 reproduces the range of its
        Figure 9, where the highest score is only 1.2 times the lowest: nearly random
        sampling. 0.05 to 0.1 tells dense from sparse regions far more strongly.
      rows, buckets: of the sketch; the paper's 80 MB by default.
      seed: of the hash functions.
    """

    name: ClassVar[str] = "density"
    reads: ClassVar[frozenset[str]] = frozenset({"embedding"})
    bandwidth: float = 1.0
    rows: int = 1000
    buckets: int = 20_000
    seed: int = 0

    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def fit(self, corpus: Corpus) -> Artifact:
        sketch, num_documents = None, 0
        for documents in watched("count neighbours", corpus):
            embedding_ND = documents.embedding_ND
            assert embedding_ND is not None
            sketch = sketch or Sketch(self._hash_functions(embedding_ND.shape[1]))
            num_documents += sketch.add(embedding_ND)
            _check_number(num_documents)
        if sketch is None or not num_documents:
            raise ValueError(
                "No document of the corpus has an embedding of finite, non-zero length."
            )
        return {
            "count_RB": sketch.counts,
            "weight_DR": sketch.functions.weight_DR,
            "offset_R": sketch.functions.offset_R,
            "num_documents": np.array(num_documents, np.int64),
        }

    def merge(self, artifacts: Sequence[Artifact]) -> Artifact:
        first = artifacts[0]
        for other in artifacts[1:]:
            if not all(np.array_equal(first[n], other[n]) for n in ("weight_DR", "offset_R")):
                raise ValueError(
                    "The sketches have other hash functions: their embeddings have another size, or "
                    "the versions of NumPy that drew them differ. Fit all parts with one version."
                )
        num_documents = sum(int(a["num_documents"]) for a in artifacts)
        _check_number(num_documents)
        count_RB = functools.reduce(np.add, (a["count_RB"] for a in artifacts))
        return {**first, "count_RB": count_RB, "num_documents": np.array(num_documents, np.int64)}

    def scorer(self, artifact: Artifact) -> "DensityScorer":
        functions = HashFunctions(
            weight_DR=artifact["weight_DR"],
            offset_R=artifact["offset_R"],
            bandwidth=self.bandwidth,
            num_buckets=self.buckets,
        )
        return DensityScorer(learner=self, sketch=Sketch(functions, artifact["count_RB"]))

    def _hash_functions(self, size: int) -> HashFunctions:
        return draw_hash_functions(
            size, rows=self.rows, buckets=self.buckets, bandwidth=self.bandwidth, seed=self.seed
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DensityScorer:
    """What `Density` has learnt, as a function of a document."""

    name: ClassVar[str] = "density"
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = frozenset({"embedding"})
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="density",
            unit="documents",
            keeps="any",
            meaning="documents around this one, by an LSH kernel; sampled with weight 1/density",
        ),
    )
    learner: Density
    sketch: Sketch

    def settings(self) -> dict[str, Any]:
        return self.learner.settings()

    def score(self, documents: ScorableDocuments) -> dict[str, np.ndarray]:
        assert documents.embedding_ND is not None
        return {"density": self.sketch.mean_counts(documents.embedding_ND)}


def spread(densities: Iterable[np.ndarray]) -> str:
    """What a user must know before sampling by 1/density: how far the weights differ.

    Args:
      densities: the column, unit by unit; NaN where there is none.
    """
    n, low, high, total, squares = 0, np.inf, 0.0, 0.0, 0.0
    for density_N in densities:
        d_N = np.asarray(density_N, np.float64)[np.isfinite(density_N)]
        if len(d_N):
            n, low, high = n + len(d_N), min(low, d_N.min()), max(high, d_N.max())
            total, squares = total + d_N.sum(), squares + np.square(d_N).sum()
    if not n:
        return "No document has a density."
    mean = total / n
    variation = np.sqrt(max(squares / n - mean**2, 0.0)) / mean
    line = (
        f"Density: {low:,.4g} to {high:,.4g}, max/min {high / low:,.3g}, "
        f"coefficient of variation {variation:.3g}."
    )
    if high / low < NARROW_SPREAD:
        line += (
            f" Weights 1/density differ by less than {NARROW_SPREAD}: sampling with them is nearly "
            "random sampling. A smaller bandwidth tells dense regions from sparse ones more strongly."
        )
    return line


def _check_number(num_documents: int) -> None:
    if num_documents > MOST_DOCUMENTS:
        raise ValueError(
            f"The corpus has more than {MOST_DOCUMENTS:,} documents, which is what a 32-bit counter "
            "holds. Fit density on a part of it."
        )

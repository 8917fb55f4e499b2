"""Density beside NumPy: equal counters and scores first, then documents a second.

    python benchmarks/density.py --documents 20000
    python benchmarks/density.py --embeddings scores/embeddings

Both passes of Algorithm 2 of "How to Train Data-Efficient LLMs", with the same hash
functions: document by document as it is written there, and in blocks as one would
write it for speed.
"""

import argparse
import statistics

import jax
import numpy as np
from embedded_corpus import EmbeddedCorpus, add_arguments, make_corpus
from turns import seconds_of, take_turns

from pruning.lsh_sketch import WEIGHT_BITS, HashFunctions
from pruning.scorers.density import Density

# Documents of a block of NumPy's: 32 MB of projections.
BLOCK_ROWS = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_arguments(parser)
    parser.add_argument("--bandwidth", type=float, default=1.0)
    parser.add_argument(
        "--one_by_one", type=int, default=2000, help="documents of the version without blocks"
    )
    arguments = parser.parse_args()
    corpus = make_corpus(arguments)
    learner = Density(bandwidth=arguments.bandwidth)
    fitted = learner.fit(corpus)
    functions = HashFunctions(
        weight_DR=fitted["weight_DR"],
        offset_R=fitted["offset_R"],
        bandwidth=learner.bandwidth,
        num_buckets=learner.buckets,
    )
    few = EmbeddedCorpus(corpus.x_ND[: arguments.one_by_one])
    _check(fitted["count_RB"], _ours(learner, corpus), _numpy(functions, corpus.x_ND, BLOCK_ROWS))
    sides = {
        "this project": lambda: seconds_of(lambda: _ours(learner, corpus)) / corpus.num_rows,
        f"NumPy, blocks of {BLOCK_ROWS:,}": lambda: (
            seconds_of(lambda: _numpy(functions, corpus.x_ND, BLOCK_ROWS)) / corpus.num_rows
        ),
        "NumPy, one by one": lambda: (
            seconds_of(lambda: _numpy(functions, few.x_ND, 1)) / few.num_rows
        ),
    }
    seconds = take_turns(sides, arguments.rounds)
    print(
        f"{corpus.num_rows:,} documents of {corpus.x_ND.shape[1]} dimensions, {learner}, "
        f"{jax.devices()[0].device_kind}, {arguments.rounds} rounds, medians:"
    )
    for name, times in seconds.items():
        middle, ours = statistics.median(times), statistics.median(seconds["this project"])
        print(f"{name:26} {1 / middle:12,.0f} documents/s {middle / ours:8.2f}")


def _ours(learner: Density, corpus: EmbeddedCorpus) -> np.ndarray:
    scorer = learner.scorer(learner.fit(corpus))
    return np.concatenate([scorer.score(documents)["density"] for documents in corpus])


def _numpy(
    functions: HashFunctions, x_ND: np.ndarray, block_rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Counters and scores."""
    weight_DR = functions.weight_DR / np.float32(2.0**WEIGHT_BITS)
    grid = np.float32(2.0 ** (WEIGHT_BITS + functions.direction_bits))
    offset_R, rows = functions.offset_R / grid, np.arange(len(functions.offset_R))
    width = np.float32(functions.bucket_width / grid)
    count_RB = np.zeros((len(rows), functions.num_buckets), np.int32)

    def buckets(first: int) -> np.ndarray:
        direction_ND, _ = functions.directions(x_ND[first : first + block_rows])
        x = direction_ND / np.float32(2.0**functions.direction_bits)
        hash_NR = np.floor((x @ weight_DR + offset_R) / width).astype(np.int64)
        return hash_NR % functions.num_buckets

    for first in range(0, len(x_ND), block_rows):
        np.add.at(count_RB, (rows[None], buckets(first)), 1)
    scores = [
        count_RB[rows[None], buckets(first)].mean(axis=1)
        for first in range(0, len(x_ND), block_rows)
    ]
    return count_RB, np.concatenate(scores).astype(np.float32)


def _check(
    count_RB: np.ndarray, density_N: np.ndarray, theirs: tuple[np.ndarray, np.ndarray]
) -> None:
    """Theirs rounds at the edges of buckets, in float32; ours does not round."""
    moved = np.abs(count_RB - theirs[0]).sum() / 2 / count_RB.sum()
    error = np.abs(density_N / theirs[1] - 1).max()
    print(f"{moved:.1e} of the hashes fall elsewhere; largest relative difference {error:.1e}.")
    if moved > 1e-5 or error > 1e-4:
        raise SystemExit("That is more than rounding, so their speeds are not compared.")


if __name__ == "__main__":
    main()

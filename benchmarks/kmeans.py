"""Spherical k-means beside faiss: as good clusters first, then seconds.

    python benchmarks/kmeans.py --documents 50000 --clusters 1000
    python benchmarks/kmeans.py --embeddings scores/embeddings --documents 100000 --clusters 10000

Both begin with the same centroids and do the same number of iterations on the same
vectors. faiss gets them normalised and in memory; this project reads and normalises
them. Needs faiss-cpu.
"""

import argparse
import statistics

import faiss
import jax
import numpy as np
from embedded_corpus import add_arguments, make_corpus
from turns import seconds_of, take_turns

from pruning.spherical_kmeans import SphericalKMeans
from pruning.unit_vectors import unit_vectors

# Of the mean similarity to the nearest centroid: theirs may not be better by more.
WORSE_BY = 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_arguments(parser)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=10)
    arguments = parser.parse_args()
    corpus = make_corpus(arguments)
    unit_ND, _ = unit_vectors(corpus.x_ND)
    ours = SphericalKMeans(num_clusters=arguments.clusters, iterations=arguments.iterations)
    first_KD = SphericalKMeans(num_clusters=arguments.clusters, iterations=0).centroids(corpus)

    def theirs() -> np.ndarray:
        kmeans = faiss.Kmeans(
            unit_ND.shape[1],
            arguments.clusters,
            niter=arguments.iterations,
            spherical=True,
            seed=0,
            min_points_per_centroid=1,
            max_points_per_centroid=10**8,
        )
        kmeans.train(unit_ND, init_centroids=first_KD)
        return kmeans.centroids

    quality = [_similarity(unit_ND, found_KD) for found_KD in (ours.centroids(corpus), theirs())]
    print(f"Mean similarity to the nearest centroid: {quality[0]:.4f}, of faiss {quality[1]:.4f}.")
    if quality[0] < quality[1] - WORSE_BY:
        raise SystemExit("Theirs are better, so their speeds are not compared.")
    sides = {
        "this project": lambda: seconds_of(lambda: ours.centroids(corpus)),
        f"faiss, {faiss.omp_get_max_threads()} threads": lambda: seconds_of(theirs),
    }
    seconds = take_turns(sides, arguments.rounds)
    operations = 2 * unit_ND.size * arguments.clusters * arguments.iterations
    print(
        f"{len(unit_ND):,} documents of {unit_ND.shape[1]} dimensions, {arguments.clusters:,} "
        f"clusters, {arguments.iterations} iterations, {jax.devices()[0].device_kind}, "
        f"{arguments.rounds} rounds, medians:"
    )
    for name, times in seconds.items():
        middle, first = statistics.median(times), statistics.median(seconds["this project"])
        rate = operations / middle / 1e9
        print(f"{name:20} {middle:8.2f} s {rate:8,.0f} GFLOP/s {middle / first:8.2f}")


def _similarity(unit_ND: np.ndarray, centroid_KD: np.ndarray) -> float:
    parts = [
        (unit_ND[i : i + 4096] @ centroid_KD.T).max(axis=1) for i in range(0, len(unit_ND), 4096)
    ]
    return float(np.concatenate(parts).mean())


if __name__ == "__main__":
    main()

"""Sides that take turns, so that what else the machine does slows them all, and their rates."""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

# Gives the seconds that a side took for all documents.
Run = Callable[[], float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--largest_batch_size", type=int, default=16, help="tried of a peer, on as many documents"
    )


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def take_turns(sides: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Runs each side `rounds` times, every other round backwards."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in list(sides) if turn % 2 == 0 else reversed(list(sides)):
            seconds[name].append(sides[name]())
    return seconds


def best_batch_size(seconds_at: Callable[[int], float], largest: int) -> int:
    """Doubles the batch size from 1 until two in a row are slower than the best.

    Each is tried twice, and the faster time counts.
    """
    best, least, worse, size = 1, float("inf"), 0, 1
    while worse < 2 and size <= largest:
        seconds = min(seconds_at(size), seconds_at(size))
        worse = 0 if seconds < least else worse + 1
        best, least = (size, seconds) if seconds < least else (best, least)
        size *= 2
    return best


def check_equal(
    what: str, ours: np.ndarray, theirs: np.ndarray, peer: str, tolerance: float
) -> None:
    """Says how far the scores of N documents differ, and ends the program if they differ more.

    Args:
        what: Name of the score.
        ours, theirs: [N].
        peer: Whose the others are.
        tolerance: Largest relative difference.
    """
    error = np.abs(ours / theirs - 1)
    print(
        f"{what} of {len(ours)} documents: {ours.mean():.3f} with standard deviation "
        f"{ours.std():.3f}; relative difference to {peer}: median {np.median(error):.1e}, "
        f"largest {error.max():.1e}."
    )
    if not error.max() <= tolerance:
        raise SystemExit(f"That is more than {tolerance:g}, so their speeds are not compared.")


def print_rates(
    seconds: Mapping[str, Sequence[float]],
    arguments: argparse.Namespace,
    *,
    documents: int,
    tokens: int,
) -> None:
    """Prints a line for each side; the first is the one that the others are compared with.

    Args:
        seconds: Of each side, one number a round.
        arguments: Of `setting.make_parser` and `add_arguments`.
        documents, tokens: Done in each round.
    """
    print(
        f"{documents} documents of {arguments.source}, {arguments.model or arguments.size}, "
        f"{arguments.dtype}, {arguments.rounds} rounds, medians:"
    )
    print(f"{'':34} {'documents/s':>12} {'tokens/s':>10} {'this project is faster by':>26}")
    first = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratios = sorted(other / ours for ours, other in zip(first, times, strict=True))
        middle = statistics.median(times)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(
            f"{name:34} {documents / middle:12.2f} {tokens / middle:10,.0f} "
            f"{'' if times is first else spread:>26}"
        )

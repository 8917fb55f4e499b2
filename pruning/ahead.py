"""Work done on threads before it is asked for, a little."""

import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    work: Callable[[T], R], items: Sequence[T], *, most: int, threads: int = 1
) -> Iterator[R]:
    """`map` that runs at most `most` items ahead of who reads it.

    Args:
      work: on one item.
      items: in order.
      most: results that wait.
      threads: that work.
    """
    waiting: list[concurrent.futures.Future[R]] = []
    with concurrent.futures.ThreadPoolExecutor(threads, "ahead") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > most:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:  # whoever reads may stop early
            for future in waiting:
                future.cancel()

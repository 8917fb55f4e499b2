"""Divides tasks over Apache Beam, the engine that seqio and TFDS use (extra `beam`)."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
except ImportError as error:
    raise ImportError(
        f"--runner needs Apache Beam ({error}): pip install 't5x-pruning[beam]', or leave --runner "
        "out to use this machine's cores."
    ) from error

from pruning.local_processes import Task, Work
from pruning.object_stores import use_object_stores
from pruning.progress import Advance, progress

_SECONDS_BETWEEN_LOOKS = 15.0


def run_over_beam(
    make_work: Callable[[], Work[Task, Any]],
    tasks: Sequence[Task],
    num_done: Callable[[], int],
    *,
    what: str,
    runner: str,
    options: Sequence[str],
) -> None:
    """Does all tasks; what comes of them is what they write.

    Args:
      make_work: pickled; called once in each worker, gives what does a task.
      tasks: a few bytes each.
      num_done: looks how many are done by now.
      what: is being done, for the progress bar.
      runner: of Beam.
      options: for Beam, as `NAME=VALUE` or `NAME`.
    """
    flags = [f"--runner={runner}", *(f"--{option}" for option in options)]
    pipeline = beam.Pipeline(options=PipelineOptions(flags))
    _ = (
        pipeline
        | "Tasks" >> beam.Create(list(tasks))
        | "Spread" >> beam.Reshuffle()
        | "Work" >> beam.ParDo(_DoTask(make_work))
    )
    with progress(what, len(tasks), "files") as advance, _watching(num_done, advance):
        pipeline.run().wait_until_finish()


class _DoTask(beam.DoFn):
    def __init__(self, make_work: Callable[[], Work[Any, Any]]):
        self._make_work = make_work

    def setup(self) -> None:
        use_object_stores()
        self._work = self._make_work()

    def process(self, element: Any) -> None:
        self._work(element, _nobody_looks)


def _nobody_looks(n: int, **also: str) -> None:
    """The progress of a task goes nowhere."""


@contextlib.contextmanager
def _watching(num_done: Callable[[], int], advance: Advance) -> Iterator[None]:
    """Tells `advance` from time to time what is done."""
    ended, told = threading.Event(), 0

    def tell() -> None:
        nonlocal told
        now = num_done()
        advance(now - told)
        told = now

    def watch() -> None:
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            tell()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    tell()

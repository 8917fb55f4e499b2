"""Divides tasks over processes of this machine.

Each worker has a pipe of its own and no lock is shared, so that a worker that
dies is seen at once, and workers whose parent was killed end too.
"""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from pruning.object_stores import use_object_stores
from pruning.progress import Advance

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = Callable[[Task, Advance], Result]

# What a worker pays off: less than this takes no longer than starting one.
_BYTES_A_PROCESS = 32 << 20

# For a worker that is told to end: it removes its unfinished files.
_SECONDS_TO_END = 10.0


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worth_starting(num_tasks: int, num_bytes: int) -> int:
    """How many processes suit some work: the available cores, and fewer for little work."""
    return max(1, min(available_cores(), num_tasks, 1 + num_bytes // _BYTES_A_PROCESS))


def run_tasks(
    make_work: Callable[[], Work[Task, Result]],
    tasks: Sequence[Task],
    *,
    processes: int,
    advance: Advance,
) -> Iterator[Result]:
    """Results of all tasks, in the order in which they are done.

    Args:
      make_work: called once in each process, gives what does a task. With more than one
        process it is pickled, and so are tasks and results.
      tasks: begun in this order.
      processes: at most this many; with 1, or one task, all is done in this process.
      advance: called in this process with what the work reports.

    Raises:
      RuntimeError: a worker died.
      Exception: what a task raised. The tasks under way are given up.
    """
    if processes < 1:
        raise ValueError(f"--processes is {processes}; expected 1 or more.")
    if min(processes, len(tasks)) <= 1:
        work = make_work()
        yield from (work(task, advance) for task in tasks)
        return
    # Not forked: threads of TensorFlow, JAX or Arrow would be lost in the middle of what they do.
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(processes, len(tasks))):
            ours, theirs = context.Pipe()
            workers[ours] = context.Process(target=_serve, args=(theirs, make_work), daemon=True)
            workers[ours].start()
            theirs.close()  # so that it is closed when the worker dies
        yield from _hand_out(workers, tasks, advance)
    finally:
        for connection, worker in workers.items():
            connection.close()
            worker.terminate()
            worker.join(_SECONDS_TO_END)
            worker.kill()


def _hand_out(
    workers: dict[Connection, BaseProcess], tasks: Sequence[Any], advance: Advance
) -> Iterator[Any]:
    left, num_done = iter(tasks), 0
    for connection in workers:
        _send(connection, next(left))
    while num_done < len(tasks):
        ready = wait(list(workers))
        for connection in (c for c in workers if c in ready):
            try:
                kind, value = connection.recv()
            except (EOFError, ConnectionError):
                raise RuntimeError(_death_of(workers[connection])) from None
            if kind == "failed":
                raise value
            if kind == "advance":
                advance(value)
                continue
            num_done += 1
            for task in left:
                _send(connection, task)
                break
            yield value


def _send(connection: Connection, task: Any) -> None:
    with contextlib.suppress(ConnectionError):  # of a dead worker, which the next `recv` finds
        connection.send(task)


def _death_of(worker: BaseProcess) -> str:
    worker.join()
    code = worker.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    hint = " If memory ran out, give fewer --processes." if code == -signal.SIGKILL else ""
    return (
        f"Worker process {worker.pid} {how} before its work was done. What is finished stays; "
        f"the same command goes on from there.{hint}"
    )


def _serve(connection: Connection, make_work: Callable[[], Work[Any, Any]]) -> None:
    """A worker's life: tasks come and results go through the pipe until its other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    use_object_stores()
    send = functools.partial(_send_or_end, connection)
    try:
        work = make_work()
    except Exception as error:
        send(("failed", error))
        return
    while True:
        try:
            task = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            result = work(task, lambda n, **_: send(("advance", n)))
        except Exception as error:
            send(("failed", error))
            return
        send(("done", result))


def _send_or_end(connection: Connection, message: tuple[str, Any]) -> None:
    try:
        connection.send(message)
    except ConnectionError:
        raise SystemExit from None  # the parent is gone; nobody waits for the rest

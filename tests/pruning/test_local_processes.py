"""Tasks divided over processes: all are done, and a dead worker or parent hangs nobody."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import pruning
from pruning.local_processes import run_tasks, worth_starting

PATH = [pathlib.Path(pruning.__file__).parents[1], pathlib.Path(__file__).parent]


def make_squares(offset=0):
    made_in = os.getpid()

    def work(task, advance):
        advance(task)
        if task == 13:
            raise ValueError("13 brings bad luck")
        if task == 14:
            os.kill(os.getpid(), signal.SIGKILL)
        if task == 15:
            sys.exit(3)
        return task * task + offset, made_in

    return work


def make_nothing():
    raise OSError("there is no such file")


def run(tasks, processes, make_work=make_squares):
    advanced = []
    results = list(run_tasks(make_work, tasks, processes=processes, advance=advanced.append))
    assert sum(advanced) == sum(tasks)
    return results


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_all_tasks_are_done_once(processes):
    results = run([*range(7)], processes, functools.partial(make_squares, 1000))
    assert sorted(r for r, _ in results) == [1000 + i * i for i in range(7)]
    pids = {pid for _, pid in results}
    assert (pids == {os.getpid()}) == (processes == 1)
    assert len(pids) <= processes


def test_no_tasks():
    assert run([], 3) == []


def test_one_task_needs_no_other_process():
    assert run([3], 4) == [(9, os.getpid())]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_arrives_as_it_was_raised(processes):
    with pytest.raises(ValueError, match="13 brings bad luck"):
        run([1, 2, 13, 4, 5], processes)
    with pytest.raises(OSError, match="there is no such file"):
        run([1, 2], processes, make_nothing)


def test_a_worker_that_dies_ends_the_job_with_a_clear_message():
    with pytest.raises(
        RuntimeError, match=r"was killed by SIGKILL before .* goes on from there. If memory ran out"
    ):
        run([1, 14, 3, 4], 2)
    with pytest.raises(RuntimeError, match=r"ended with code 3 before its work was done"):
        run([1, 15, 3, 4], 2)


def test_no_processes_are_refused():
    with pytest.raises(ValueError, match="--processes is 0; expected 1 or more"):
        run([1, 2], 0)


def make_slow(folder):
    def work(task, advance):
        (pathlib.Path(folder) / f"{os.getpid()}").touch()
        while task != "quick":
            time.sleep(0.02)
            advance(1)

    return work


def test_workers_busy_and_idle_end_when_their_parent_is_killed(tmp_path):
    code = (
        "import functools, sys, test_local_processes as t\n"
        "from pruning.local_processes import run_tasks\n"
        "make = functools.partial(t.make_slow, sys.argv[1])\n"
        "list(run_tasks(make, ['slow', 'quick'], processes=2, advance=lambda n: None))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATH))}
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
    while len(list(tmp_path.iterdir())) < 2:
        assert parent.poll() is None
        time.sleep(0.01)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    for path in tmp_path.iterdir():
        while is_alive(int(path.name)):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_little_work_starts_one_process_and_much_work_one_a_core(monkeypatch):
    monkeypatch.setattr("pruning.local_processes.available_cores", lambda: 8)
    assert worth_starting(100, 1 << 20) == 1
    assert worth_starting(100, 64 << 20) == 3
    assert worth_starting(100, 1 << 40) == 8
    assert worth_starting(5, 1 << 40) == 5
    assert worth_starting(0, 0) == 1

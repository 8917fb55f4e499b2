"""From the folder of an experiment to its table and page."""

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Iterator

import numpy as np

from pruning.experiments.arms import FULL, RANDOM, Run, all_runs, larger_name
from pruning.experiments.minimal_pairs import CATEGORY
from pruning.experiments.results import Evaluation, HeldOut, Plan, Results, Task
from pruning.experiments.summing_up import results_of
from pruning.jobs.emit_t5x import finetuned_scores
from pruning.jobs.experiment_run import HELD_OUT, PAIRS, evaluation_folder, is_evaluated, task_file
from pruning.jobs.experiment_setting import Setting
from pruning.jobs.held_out_copies import is_in_pool


def read_results(setting: Setting, larger_size: str | None) -> Results:
    """All that is finished, summed up.

    Raises:
      ValueError: two checkpoints were asked questions of different files.
    """
    evaluations: list[Evaluation] = []
    tasks: dict[str, Task] = {}
    digests: dict[str, str] = {}
    unread = _Unread(setting)
    for run in all_runs(setting.arms, setting.seeds):
        for evaluation, found in _evaluations(setting, run, digests, unread):
            evaluations.append(evaluation)
            tasks |= found
    plan = _plan(setting, tasks, larger_size)
    return results_of(evaluations, dataclasses.replace(plan, copies=unread.num_copies))


def write(setting: Setting, results: Results, command: str, docs: str | None) -> None:
    """Writes results.json, .md and .html and section.json, and the table into a document."""
    from etils import epath

    from pruning.experiments.page import SECTION, as_json, in_document, markdown, page, section
    from pruning.publishing import publish_bytes

    shown = section(results, command)
    texts = {
        "results.json": json.dumps(as_json(results), indent=1) + "\n",
        SECTION: json.dumps(dataclasses.asdict(shown), indent=1) + "\n",
        "results.md": markdown(shown),
        "results.html": page(shown),
    }
    for name, text in texts.items():
        publish_bytes(epath.Path(setting.path(name)), text.encode())
    print("\n" + texts["results.md"])
    if docs is not None:
        name = os.path.basename(os.path.normpath(setting.output))
        document = epath.Path(docs)
        text = in_document(document.read_text(), name, texts["results.md"])
        publish_bytes(document, text.encode())
    print(setting.path("results.html"))


def command_line(output: str) -> str:
    """What the user typed, or as much of it as is known."""
    name = os.path.basename(sys.argv[0])
    if name in ("prune", "cli.py"):
        return f"prune {shlex.join(sys.argv[1:])}"
    return f"prune experiment --output {shlex.quote(output)}"


def _plan(setting: Setting, tasks: dict[str, Task], larger_size: str | None) -> Plan:
    from pruning.jobs.experiment_costs import arm_costs
    from pruning.keep_bits import read_selection

    kept = {
        arm.name: read_selection(setting.selection(Run(arm.name, setting.seeds[0]))).num_kept
        for arm in setting.arms
    }
    pool = read_selection(setting.pool).num_kept
    full = [a.name for a in setting.arms if a.rule == FULL and a.size is None]
    return Plan(
        rates={arm: number / pool for arm, number in kept.items()},
        num_steps=setting.num_steps,
        tasks=tasks,
        full=full[0] if full else None,
        random=tuple(a.name for a in setting.arms if a.rule == RANDOM),
        larger=larger_name(larger_size) if larger_size else None,
        costs=arm_costs(setting),
    )


def _evaluations(
    setting: Setting, run: Run, digests: dict[str, str], unread: "_Unread"
) -> Iterator[tuple[Evaluation, dict[str, Task]]]:
    folder = os.path.dirname(evaluation_folder(setting, run, 0))
    steps = sorted(int(name) for name in os.listdir(folder)) if os.path.isdir(folder) else []
    for step in steps:
        there = evaluation_folder(setting, run, step)
        if not is_evaluated(setting, there):
            continue
        tasks, credits = {}, {}
        for name in setting.tasks:
            tasks[name], credits[name] = _answers(task_file(there, name), name, digests)
        if setting.minimal_pairs:
            pairs = _pairs(os.path.join(there, PAIRS))
            tasks |= {kind: Task(category=CATEGORY, chance=0.5) for kind in pairs}
            credits |= pairs
        yield (
            Evaluation(
                arm=run.arm,
                seed=run.seed,
                step=step,
                held_out=_held_out(os.path.join(there, HELD_OUT), unread),
                credits=credits,
                finetuned=finetuned_scores(setting, run) if step == setting.num_steps else {},
            ),
            tasks,
        )


def _answers(path: str, name: str, digests: dict[str, str]) -> tuple[Task, np.ndarray]:
    from pruning.experiments.statistics import credit

    with open(path) as file:
        found = json.load(file)
    expected = digests.setdefault(name, found["questions"])
    if found["questions"] != expected:
        raise ValueError(
            f"{path} has answers to questions of digest {found['questions'][:12]}, and others of this "
            f"experiment to {expected[:12]}: the file of {name} has changed in between. Delete the "
            "older answers, and run the same command again."
        )
    chance = float(np.mean([1 / len(nll_O) for nll_O in found["nll"]]))
    credits = [credit(np.array(n), a) for n, a in zip(found["nll"], found["answers"], strict=True)]
    return Task(category=name.partition("/")[0], chance=chance), np.array(credits)


def _pairs(store: str) -> dict[str, np.ndarray]:
    from pruning.experiments.minimal_pairs import pair_credits

    columns = _columns(store, ["bits_per_byte", "pair"])
    return pair_credits(columns["bits_per_byte"], columns["pair"])


class _Unread:
    """Which held-out documents no model of the experiment can have read. The same in every store."""

    def __init__(self, setting: Setting):
        self._setting = setting
        self._text_hash_I: np.ndarray | None = None
        self._copied_I = np.zeros(0, bool)

    def __call__(self, text_hash_I: np.ndarray) -> np.ndarray:
        if self._text_hash_I is None or not np.array_equal(self._text_hash_I, text_hash_I):
            self._text_hash_I = text_hash_I
            self._copied_I = is_in_pool(self._setting, text_hash_I)
        return ~self._copied_I

    @property
    def num_copies(self) -> int:
        return int(self._copied_I.sum())


def _held_out(store: str, unread: _Unread) -> HeldOut:
    from pruning.score_store import open_store

    fields = open_store(store).fields
    columns = _columns(store, ["nll", "n_targets", "text_hash", *fields])
    scored_I = np.isfinite(columns["nll"])
    there_I = scored_I.copy()
    there_I[scored_I] = unread(columns["text_hash"][scored_I].astype(np.int64))
    if not there_I.any():
        raise ValueError(
            f"None of {scored_I.sum():,} scored documents of {store} counts: each stands in the pool as "
            "well, word for word. Remove the corpus's copies (`prune score duplicates`), or hold out "
            "more documents or others."
        )
    return HeldOut(
        nll_I=columns["nll"][there_I].astype(np.float64),
        tokens_I=columns["n_targets"][there_I].astype(np.float64),
        fields={name: columns[name][there_I].astype(str) for name in fields},
    )


def _columns(store: str, names: list[str]) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from pruning.score_store import open_store

    table = pa.concat_tables([table for _, table in open_store(store).tables(names)])
    for i, field in enumerate(table.schema):
        if field.type == pa.int64():  # with nulls NumPy would make floats of them, and round hashes
            table = table.set_column(i, field.name, pc.fill_null(table[i], 0))
    return {name: table[name].to_numpy(zero_copy_only=False) for name in names}

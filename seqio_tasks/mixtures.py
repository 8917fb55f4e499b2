"""A registered seqio mixture whose tasks read only what their selections keep."""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import seqio
import tensorflow as tf
from absl import logging

from pruning.keep_bits import Selection, read_selection
from seqio_tasks.pruned import PrunedTask, pruned_task
from seqio_tasks.pruned_source import PrunedSource

Rates = Literal["base", "documents", "tokens"]
RATES: tuple[Rates, ...] = ("base", "documents", "tokens")
Folders = str | os.PathLike | Mapping[str, str | os.PathLike | None]


class MixedTask(NamedTuple):
    """A task of a mixture before and after pruning; rates are shares of the mixture.

    Documents are None of a task that is left whole and does not know.
    """

    base: str
    pruned: str
    documents: int | None
    kept: int | None
    rate_before: float
    rate_after: float


class PrunedMixture(seqio.Mixture):
    """The base mixture over its pruned tasks.

    Attributes:
      base: the mixture as it was.
      made_of: what it was asked for with.
      pairs: names of base tasks to names of pruned ones.
      split: the split that is pruned.
    """

    base: seqio.Mixture
    made_of: Mapping[str, str]
    pairs: Mapping[str, str]
    split: str

    def get_dataset(self, *args, **kwargs) -> tf.data.Dataset:
        """As the base's; the log says what was mixed how before, and is now."""
        for line in mixing_table(self).splitlines():
            logging.info("%s", line)
        return super().get_dataset(*args, **kwargs)


def pruned_mixture(
    base: str,
    selections: Folders,
    name: str | None = None,
    *,
    rates: Rates = "base",
    split: str = "train",
) -> str:
    """Registers a mixture of pruned tasks, and returns its name.

    A gin file can say `MIXTURE_OR_TASK_NAME = @seqio_tasks.pruned_mixture()`.

    Args:
      base: name of a registered mixture.
      selections: a folder with a subfolder for each task, under the task's name, or folders by
        task; None leaves that task whole.
      name: of the new mixture. By default the base's with the beginning of a digest of all
        selections.
      rates: in which proportion the tasks are mixed: as in the base, or by the documents or
        tokens that are kept. One selection a task with the base's rates leaves the composition
        as it was; one threshold for all (`pruning.common_threshold`) and kept tokens move it, as
        in "Perplexed by Perplexity".
      split: the split that is pruned.

    Raises:
      ValueError: the base is no mixture, a task has no selection, one that is named is not in the
        mixture, or another mixture has the name.
      FileNotFoundError: a folder is no selection.
    """
    if rates not in RATES:
        raise ValueError(f"Unknown rates {rates!r}; known are {', '.join(RATES)}.")
    mixture = _registered(base)
    folders = _folder_by_task(mixture, selections)
    pairs = {
        task: task if folder is None else pruned_task(task, folder, split=split)
        for task, folder in folders.items()
    }
    digest = hashlib.sha256("\n".join(f"{t} {p}" for t, p in sorted(pairs.items())).encode())
    name = name or f"{base}.{rates}.{digest.hexdigest()[:8]}"
    made_of = {"base": base, "rates": rates, "split": split, **pairs}
    if name in seqio.MixtureRegistry.names():
        _check_same(name, made_of)
        return name
    if name in seqio.TaskRegistry.names():
        raise ValueError(f"A task {name!r} exists. Give the mixture another name.")
    added = PrunedMixture(
        name,
        [(pairs[task.name], _rate(mixture, task, rates, split)) for task in mixture.tasks],
        # A mixture has no public way to how it samples.
        sample_fn=mixture._sample_fn,
    )
    added.base, added.made_of, added.pairs, added.split = mixture, made_of, pairs, split
    seqio.MixtureRegistry.add_provider(name, added)
    return name


def mixing_rates(mixture: PrunedMixture) -> list[MixedTask]:
    """Documents and shares of each task, before and after pruning."""
    before = {task.name: float(mixture.base.get_rate(task)) for task in mixture.base.tasks}
    after = {task.name: float(mixture.get_rate(task)) for task in mixture.tasks}
    return [
        MixedTask(
            base=base,
            pruned=pruned,
            documents=_num_documents(seqio.TaskRegistry.get(pruned), mixture.split),
            kept=seqio.TaskRegistry.get(pruned).num_input_examples(mixture.split),
            rate_before=before[base] / sum(before.values()),
            rate_after=after[pruned] / sum(after.values()),
        )
        for base, pruned in sorted(mixture.pairs.items())
    ]


def _num_documents(task: seqio.Task, split: str) -> int | None:
    """Before pruning; files are counted by whoever scored them."""
    source = task.source
    if not isinstance(source, PrunedSource):
        return source.num_input_examples(split)
    return source.inner.num_input_examples(split) or source.selection().num_rows


def mixing_table(mixture: PrunedMixture) -> str:
    """`mixing_rates` as text."""
    rows = mixing_rates(mixture)
    width = max(len("task"), *(len(row.base) for row in rows))
    lines = [
        f"Mixture {mixture.name}:",
        f"  {'task':<{width}}  {'documents':>12}  {'share':>6}  {'kept':>12}  {'share':>6}",
    ]
    for row in rows:
        lines.append(
            f"  {row.base:<{width}}  {_count(row.documents)}  {row.rate_before:>6.1%}  "
            f"{_count(row.kept)}  {row.rate_after:>6.1%}"
        )
    return "\n".join(lines)


def _count(number: int | None) -> str:
    return f"{'?' if number is None else f'{number:,}':>12}"


def _registered(base: str) -> seqio.Mixture:
    if base not in seqio.MixtureRegistry.names():
        is_task = base in seqio.TaskRegistry.names()
        known = ", ".join(sorted(seqio.MixtureRegistry.names())[:5]) or "none"
        raise ValueError(
            f"{base!r} is a task: prune it with `pruned_task`."
            if is_task
            else f"No mixture {base!r} is registered, known are: {known}. Import the module that "
            "registers it first, in a gin file by `import my_tasks`."
        )
    return seqio.MixtureRegistry.get(base)


def _folder_by_task(
    mixture: seqio.Mixture, selections: Folders
) -> dict[str, str | os.PathLike | None]:
    names = [task.name for task in mixture.tasks]
    if not isinstance(selections, Mapping):
        return {name: os.path.join(selections, name) for name in names}
    if missing := [name for name in names if name not in selections]:
        raise ValueError(
            f"Mixture {mixture.name!r} has the tasks {', '.join(names)}, and there is no selection "
            f"for {', '.join(missing)}. Name one, or None to leave a task whole."
        )
    if unknown := [name for name in selections if name not in names]:
        raise ValueError(
            f"There are selections for {', '.join(unknown)}, but mixture {mixture.name!r} has the "
            f"tasks {', '.join(names)}."
        )
    return {name: selections[name] for name in names}


def _rate(
    mixture: seqio.Mixture, base: seqio.Task, rates: Rates, split: str
) -> Callable[[seqio.Task], float]:
    """Looked up when the mixture is read, as seqio's own functions of rates are."""

    def rate(task: seqio.Task) -> float:
        if rates == "base":
            return float(mixture.get_rate(base))
        kept = task.num_input_examples(split)
        if kept is None:
            raise ValueError(
                f"Task {task.name!r} is left whole and does not know how many documents it has. "
                "Give it a selection too (keep all: `--keep low --fraction 1`)."
            )
        return kept if rates == "documents" else kept * _tokens_per_document(task)

    return rate


def _tokens_per_document(task: seqio.Task) -> float:
    """Of what is kept, as counted when it was scored."""
    if not isinstance(task, PrunedTask) or not isinstance(task.source, PrunedSource):
        raise ValueError(
            f"Task {task.name!r} is left whole, so nobody counted its tokens. Give it a selection "
            "too (keep all: `--keep low --fraction 1`), or mix by rates='documents'."
        )
    selection: Selection = read_selection(task.source.folder)
    tokens = selection.info.get("counts", {}).get("kept_tokens", 0)
    if not tokens:
        raise ValueError(
            f"Selection {selection.folder} has no token counts: it was made of scores without a "
            "vocabulary, such as `random`. Mix by rates='documents', or select by other scores."
        )
    return tokens / selection.num_kept


def _check_same(name: str, made_of: Mapping[str, str]) -> None:
    found = seqio.MixtureRegistry.get(name)
    if not isinstance(found, PrunedMixture):
        raise ValueError(f"A mixture {name!r} exists and is not a pruned one. Give another name.")
    if found.made_of != made_of:
        different = [
            k for k in {**found.made_of, **made_of} if found.made_of.get(k) != made_of.get(k)
        ]
        key = different[0]
        raise ValueError(
            f"Mixture {name!r} is registered with {key} {found.made_of.get(key)!r}, not "
            f"{made_of.get(key)!r}. Give another name."
        )

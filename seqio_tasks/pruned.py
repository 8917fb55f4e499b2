"""A registered seqio task that reads only the documents a selection keeps."""

import difflib
import os

import seqio

from pruning.keep_bits import Selection
from seqio_tasks.pruned_source import PrunedSource


class PrunedTask(seqio.Task):
    """The base task over its pruned source."""

    def __init__(self, base: seqio.Task, name: str, source: PrunedSource):
        # `replace` knows all of a task's arguments, but always makes a plain Task.
        self.__dict__.update(vars(base.replace(name=name, source=source)))
        self.base = base

    def assert_cached(self) -> None:
        """Raises an AssertionError, as seqio does, if the pruned task itself is not cached."""
        if self.cache_dir:
            return
        base_cache = self.base.cache_dir
        base_is = f"is cached in {base_cache}" if base_cache else "is not cached either"
        raise AssertionError(
            f"Task {self.name!r} is not cached. Its base {self.base.name!r} {base_is}, but a "
            "cache of the base holds the documents that the selection drops. Run "
            f"`seqio_cache_tasks --tasks={self.name}`, or read without a cache: use_cached=False, "
            "in gin USE_CACHED_TASKS = False."
        )


def pruned_task(
    base: str, selection: str | os.PathLike, name: str | None = None, split: str = "train"
) -> str:
    """Registers a task that reads only what a selection keeps, and returns its name.

    Vocabulary, features, preprocessors and metrics are the base's. A gin file can
    say `MIXTURE_OR_TASK_NAME = @seqio_tasks.pruned_task()`.

    Args:
      base: name of a registered task over TFDS or files.
      selection: folder of a selection made on the files that the base reads, or
        on those that its files were exported from.
      name: of the new task. By default the base's with what is kept and the
        beginning of the selection's digest: caches are found by name alone.
        With a name of your own, nothing is opened until a dataset is built.
      split: the split that is pruned; the others stay as they are.

    Raises:
      ValueError: the base has no stable rows, is a mixture or is not registered,
        or another task has the name.
    """
    if base in seqio.MixtureRegistry.names():
        tasks = ", ".join(t.name for t in seqio.MixtureRegistry.get(base).tasks)
        raise ValueError(f"{base!r} is a mixture, of {tasks}. Prune its tasks, each by its own.")
    base_task = _registered(base)
    source = PrunedSource(base_task.source, selection, split=split, name=base)
    name = name or default_name(base, source.selection())
    if name in seqio.TaskRegistry.names():
        _check_same(name, seqio.TaskRegistry.get(name), base, source)
    else:
        seqio.TaskRegistry.add_provider(name, PrunedTask(base_task, name, source))
    return name


def _registered(base: str) -> seqio.Task:
    names = sorted(seqio.TaskRegistry.names())
    if base not in names:
        similar = difflib.get_close_matches(base, names, n=5) or names[:5]
        raise ValueError(
            f"No task {base!r} is registered. Import the module that registers it first, in a gin "
            f"file by `import my_tasks`. Registered are {len(names)} tasks"
            + (f", such as {', '.join(similar)}." if similar else ".")
        )
    return seqio.TaskRegistry.get(base)


def default_name(base: str, selection: Selection) -> str:
    """Base, end and percentage kept, and digest, such as `c4.low30.1f2e3d4c`."""
    rule = selection.info.get("rule", {})
    end = rule.get("keep", "keep")
    percent = 100 * (rule.get("fraction") or selection.num_kept / selection.num_rows)
    return f"{base}.{end}{percent:.3g}.{selection.digest[:8]}"


def _check_same(name: str, found: seqio.Task, base: str, source: PrunedSource) -> None:
    if not isinstance(found, PrunedTask) or not isinstance(found.source, PrunedSource):
        raise ValueError(f"A task {name!r} exists and is not a pruned one. Give another name.")
    registered = (found.base.name, found.source.pruned_split)
    if registered != (base, source.pruned_split):
        raise ValueError(
            f"Task {name!r} prunes split {registered[1]!r} of {registered[0]!r}, not split "
            f"{source.pruned_split!r} of {base!r}. Give another name."
        )
    old, new = found.source.selection().digest, source.selection().digest
    if old != new:
        raise ValueError(
            f"Task {name!r} is registered with the selection of digest {old[:12]} "
            f"({found.source.folder}), not {new[:12]} ({source.folder}). Give another name."
        )

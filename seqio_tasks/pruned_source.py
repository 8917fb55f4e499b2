"""A seqio source without the documents that a selection drops."""

import os
from collections.abc import Mapping, Sequence

import seqio
import tensorflow as tf
from absl import logging

from pruning.keep_bits import Selection, read_selection
from pruning.sources.files import absolute
from pruning.wording import plural
from seqio_tasks.guards import GuardedFile, check_files, match_files
from seqio_tasks.kept_records import KeptFile, kept_records
from seqio_tasks.layout import Layout, check_stable_rows, source_layout


class PrunedSource(seqio.DataSource):
    """A source without the documents of one split that a selection drops.

    Other splits are those of the inner source. Nothing is opened before a
    dataset, a count or a list of files is asked for.
    """

    def __init__(
        self,
        inner: seqio.DataSource,
        selection: str | os.PathLike,
        *,
        split: str = "train",
        name: str = "",
    ):
        """Wraps a source.

        Args:
          inner: a TfdsDataSource or a FileDataSource.
          selection: a selection folder made on the same files.
          split: the split of the source that is pruned.
          name: of the task that reads `inner`, for messages.
        """
        if isinstance(inner, PrunedSource):
            raise ValueError(
                f"Task {name!r} is already pruned, by {inner!r}. Combine both scores in one "
                "selection (`prune select` takes several --scores), and prune the base task."
            )
        check_stable_rows(inner, name)
        self.name = name
        super().__init__(
            splits=(),
            caching_permitted=inner.caching_permitted,
            performs_internal_shuffling=inner.performs_internal_shuffling,
        )
        self.inner = inner
        self.folder = absolute(os.fspath(selection))
        self.pruned_split = split
        self._digest: str | None = None

    @property
    def splits(self) -> Sequence[str]:
        return self.inner.splits

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"PrunedSource({self.inner!r}, {self.folder!r}, split={self.pruned_split!r})"

    def selection(self) -> Selection:
        """The selection as it is on disk now.

        Raises:
          ValueError: it is another than on the first call.
        """
        selection = read_selection(self.folder)
        if self._digest not in (None, selection.digest):
            raise ValueError(
                f"Selection {self.folder} had digest {self._digest[:12]} when it was first used, "  # type: ignore[index]
                f"and has {selection.digest[:12]} now. A selection never changes once written: "
                "restore the folder, or write the new selection elsewhere and register it under "
                "another name."
            )
        self._digest = selection.digest
        return selection

    def list_shards(self, split: str) -> Sequence[str]:
        """Files of the split; for the pruned one, those that keep something."""
        if split != self.pruned_split:
            return self.inner.list_shards(split)
        return [f.slice.path for f in self._files(self.selection(), self._layout())]

    def num_input_examples(self, split: str) -> int | None:
        """Documents of the split; for the pruned one, those that are kept."""
        if split != self.pruned_split:
            return self.inner.num_input_examples(split)
        selection = self.selection()
        return sum(f.num_kept(selection) for f in match_files(selection, self._layout()))

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | tf.Tensor | None = None,
        shard_info: seqio.ShardInfo | None = None,
        *,
        sequence_length: Mapping[str, int] | None = None,
        use_cached: bool = False,
        num_epochs: int | None = 1,
    ) -> tf.data.Dataset:
        """The split's documents, as seqio asks a source for them.

        Raises:
          ValueError: the selection was made on other files, has changed, or
            keeps nothing of the split.
        """
        del sequence_length, use_cached, num_epochs  # seqio's task applies them
        if split != self.pruned_split:
            return self.inner.get_dataset(split, shuffle, seed, shard_info)
        selection, layout = self.selection(), self._layout()
        files = self._files(selection, layout)
        shares = shard_info or seqio.ShardInfo(0, 1)
        if len(files) < shares.num_shards:
            raise ValueError(
                f"{len(files)} files keep something, fewer than the {shares.num_shards} shards "
                "asked for. Read through a seqio task, which then shards the documents."
            )
        check_files(selection, layout, files[shares.index :: shares.num_shards])
        logging.info(
            "Selection %s keeps %s of %s documents in its files; split %r of %r reads %s of them, "
            "from %s.",
            self.folder,
            f"{selection.num_kept:,}",
            f"{selection.num_rows:,}",
            split,
            self.name,
            f"{sum(f.num_kept(selection) for f in files):,}",
            plural(len(files), "file"),
        )
        kept = [
            KeptFile(
                path=f.slice.path,
                bits_path=f"{selection.folder}/{f.guard.path}.bits",
                first_row=f.slice.first_row,
                end_row=f.end_row,
            )
            for f in files
        ]
        return kept_records(kept, layout, shuffle=shuffle, seed=seed, shard_info=shard_info)

    def _layout(self) -> Layout:
        return source_layout(self.inner, self.pruned_split)

    def _files(self, selection: Selection, layout: Layout) -> list[GuardedFile]:
        files = [f for f in match_files(selection, layout) if f.num_kept(selection)]
        if not files:
            raise ValueError(
                f"Selection {self.folder} keeps nothing of split {self.pruned_split!r}, and "
                "training on nothing never ends. Make the selection on this split."
            )
        return files

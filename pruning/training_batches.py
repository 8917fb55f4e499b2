"""An endless stream of packed batches that can be continued exactly.

An epoch shuffles the units, takes some of them at a time, packs their documents
and shuffles the rows. The position in the stream is three numbers, so a restart
prepares one group of units again and not all that came before.
"""

import concurrent.futures
import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pruning.documents import Unit
from pruning.packing import Batch
from pruning.prepared_units import Preparation, prepare

# Units whose rows are shuffled together; about 130,000 documents.
UNITS_TOGETHER = 8


class _Group(NamedTuple):
    """Rows of some units and the order in which they are given."""

    rows: Batch
    order: np.ndarray


class TrainingBatches:
    """Batches of exactly `batch_rows` rows, epoch after epoch.

    What is left over at the end of a group of units is dropped; the shuffle
    leaves over other rows in every epoch. A group of fewer rows than one batch is
    filled up with padding. Noise masks differ from epoch to epoch.

    In memory is the group that is read, and once its first batch is taken the next
    one, each with 8 bytes per encoder and 12 per decoder position (130,000
    documents of 500 tokens in span corruption: 0.7 GB), and while a group is put
    together its units' tokens as well.

    Args:
      how: documents become rows.
      units: of the source.
      batch_rows: rows of a batch.
      seed: of both shuffles and of the masks.
    """

    def __init__(self, how: Preparation, units: Sequence[Unit], *, batch_rows: int, seed: int):
        if not units:
            raise ValueError("There is nothing to train on: the source has no records.")
        self._how, self._units, self._batch_rows, self._seed = how, list(units), batch_rows, seed
        self._epoch = self._group = self._batch = 0
        self._present: _Group | None = None
        self._next: concurrent.futures.Future[_Group] | None = None
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "training_batches")
        self._closed = threading.Event()

    def __iter__(self) -> "TrainingBatches":
        return self

    def __next__(self) -> Batch:
        if self._present is None:
            self._present = self._pool.submit(self._prepare, self._epoch, self._group).result()
        empty_groups = 0
        while self._batch >= self._num_batches(self._present):
            empty_groups += not len(self._present.order)
            if empty_groups > self._groups_per_epoch:
                raise ValueError(
                    "There is nothing to train on: a whole epoch has no document that can be "
                    "used. Look at --where, --text_field and the source."
                )
            self._present = self._advance_group()
        if self._next is None:
            self._next = self._pool.submit(self._prepare, *self._following())
        batch = self._cut(self._present)
        self._batch += 1
        return batch

    def state(self) -> dict[str, int]:
        """Where the next batch comes from, for `restore`."""
        return {"epoch": self._epoch, "group": self._group, "batch": self._batch}

    def restore(self, state: Mapping[str, int]) -> None:
        """Goes to a place that `state` named."""
        self._epoch, self._group, self._batch = (state[k] for k in ("epoch", "group", "batch"))
        if self._next is not None:
            self._next.cancel()
        self._present = self._next = None

    def close(self) -> None:
        """Stops preparing ahead; waits for the unit in hand and not for its group."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)

    def _advance_group(self) -> _Group:
        self._present = None  # its memory goes before the next group is complete
        following = self._next or self._pool.submit(self._prepare, *self._following())
        self._epoch, self._group = self._following()
        self._batch, self._next = 0, None
        return following.result()

    @property
    def _groups_per_epoch(self) -> int:
        return -(-len(self._units) // UNITS_TOGETHER)

    def _following(self) -> tuple[int, int]:
        if self._group + 1 < self._groups_per_epoch:
            return self._epoch, self._group + 1
        return self._epoch + 1, 0

    def _num_batches(self, group: _Group) -> int:
        return max(len(group.order) // self._batch_rows, min(len(group.order), 1))

    def _cut(self, group: _Group) -> Batch:
        chosen = group.order[self._batch * self._batch_rows :][: self._batch_rows]
        batch = {name: values[chosen] for name, values in group.rows.items()}
        if missing := self._batch_rows - len(chosen):
            batch = {name: np.pad(v, ((0, missing), (0, 0))) for name, v in batch.items()}
        batch["decoder_loss_weights"] = (batch["decoder_segment_ids"] > 0).astype(np.int32)
        return batch

    def _prepare(self, epoch: int, group: int) -> _Group:
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._units))
        chosen = order[group * UNITS_TOGETHER : (group + 1) * UNITS_TOGETHER]
        how = dataclasses.replace(self._how, mask_seed=1 + self._seed + epoch)
        arrays: list[Batch] = []
        for unit in sorted(chosen):
            if self._closed.is_set():
                raise concurrent.futures.CancelledError
            packed = prepare(self._units[unit], how).packed
            assert packed is not None, "training needs a vocabulary, an objective and a shape"
            arrays.append(dict(packed.arrays))
            del packed  # all but the rows: positions, hashes and counts
        rows = {name: np.concatenate([a.pop(name) for a in arrays]) for name in [*arrays[0]]}
        num_rows = len(rows["decoder_segment_ids"])
        shuffled = np.random.default_rng([self._seed, epoch, group]).permutation(num_rows)
        return _Group(rows, np.arange(num_rows) if num_rows < self._batch_rows else shuffled)

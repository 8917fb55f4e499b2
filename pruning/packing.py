"""Many examples into rows of one fixed shape, with segment ids, and back again."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pruning.objectives import Example
from pruning.tokenization import PAD_ID

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class RowShape:
    """Positions of the encoder (S) and of the decoder (T) in one row."""

    encoder_length: int
    decoder_length: int


@dataclasses.dataclass(frozen=True)
class Packing:
    """Where each of P examples lies.

    Attributes:
      row_P: the example's row.
      segment_P: its segment id in that row, from 1.
      num_rows: rows used.
    """

    row_P: np.ndarray
    segment_P: np.ndarray
    num_rows: int


def pack(input_lengths_P: np.ndarray, target_lengths_P: np.ndarray, shape: RowShape) -> Packing:
    """Puts each example into the fullest row that still has room for it.

    Best fit, longest examples first. The result depends on the lengths alone, so
    that a unit is packed the same way every time.

    Args:
      input_lengths_P, target_lengths_P: positions that each example needs.
      shape: what a row offers.

    Raises:
      ValueError: an example does not fit into an empty row.
    """
    num_examples = len(input_lengths_P)
    if num_examples and (
        input_lengths_P.max() > shape.encoder_length
        or target_lengths_P.max() > shape.decoder_length
    ):
        raise ValueError(
            f"The longest example needs {input_lengths_P.max()} encoder and "
            f"{target_lengths_P.max()} decoder positions, but a row has {shape.encoder_length} and "
            f"{shape.decoder_length}. Use a larger --row_length or a smaller --window."
        )
    order = np.lexsort((np.arange(num_examples), -target_lengths_P, -input_lengths_P))
    # Free positions of the rows that are still open. Rows never outnumber examples.
    encoder_free = np.empty(num_examples, np.int64)
    decoder_free = np.empty(num_examples, np.int64)
    open_rows = np.empty(num_examples, np.int64)
    used_segments = np.zeros(num_examples, np.int32)
    row_P = np.empty(num_examples, np.int64)
    segment_P = np.empty(num_examples, np.int32)
    num_rows = num_open = 0
    longest = max(shape.encoder_length, shape.decoder_length)
    # No example is smaller than these, so rows with less room are closed.
    least_input = int(input_lengths_P.min(initial=1))
    least_target = int(target_lengths_P.min(initial=1))
    for example in order:
        need_input, need_target = input_lengths_P[example], target_lengths_P[example]
        spare_inputs = encoder_free[:num_open] - need_input
        spare_targets = decoder_free[:num_open] - need_target
        fits = (spare_inputs >= 0) & (spare_targets >= 0)
        spare = spare_inputs if shape.encoder_length else spare_targets
        spare = np.where(fits, spare, longest + 1)
        slot = int(spare.argmin()) if num_open else -1
        if slot < 0 or not fits[slot]:
            slot, num_open = num_open, num_open + 1
            open_rows[slot], num_rows = num_rows, num_rows + 1
            encoder_free[slot], decoder_free[slot] = shape.encoder_length, shape.decoder_length
        row = open_rows[slot]
        used_segments[row] += 1
        row_P[example], segment_P[example] = row, used_segments[row]
        encoder_free[slot] -= need_input
        decoder_free[slot] -= need_target
        if encoder_free[slot] < least_input or decoder_free[slot] < least_target:
            num_open -= 1
            for free in (open_rows, encoder_free, decoder_free):
                free[slot] = free[num_open]
    return Packing(row_P, segment_P, num_rows)


@dataclasses.dataclass(frozen=True)
class PackedRows:
    """Rows ready for a model, and the way back from positions to examples.

    Attributes:
      arrays: `encoder_input_tokens`, `encoder_segment_ids` (int32 [rows, S]),
        `decoder_input_tokens`, `decoder_target_tokens`, `decoder_segment_ids`
        (int32 [rows, T]). Token 0 and segment 0 are padding.
      target_positions: for each example the flat positions of its targets, one
        after the other, in an array over rows x T.
      target_ends: where each example's targets end in `target_positions`.
      num_real: positions in use, encoder plus decoder.
    """

    arrays: Batch
    target_positions: np.ndarray
    target_ends: np.ndarray
    num_real: int

    @property
    def num_rows(self) -> int:
        return len(self.arrays["encoder_input_tokens"])

    @property
    def positions_per_row(self) -> int:
        return sum(self.arrays[f"{s}_segment_ids"].shape[1] for s in ("encoder", "decoder"))

    def batches(self, batch_rows: int) -> list[Batch]:
        """Cuts into batches of exactly `batch_rows` rows; the last is filled up with padding."""
        return [
            {
                name: _filled_up(rows[i : i + batch_rows], batch_rows)
                for name, rows in self.arrays.items()
            }
            for i in range(0, self.num_rows, batch_rows)
        ]

    def sums(self, values_RT: np.ndarray) -> np.ndarray:
        """Adds up a per-token statistic over the targets of each example.

        In float64 and in the order of the targets, so that the sum does not
        depend on where the example lies.

        Args:
          values_RT: [at least num_rows, T], or with more axes behind these.

        Returns:
          float64 [P], with the same axes behind.
        """
        rest = values_RT.shape[2:]
        values = values_RT.reshape(-1, *rest)[self.target_positions].astype(np.float64)
        if not len(values):
            return np.zeros((len(self.target_ends), *rest))
        return np.add.reduceat(values, np.concatenate([[0], self.target_ends[:-1]]))


def fill_rows(examples: Sequence[Example], shape: RowShape) -> PackedRows:
    """Packs examples and writes their tokens into rows.

    Decoder inputs are the targets shifted by one within each example, beginning
    with the padding token, as T5 does.
    """
    input_lengths_P = np.array([len(e.inputs) for e in examples], np.int64)
    target_lengths_P = np.array([len(e.targets) for e in examples], np.int64)
    packing = pack(input_lengths_P, target_lengths_P, shape)
    order = np.lexsort((packing.segment_P, packing.row_P))
    encoder_at = _positions(input_lengths_P, packing, order, shape.encoder_length)
    decoder_at = _positions(target_lengths_P, packing, order, shape.decoder_length)
    inputs = _joined([e.inputs for e in examples])
    targets = _joined([e.targets for e in examples])
    shifted = np.concatenate([[PAD_ID], targets[:-1]]).astype(np.int32)[: len(targets)]
    target_ends = np.cumsum(target_lengths_P)
    if len(examples):
        shifted[np.concatenate([[0], target_ends[:-1]])] = PAD_ID

    def rows(at: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
        flat = np.zeros(packing.num_rows * length, np.int32)
        flat[at] = values
        return flat.reshape(packing.num_rows, length)

    S, T = shape.encoder_length, shape.decoder_length
    arrays = {
        "encoder_input_tokens": rows(encoder_at, inputs, S),
        "encoder_segment_ids": rows(encoder_at, np.repeat(packing.segment_P, input_lengths_P), S),
        "decoder_input_tokens": rows(decoder_at, shifted, T),
        "decoder_target_tokens": rows(decoder_at, targets, T),
        "decoder_segment_ids": rows(decoder_at, np.repeat(packing.segment_P, target_lengths_P), T),
    }
    return PackedRows(arrays, decoder_at, target_ends, len(inputs) + len(targets))


def _positions(
    lengths_P: np.ndarray, packing: Packing, order: np.ndarray, row_length: int
) -> np.ndarray:
    """Flat positions of every token of every example, examples in their own order."""
    # Along a row, each example begins where the one before it ended.
    lengths = lengths_P[order]
    ends = np.cumsum(lengths)
    rows = packing.row_P[order]
    row_begins = np.concatenate([[0], ends])[np.searchsorted(rows, rows, side="left")]
    starts_P = np.empty(len(lengths_P), np.int64)
    starts_P[order] = rows * row_length + (ends - lengths - row_begins)
    total = int(lengths_P.sum())
    before = np.cumsum(lengths_P) - lengths_P
    return np.arange(total) + np.repeat(starts_P - before, lengths_P)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if len(arrays) else np.zeros(0, np.int32)


def _filled_up(rows: np.ndarray, num_rows: int) -> np.ndarray:
    missing = num_rows - len(rows)
    return np.pad(rows, ((0, missing), (0, 0))) if missing else rows

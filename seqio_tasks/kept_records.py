"""The `tf.data` graph that reads only what is kept, in the base task's order.

A file's records and its keep bits advance together, in blocks of the length
that the base interleaves by, and only what survives leaves the file's reader.
Everything in the graph is stateless, so that an iterator can be saved in
mid-epoch and a dataset can be written down.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import seqio
import tensorflow as tf

from seqio_tasks.layout import Layout


class KeptFile(NamedTuple):
    """One file to read: rows `first_row .. end_row - 1`, those whose bit is set."""

    path: str
    bits_path: str
    first_row: int
    end_row: int


def kept_records(
    files: Sequence[KeptFile],
    layout: Layout,
    *,
    shuffle: bool,
    seed: int | tf.Tensor | None,
    shard_info: seqio.ShardInfo | None,
) -> tf.data.Dataset:
    """The kept records of the files, parsed.

    The order is the base's without the dropped documents, for the same seed, as
    long as every file keeps something: one that does not is not among the files,
    which moves the others in the interleave and in the shuffle.

    Args:
      files: in the base's order.
      layout: how the base reads.
      shuffle: whether files are shuffled, as the base would.
      seed: of that shuffle.
      shard_info: the share of the files to read, if not all.
    """
    mix = layout.interleave
    dataset = tf.data.Dataset.from_tensor_slices(
        {
            "path": [f.path for f in files],
            "bits_path": [f.bits_path for f in files],
            "first_row": tf.constant([f.first_row for f in files], tf.int64),
            "end_row": tf.constant([f.end_row for f in files], tf.int64),
        }
    )
    if shard_info:
        dataset = dataset.shard(shard_info.num_shards, shard_info.index)
    if shuffle:
        dataset = dataset.shuffle(
            mix.file_shuffle_buffer_size,
            seed=seed,
            reshuffle_each_iteration=mix.reshuffle_each_iteration,
        )
    # Records of any other shape than bytes cannot be cut into blocks.
    in_blocks = layout.open_file(files[0].path).element_spec == tf.TensorSpec([], tf.string)
    reader = _kept_in_blocks if in_blocks else _with_bits
    block = mix.block_length
    dataset = dataset.interleave(
        lambda file: reader(KeptFile(**file), layout, block),
        cycle_length=mix.cycle_length,
        block_length=min(block, 2) if in_blocks else block,
        num_parallel_calls=mix.num_parallel_calls,
        deterministic=mix.deterministic_without_seed if shuffle and seed is None else True,
    )
    if in_blocks:
        dataset = dataset.unbatch()
    else:
        dataset = dataset.filter(lambda record, keep: keep).map(lambda record, keep: record)
    dataset = dataset.with_options(mix.options)
    if layout.parse:
        dataset = dataset.map(layout.parse, num_parallel_calls=layout.parse_parallel_calls)
    return dataset


def _kept_in_blocks(file: KeptFile, layout: Layout, block: int) -> tf.data.Dataset:
    """Kept records in two pieces for each full block, and one for a last, shorter block.

    `interleave` leaves a file at once when it ends in the middle of a block, but
    looks at it once more when it ends with one. The pieces (all but one record,
    then one) are the cheapest cut under which it sees the same.
    """
    keep_N = _keep_bits(file)
    num_blocks = -(-tf.size(keep_N, tf.int64) // block)
    keep_NB = tf.reshape(
        tf.pad(keep_N, [[0, num_blocks * block - tf.size(keep_N, tf.int64)]]), [num_blocks, block]
    )
    records = _records(file, layout).batch(block)
    if block > 1:
        records = records.rebatch([block - 1, 1])
        last_N1 = tf.pad(keep_NB[:, block - 1 :], [[0, 0], [0, block - 2]])
        keep_NB = tf.reshape(tf.stack([keep_NB[:, : block - 1], last_N1], axis=1), [-1, block - 1])
    # The records come first: it is their end, and their count, that decides.
    return tf.data.Dataset.zip((records, tf.data.Dataset.from_tensor_slices(keep_NB))).map(
        lambda records, keep: tf.gather(records, tf.where(keep)[:, 0])
    )


def _with_bits(file: KeptFile, layout: Layout, block: int) -> tf.data.Dataset:
    keep = tf.data.Dataset.from_tensor_slices(_keep_bits(file))
    return tf.data.Dataset.zip((_records(file, layout), keep))


def _records(file: KeptFile, layout: Layout) -> tf.data.Dataset:
    records: Any = layout.open_file(file.path)
    if any(s.first_row for s in layout.slices):
        records = records.skip(file.first_row)
    if any(s.end_row not in (None, s.num_rows) for s in layout.slices):
        records = records.take(file.end_row - file.first_row)
    # `zip` would stop at the shorter side in silence.
    return records.apply(tf.data.experimental.assert_cardinality(file.end_row - file.first_row))


def _keep_bits(file: KeptFile) -> tf.Tensor:
    packed = tf.io.decode_raw(tf.io.read_file(file.bits_path), tf.uint8)
    shifts = tf.constant([*range(8)], tf.uint8)
    bits = tf.bitwise.right_shift(packed[:, tf.newaxis], shifts) & 1
    keep_N = tf.cast(tf.reshape(bits, [-1])[file.first_row : file.end_row], tf.bool)
    return tf.reshape(keep_N, [file.end_row - file.first_row])  # fails if bits are missing

"""How a seqio source reads one split: its physical files, and the readers for their rows.

A source's rows are stable when row i of a file is the same record on every
reading. That holds for TFDS and for files; a function's dataset has no files.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from pruning.sources.files import absolute, common_root
from seqio_tasks.rows import ExampleRecords, OpenFile, ReaderElements, RowFormat, TextLines

# As TFDS itself reads; a larger buffer than TensorFlow's own saves round trips on remote files.
_TFDS_BUFFER_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileSlice:
    """The rows of one physical file that a split reads.

    Attributes:
      path: as TensorFlow opens it.
      name: relative to the source's root: the file of a document id.
      first_row: of the split in this file.
      end_row: the row after the split's last, None for the end of the file.
      num_rows: records in the whole file, None where only counting would tell.
    """

    path: str
    name: str
    first_row: int = 0
    end_row: int | None = None
    num_rows: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interleave:
    """How the files' records are mixed, in the words of `tf.data`."""

    cycle_length: int
    block_length: int
    file_shuffle_buffer_size: int
    num_parallel_calls: int | None = tf.data.AUTOTUNE
    reshuffle_each_iteration: bool | None = None
    deterministic_without_seed: bool | None = None
    options: tf.data.Options = dataclasses.field(default_factory=tf.data.Options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Everything about reading one split of a source.

    Attributes:
      root: the folder that the files' names are relative to.
      slices: in the order in which the source reads them.
      rows: the format of a row, for reading in Python.
      open_file: raw records of a path, for reading in a graph.
      parse: from a raw record to an element of the source; None where they are the same.
    """

    root: str
    slices: tuple[FileSlice, ...]
    rows: RowFormat
    open_file: OpenFile
    parse: Callable[[tf.Tensor], Any] | None
    parse_parallel_calls: int = tf.data.AUTOTUNE
    interleave: Interleave


def check_stable_rows(source: seqio.DataSource, name: str) -> None:
    """Refuses a source whose documents have no (file, row).

    Raises:
      ValueError: neither files nor TFDS are behind the source.
    """
    if not isinstance(source, seqio.TfdsDataSource | seqio.FileDataSource):
        raise ValueError(
            f"Task {name!r} reads a {type(source).__name__}, whose documents have no file and row, "
            "so a selection cannot name them. Pruning works over TfdsDataSource, "
            "TFExampleDataSource, TextLineDataSource and other FileDataSources. Write the documents "
            "to files with `prune export` (from JSON Lines, Parquet or text) and register a task "
            "over those, or cache this task and register one over the cached files."
        )


def source_layout(source: seqio.DataSource, split: str) -> Layout:
    """The layout of one split of a seqio source that `check_stable_rows` accepts.

    Raises:
      ValueError: the source has no such split.
    """
    if split not in source.splits:
        raise ValueError(
            f"{type(source).__name__} has no split {split!r}; it has {', '.join(source.splits)}."
        )
    if isinstance(source, seqio.TfdsDataSource):
        return _tfds_layout(source, split)
    assert isinstance(source, seqio.FileDataSource)
    return _file_layout(source, split)


def _tfds_layout(source: seqio.TfdsDataSource, split: str) -> Layout:
    loader = source.tfds_dataset
    # LazyTfdsLoader has no public way to the builder of one split, and its `files`
    # ends the process when a slice is empty.
    builder = loader._get_builder(split)
    root = str(builder.data_dir)
    instructions = builder.info.splits[loader._map_split(split)].file_instructions
    slices = tuple(
        FileSlice(
            path=str(i.filename),
            name=str(i.filename)[len(root) :].lstrip("/"),
            first_row=i.skip,
            end_row=i.skip + i.take,
            num_rows=i.examples_in_shard,
        )
        for i in instructions
    )
    file_format = builder.info.file_format or tfds.core.FileFormat.TFRECORD
    if file_format != tfds.core.FileFormat.TFRECORD:
        raise ValueError(
            f"{builder.info.full_name} is stored as {file_format.value}; TensorFlow "
            "reads only TFRecord in order and without Python. Convert it with "
            "`tfds convert_format --out_file_format=tfrecord`."
        )
    features, decoders = builder.info.features, loader._decoders
    if isinstance(decoders, tfds.decode.PartialDecoding):
        features, decoders = decoders.extract_features(features), decoders.decoders
    config = loader.read_config
    return Layout(
        root=root,
        slices=slices,
        rows=ExampleRecords(),
        open_file=functools.partial(
            tf.data.TFRecordDataset, buffer_size=config.override_buffer_size or _TFDS_BUFFER_BYTES
        ),
        parse=functools.partial(features.deserialize_example, decoders=decoders),
        parse_parallel_calls=config.num_parallel_calls_for_decode,
        interleave=_tfds_interleave(config, len(slices), ordered=builder.info.disable_shuffling),
    )


def _tfds_interleave(config: tfds.ReadConfig, num_files: int, ordered: bool) -> Interleave:
    cycle_length = config.interleave_cycle_length
    if not isinstance(cycle_length, int):  # not set
        cycle_length = 1 if ordered else 16
    return Interleave(
        cycle_length=cycle_length,
        block_length=config.interleave_block_length,
        file_shuffle_buffer_size=num_files,
        num_parallel_calls=config.num_parallel_calls_for_interleave_files,
        reshuffle_each_iteration=config.shuffle_reshuffle_each_iteration,
        deterministic_without_seed=config.options.deterministic or False,
        options=config.options,
    )


def _file_layout(source: seqio.FileDataSource, split: str) -> Layout:
    patterns = source._split_to_filepattern[split]
    root = common_root([patterns] if isinstance(patterns, str) else list(patterns))
    paths = list(source.list_shards(split))
    if isinstance(source, seqio.TextLineDataSource) and (gz := [p for p in paths if _is_gzip(p)]):
        raise ValueError(
            f"{gz[0]} is compressed, and TextLineDataSource reads its bytes as if they were text. "
            "Write its lines to TFRecord with `prune export`, and make the task over those."
        )
    rows, open_file, parse = _file_readers(source)
    first_row = source._skip_header_lines if isinstance(source, seqio.TextLineDataSource) else 0
    return Layout(
        root=root,
        slices=tuple(
            FileSlice(path=p, name=absolute(p)[len(root) :].lstrip("/"), first_row=first_row)
            for p in paths
        ),
        rows=rows,
        open_file=open_file,
        parse=parse,
        interleave=Interleave(
            cycle_length=source._cycle_length,
            block_length=source._block_length,
            file_shuffle_buffer_size=source._file_shuffle_buffer_size or len(paths),
        ),
    )


def _is_gzip(path: str) -> bool:
    return path.endswith(".gz")


def _file_readers(
    source: seqio.FileDataSource,
) -> tuple[RowFormat, OpenFile, Callable[[tf.Tensor], Any] | None]:
    if isinstance(source, seqio.TextLineDataSource):
        return TextLines(), tf.data.TextLineDataset, None
    if isinstance(source, seqio.TFExampleDataSource | seqio.ProtoDataSource):
        open_file = functools.partial(_last_component, source.reader_cls)
        if isinstance(source, seqio.ProtoDataSource):
            return ReaderElements(source._reader), open_file, source.decode_proto_fn
        plain = source.reader_cls is tf.data.TFRecordDataset
        rows = ExampleRecords() if plain else ReaderElements(open_file, as_examples=True)
        return rows, open_file, source.parse_fn
    return ReaderElements(source._reader), source._reader, None


def _last_component(reader: OpenFile, path: Any) -> tf.data.Dataset:
    """Some readers give keys beside the records; seqio parses what comes last."""
    dataset = reader(path)
    return (
        dataset.map(lambda *args: args[-1]) if isinstance(dataset.element_spec, tuple) else dataset
    )

"""Corpora made on the fly: a TFDS dataset, TFRecords and text files of chosen lengths."""

import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from pruning.documents import Source
from pruning.hashing import text_hash
from pruning.keep_bits import GUARD_ROWS, Selection, write_selection

# Lengths that end before, with and after a block of 16, and more files than an interleave's cycle.
UNEVEN = (5, 16, 17, 32, 1, 48, 31, 15, 2, 33, 64, 16, 3, 20, 16, 40, 9, 32, 7, 25, 18, 16, 1, 50)

VOCABULARY = seqio.ByteVocabulary()


def text(file: int, row: int) -> str:
    return f"document {row} of file {file}, {'x' * (row % 7)}"


def example(**features: str | int) -> bytes:
    kinds = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        if isinstance(value, int)
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        for name, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=kinds)).SerializeToString()


def write_tfrecord(path: pathlib.Path, records: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def write_tfrecords(folder: pathlib.Path, lengths: Sequence[int] = UNEVEN) -> None:
    for i, n in enumerate(lengths):
        records = [example(text=text(i, r), url=f"u{r}") for r in range(n)]
        write_tfrecord(folder / f"part-{i:03}.tfrecord", records)


def write_texts(folder: pathlib.Path, lengths: Sequence[int] = UNEVEN) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, n in enumerate(lengths):
        content = "".join(text(i, r) + "\n" for r in range(n))
        (folder / f"part-{i:03}.txt").write_bytes(content.encode())


def write_tfds(data_dir: pathlib.Path, splits: Mapping[str, Sequence[int]], name="tiny") -> str:
    """Writes a TFDS dataset with the given shard lengths; returns its name and version."""
    folder = data_dir / name / "1.0.0"
    features = tfds.features.FeaturesDict(
        {"text": tfds.features.Text(), "url": tfds.features.Text()}
    )
    infos = []
    for split, lengths in splits.items():
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name=name, split=split, filetype_suffix="tfrecord"
        )
        for i, n in enumerate(lengths):
            path = pathlib.Path(template.sharded_filepath(shard_index=i, num_shards=len(lengths)))
            write_tfrecord(
                path,
                [
                    features.serialize_example({"text": text(i, r), "url": f"u{r}"})
                    for r in range(n)
                ],
            )
        infos.append(
            tfds.core.SplitInfo(
                name=split, shard_lengths=list(lengths), num_bytes=1, filename_template=template
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder), features=features, split_infos=infos, filename_template=None
    )
    return f"{name}:1.0.0"


def feature_description() -> dict[str, tf.io.FixedLenFeature]:
    return {"text": tf.io.FixedLenFeature([], tf.string)}


def add_text_task(name: str, source: seqio.DataSource, **kwargs) -> str:
    """A task whose documents keep their text, so that a test can tell them apart."""
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[
            *kwargs.pop("before", ()),
            seqio.CacheDatasetPlaceholder(),
            _only_text,
            lambda ds: seqio.preprocessors.tokenize(
                ds, output_features={"targets": seqio.Feature(VOCABULARY)}, copy_pretokenized=True
            ),
        ],
        output_features={"targets": seqio.Feature(VOCABULARY, add_eos=False)},
        **kwargs,
    )
    return name


def _only_text(ds: tf.data.Dataset) -> tf.data.Dataset:
    return ds.map(lambda x: {"targets": x["text"] if isinstance(x, dict) else x})


def read_texts(name: str, **kwargs) -> list[str]:
    """The documents of a task as `seqio.get_dataset` gives them."""
    defaults = {"dataset_split": "train", "shuffle": False, "num_epochs": 1}
    ds = seqio.get_dataset(
        name, {"targets": 64}, seqio.PassThroughFeatureConverter(), **(defaults | kwargs)
    )
    return [x["targets_pretokenized"].decode() for x in ds.as_numpy_iterator()]


def random_keep(num_rows: int, share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(num_rows) < share


def make_selection(
    source: Source,
    folder: pathlib.Path,
    share: float = 0.4,
    keep: Mapping[str, np.ndarray] | None = None,
) -> Selection:
    """A selection of a random share of each file, or of given rows, with its guards."""
    files = []
    for i, file in enumerate(source.files()):
        documents = list(source.read(file.path, 0, file.num_rows))
        keep_N = random_keep(file.num_rows, share, seed=i)
        keep_N[-1:] = True  # each file keeps something
        keep_N &= np.array([d.text is not None for d in documents], bool)
        if keep is not None:
            keep_N = keep.get(file.path, np.zeros(file.num_rows, bool))
        guards = {
            r: text_hash(documents[r].text)
            for r in GUARD_ROWS
            if r < file.num_rows and documents[r].text is not None
        }
        files.append((file, keep_N, guards))
    return write_selection(folder, files=files, source=source.describe(), info={})


def kept_texts(source: Source, selection: Selection) -> list[str]:
    """What a selection keeps, by reading the source itself."""
    return [
        d.text.decode()
        for file in source.files()
        for d, keep in zip(
            source.read(file.path, 0, file.num_rows), selection.keep(file.path), strict=True
        )
        if keep
    ]

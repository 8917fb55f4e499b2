"""How fast a pruned TFDS task is read, beside its base task.

Makes a TFDS dataset in a temporary folder, prunes it to several shares, and reads
base and pruned tasks in turns through `seqio.get_dataset`, as a training job does:
one reader, shuffled, one epoch, a byte vocabulary. The speed is source documents a
second: a pruned task is credited with what it need not read. Building the dataset,
which for a pruned task includes the guards, happens once a job and is timed apart.

    python benchmarks/read_pruned.py --documents 60000 --files 32 --rounds 5

Expected on two cores: at least as fast as the base when everything is kept, and at
least 2.5 times as fast when 30 % is.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import numpy as np
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from pruning.keep_bits import write_selection
from seqio_tasks import open_seqio_source, pruned_task

SHARES = (1.0, 0.3, 0.1)
_WORDS = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--bytes", type=int, default=1_500, help="mean length of a document")
    parser.add_argument("--files", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = _base_task(pathlib.Path(folder), args.documents, args.bytes, args.files)
        tasks = [base] + [_pruned(base, pathlib.Path(folder), share) for share in SHARES]
        _print_table(tasks, _measure(tasks, args.rounds), args.documents)


def _base_task(folder: pathlib.Path, documents: int, mean_bytes: int, files: int) -> str:
    name = _write_tfds(folder, documents, mean_bytes, files)
    vocabulary = seqio.ByteVocabulary()
    seqio.TaskRegistry.add(
        "base",
        source=seqio.TfdsDataSource(name, str(folder)),
        preprocessors=[_rekey, seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
        output_features={"targets": seqio.Feature(vocabulary)},
    )
    return "base"


def _rekey(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return seqio.preprocessors.rekey(dataset, {"targets": "text"})


def _write_tfds(folder: pathlib.Path, documents: int, mean_bytes: int, files: int) -> str:
    rng = np.random.default_rng(0)
    words = [bytes(rng.integers(97, 123, n).astype(np.uint8)) for n in rng.integers(2, 11, _WORDS)]
    root = folder / "documents" / "1.0.0"
    root.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {"text": tfds.features.Text(), "url": tfds.features.Text()}
    )
    template = tfds.core.ShardedFileTemplate(
        data_dir=root, dataset_name="documents", split="train", filetype_suffix="tfrecord"
    )
    lengths = [len(rows) for rows in np.array_split(np.arange(documents), files)]
    for i, length in enumerate(lengths):
        path = template.sharded_filepath(shard_index=i, num_shards=files)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in range(length):
                size = max(1, int(rng.exponential(mean_bytes / 7)))
                text = b" ".join(words[w] for w in rng.integers(0, _WORDS, size))
                url = f"https://example.org/{i}/{row}"
                writer.write(features.serialize_example({"text": text, "url": url}))
    info = tfds.core.SplitInfo(
        name="train", shard_lengths=lengths, num_bytes=1, filename_template=template
    )
    tfds.folder_dataset.write_metadata(
        data_dir=str(root), features=features, split_infos=[info], filename_template=None
    )
    return "documents:1.0.0"


def _pruned(base: str, folder: pathlib.Path, share: float) -> str:
    source = open_seqio_source(f"seqio:{base}")
    rng = np.random.default_rng(1)
    files = [(f, rng.random(f.num_rows) < share, {}) for f in source.files()]
    output = folder / f"keep_{share}"
    write_selection(output, files=files, source=source.describe(), info={})
    return pruned_task(base, output, name=f"keep_{share:.0%}".replace("%", "_percent"))


def _measure(tasks: list[str], rounds: int) -> dict[str, list[tuple[float, float]]]:
    seconds: dict[str, list[tuple[float, float]]] = {task: [] for task in tasks}
    for task in tasks:  # the first reading fills the page cache
        _build_and_read(task)
    for turn in range(rounds):
        for task in tasks if turn % 2 else reversed(tasks):
            seconds[task].append(_build_and_read(task))
    return seconds


def _build_and_read(task: str) -> tuple[float, float]:
    start = time.perf_counter()
    lengths, converter = {"targets": 512}, seqio.LMFeatureConverter(pack=False)
    dataset = seqio.get_dataset(task, lengths, converter, shuffle=True, seed=0).batch(256)
    built = time.perf_counter()
    for _ in dataset:
        pass
    return built - start, time.perf_counter() - built


def _print_table(
    tasks: list[str], seconds: dict[str, list[tuple[float, float]]], documents: int
) -> None:
    print(f"{'task':18} {'build s':>8} {'read s':>8} {'source documents/s':>20} {'x base':>8}")
    for task in tasks:
        build, read = (statistics.median(s) for s in zip(*seconds[task], strict=True))
        ratios = [b / r for (_, b), (_, r) in zip(seconds[tasks[0]], seconds[task], strict=True)]
        speed = f"{documents / read:,.0f}"
        ratio = statistics.median(ratios)
        print(f"{task:18} {build:8.2f} {read:8.2f} {speed:>20} {ratio:8.2f}")


if __name__ == "__main__":
    main()

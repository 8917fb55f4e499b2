"""TFDS splits and seqio tasks as pruning sources."""

import os

import pytest
import seqio
import tensorflow as tf
from small_corpora import (
    add_text_task,
    example,
    feature_description,
    text,
    write_texts,
    write_tfds,
    write_tfrecord,
    write_tfrecords,
)

from pruning.sources.text import TextSource
from seqio_tasks import open_seqio_source

LENGTHS = (5, 16, 30)


def read_all(source):
    return {f.path: list(source.read(f.path, 0, f.num_rows)) for f in source.files()}


def assert_reads_the_corpus(source, names):
    assert {path: [d.text.decode() for d in rows] for path, rows in read_all(source).items()} == {
        name: [text(i, r) for r in range(n)]
        for i, (name, n) in enumerate(zip(names, LENGTHS, strict=True))
    }


def test_tfds(tmp_path):
    name = write_tfds(tmp_path, {"train": LENGTHS, "validation": (4,)})
    options = {"fields": ("url", "nothing"), "data_dir": str(tmp_path)}
    source = open_seqio_source(f"tfds:{name}", **options)
    names = [f"tiny-train.tfrecord-0000{i}-of-00003" for i in range(3)]
    assert_reads_the_corpus(source, names)
    file = source.files()[1]
    path = tmp_path / "tiny/1.0.0" / names[1]
    assert (file.path, file.size, file.num_rows) == (names[1], path.stat().st_size, 16)
    assert file.mark == str(os.stat(path).st_mtime_ns)
    assert next(source.read(names[2], 7, 1)).fields == {"url": "u7", "nothing": None}
    assert [
        f.num_rows
        for f in open_seqio_source(
            f"tfds:{name}", split="validation", data_dir=str(tmp_path)
        ).files()
    ] == [4]


def test_a_source_opens_again_from_what_it_says_of_itself(tmp_path):
    name = write_tfds(tmp_path, {"train": LENGTHS})
    source = open_seqio_source(
        f"tfds:{name}", fields=("url",), split="train[:9]", data_dir=str(tmp_path)
    )
    again = open_seqio_source(**source.describe())
    assert again.files() == source.files()
    assert again.describe() == source.describe()
    assert read_all(again) == read_all(source)


def test_a_part_of_a_split(tmp_path):
    name = write_tfds(tmp_path, {"train": LENGTHS})
    source = open_seqio_source(f"tfds:{name}", split="train[7:23]", data_dir=str(tmp_path))
    files = source.files()
    assert [f.num_rows for f in files] == [16, 30]
    assert [range(f.first_row, f.end_row) for f in files] == [range(2, 16), range(2)]
    rows = [d for documents in read_all(source).values() for d in documents]
    assert [d.reason for d in rows] == (
        ["outside_split"] * 2 + [None] * 16 + ["outside_split"] * 28
    )
    assert all((d.text is None) == (d.reason is not None) for d in rows)


def test_separate_ranges_of_one_file_are_refused(tmp_path):
    name = write_tfds(tmp_path, {"train": (30,)})
    opened = open_seqio_source(
        f"tfds:{name}", split="train[:9]+train[9:12]", data_dir=str(tmp_path)
    )
    (file,) = opened.files()
    assert (file.first_row, file.end_row) == (0, 12)
    with pytest.raises(ValueError, match=r"two separate ranges of .*rows 0 to 9 and 20 to 30"):
        open_seqio_source(f"tfds:{name}", split="train[:9]+train[20:]", data_dir=str(tmp_path))


@pytest.mark.parametrize("by_function", [False, True])
def test_text_lines_are_those_of_the_text_source(tmp_path, by_function):
    write_texts(tmp_path / "data/en", LENGTHS)
    pattern = f"{tmp_path}/data/*/part-*.txt"
    kind = seqio.TextLineDataSource
    if by_function:

        def kind(pattern):
            return seqio.FileDataSource(tf.data.TextLineDataset, pattern)

    add_text_task("lines", kind({"train": pattern}))
    source = open_seqio_source("seqio:lines")
    assert_reads_the_corpus(source, [f"en/part-00{i}.txt" for i in range(3)])
    assert source.files() == TextSource([pattern]).files()


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_tfrecords_of_examples(tmp_path, compression):
    description = feature_description()
    if compression:
        for i, n in enumerate(LENGTHS):
            with tf.io.TFRecordWriter(str(tmp_path / f"{i}.tfrecord"), compression) as writer:
                for r in range(n):
                    writer.write(example(text=text(i, r), url=f"u{r}"))

        def reader(path):
            return tf.data.TFRecordDataset(path, compression)
    else:
        write_tfrecords(tmp_path, LENGTHS)
        reader = tf.data.TFRecordDataset
    pattern = {"train": f"{tmp_path}/*.tfrecord"}
    add_text_task("base", seqio.TFExampleDataSource(pattern, description, reader_cls=reader))
    source = open_seqio_source("seqio:base", fields=("url",))
    names = sorted(p.name for p in tmp_path.glob("*.tfrecord"))
    assert_reads_the_corpus(source, names)
    assert [d.row for d in source.read(names[2], 20, 5)] == [20, 21, 22, 23, 24]
    assert next(source.read(names[2], 25, 1)).fields == {"url": "u25"}  # on from there
    assert next(source.read(names[2], 3, 1)).fields == {"url": "u3"}  # and back
    with pytest.raises(ValueError, match=r"tfrecord ends after 30"):
        list(source.read(names[2], 29, 2))


def test_two_readings_of_a_file_at_once(tmp_path):
    write_tfrecords(tmp_path, LENGTHS)
    parsed = seqio.FileDataSource(
        lambda path: tf.data.TFRecordDataset(path).map(
            lambda r: tf.io.parse_single_example(r, feature_description())
        ),
        {"train": f"{tmp_path}/*.tfrecord"},
    )
    add_text_task("parsed", parsed)
    add_text_task(
        "raw", seqio.TFExampleDataSource({"train": f"{tmp_path}/*.tfrecord"}, feature_description())
    )
    for task in ("parsed", "raw"):
        source = open_seqio_source(f"seqio:{task}")
        first, second = (source.read("part-002.tfrecord", row, 10) for row in (0, 10))
        rows = [(a.text, b.text) for a, b in zip(first, second, strict=True)]
        assert rows == [(text(2, r).encode(), text(2, r + 10).encode()) for r in range(10)]


def test_bad_records_keep_their_rows(tmp_path):
    records = [
        example(text="fine", url="u0"),
        b"\xff\xff no example",
        example(url="u2"),
        example(text=7),
        example(text=""),
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a", b"b"]))
                }
            )
        ).SerializeToString(),
        example(text="last"),
    ]
    write_tfrecord(tmp_path / "a.tfrecord", records)
    whole = (tmp_path / "a.tfrecord").read_bytes()
    (tmp_path / "a.tfrecord").write_bytes(whole[:-3])
    pattern = {"train": f"{tmp_path}/*.tfrecord"}
    add_text_task("base", seqio.TFExampleDataSource(pattern, feature_description()))
    rows = read_all(open_seqio_source("seqio:base", fields=("url",)))["a.tfrecord"]
    assert [(d.row, d.text, d.reason) for d in rows] == [
        (0, b"fine", None),
        (1, None, "broken_record"),
        (2, None, "missing_field"),
        (3, None, "not_text"),
        (4, b"", None),
        (5, None, "not_text"),
        (6, None, "truncated_file"),
    ]
    assert rows[2].fields == {"url": "u2"}


def test_unchanged_files_are_not_counted_again(tmp_path):
    write_texts(tmp_path, LENGTHS)
    add_text_task("lines", seqio.TextLineDataSource({"train": f"{tmp_path}/*.txt"}))
    files = {f.path: f for f in open_seqio_source("seqio:lines").files()}
    (tmp_path / "part-001.txt").write_text("changed\n")
    source = open_seqio_source("seqio:lines")
    counted = []
    source._rows.count = lambda path: counted.append(path) or 1
    assert [f.num_rows for f in source.files(files)] == [5, 1, 30]
    assert counted == [str(tmp_path / "part-001.txt")]


def test_unknown_names(tmp_path):
    write_texts(tmp_path, LENGTHS)
    add_text_task("lines", seqio.TextLineDataSource({"train": f"{tmp_path}/*.txt"}))
    with pytest.raises(ValueError, match="no split 'test'; it has train"):
        open_seqio_source("seqio:lines", split="test")
    with pytest.raises(ValueError, match="'csv:x' is neither"):
        open_seqio_source("csv:x")
    with pytest.raises(ValueError, match="leave out data_dir"):
        open_seqio_source("seqio:lines", data_dir="x")

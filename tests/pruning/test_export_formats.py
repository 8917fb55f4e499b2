"""What is exported comes back byte for byte, in every format, through the readers of others and ours."""

import contextlib
import gzip
import json
import subprocess
import sys

import exports
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy import tree

from pruning import exporting
from pruning.examples import decode_example
from pruning.export_formats import FORMATS
from pruning.jobs.export import export_source, summary
from pruning.jobs.open_source import open_source
from pruning.sources.jsonl import JsonlSource
from pruning.sources.parquet import ParquetSource


def read_array_record(path):
    """Through the library's own data source."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    with ArrayRecordDataSource(str(path)) as records:
        return [decode_example(records[i]) for i in range(len(records))]


def read_tfrecord(path):
    import tensorflow as tf

    features = dict.fromkeys(("text", *exports.FIELDS), tf.io.FixedLenFeature([], tf.string))
    ds = tf.data.TFRecordDataset(str(path)).map(lambda r: tf.io.parse_single_example(r, features))
    return list(ds.as_numpy_iterator())


def as_bytes(row):
    return {k: v if isinstance(v, bytes) else (v or "").encode() for k, v in row.items()}


def read_lines(data):
    return [as_bytes(json.loads(line)) for line in data.split(b"\n")[:-1]]


def read_parquet(path):
    return [as_bytes(row) for row in pq.read_table(path).to_pylist()]


READERS = {
    "tfrecord": read_tfrecord,
    "array_record": read_array_record,
    "jsonl": lambda path: read_lines(path.read_bytes()),
    "jsonl.gz": lambda path: read_lines(gzip.decompress(path.read_bytes())),
    "jsonl.zst": lambda path: read_lines(pa.input_stream(str(path), compression="zstd").read()),
    "parquet": read_parquet,
}


def test_every_format_is_tested():
    assert [*READERS] == [*FORMATS] == [*exports.FORMATS]


@pytest.fixture
def source(tmp_path):
    return exports.write_corpus(tmp_path / "corpus")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kept", [False, True], ids=["whole", "kept"])
def test_all_bytes_come_back(tmp_path, source, format, kept):
    selection = exports.write_kept(source, tmp_path / "selection") if kept else None
    result = export_source(source, tmp_path / "out", selection=selection, format=format)
    expected = exports.expected(source, selection)
    assert len(expected) == (2 if kept else 3)
    assert {f.source.path for f in result.files if f.path} == expected.keys()
    for path, rows in expected.items():
        assert READERS[format](tmp_path / "out" / f"{path}.{format}") == rows
    assert result.counts == ({} if kept else {"missing_field": 2})
    said = summary(result)
    assert f"{sum(map(len, expected.values()))} records in {len(expected)} files." in said
    assert ("Rows are numbered anew" in said) == kept
    rows = json.loads((tmp_path / "out/export.json").read_text())["rows"]
    assert rows == ("numbered anew" if kept else "as in the source")


@pytest.mark.parametrize("format", sorted({*FORMATS} - {"jsonl.zst"}))
def test_our_own_sources_read_a_whole_export_under_the_names_of_the_original(
    tmp_path, source, format
):
    export_source(source, tmp_path / "out", format=format)
    opened = open_source(f"export:{tmp_path}/out", fields=exports.FIELDS)
    assert opened.files() == source.files()
    for file in source.files():
        now, then = (list(s.read(file.path, 0, file.num_rows)) for s in (opened, source))
        assert [d.text for d in now] == [d.text or b"" for d in then]
        fields = [[{k: v or "" for k, v in d.fields.items()} for d in ds] for ds in (now, then)]
        assert fields[0] == fields[1]
    long = source.files()[0]
    assert [d.row for d in opened.read(long.path, 5, 7)] == [*range(5, 12)]


def test_exports_of_text_are_sources(tmp_path, source):
    for kind, format in (
        (JsonlSource, "jsonl"),
        (JsonlSource, "jsonl.gz"),
        (ParquetSource, "parquet"),
    ):
        folder = tmp_path / format
        export_source(source, folder, format=format)
        read = kind([f"{folder}/**/*.{format}"], fields=("url",))
        texts = [d.text for f in read.files() for d in read.read(f.path, 0, f.num_rows)]
        assert texts == [row["text"] for rows in exports.expected(source).values() for row in rows]


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_that_are_no_utf_8(tmp_path, format):
    source = exports.write_corpus(tmp_path / "corpus", invalid=True)
    result = export_source(source, tmp_path / "out", format=format)
    expected = exports.expected(source)
    if format.startswith("jsonl"):
        assert result.counts == {"invalid_utf8": 2, "missing_field": 2}
        assert "Without text: invalid_utf8 2, missing_field 2." in summary(result)
        for rows in expected.values():
            rows[7:8] = [{**row, "text": b""} for row in rows[7:8]]
    else:
        assert result.counts == {"missing_field": 2}
    for path, rows in expected.items():
        assert READERS[format](tmp_path / "out" / f"{path}.{format}") == rows


def test_a_parquet_text_is_a_string_unless_its_file_has_other_bytes(tmp_path):
    source = exports.write_corpus(tmp_path / "corpus", invalid=True)
    export_source(source, tmp_path / "out", format="parquet")
    types = [
        pq.read_schema(p).field("text").type for p in sorted((tmp_path / "out").rglob("*.parquet"))
    ]
    assert types == [pa.binary(), pa.binary(), pa.string()]


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_documents_give_the_same_bytes(tmp_path, source, format, monkeypatch):
    for name, seconds in (("one", 1_000_000_000), ("two", 2_000_000_000)):
        monkeypatch.setattr("time.time", lambda seconds=seconds: seconds)
        export_source(source, tmp_path / name, format=format)
    one, two = (tree(tmp_path / name) for name in ("one", "two"))
    assert one == two
    assert len(one) == 4


def test_a_large_parquet_export_has_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("pruning.export_formats._GROUP_ROWS", 5)
    monkeypatch.setattr("pruning.export_formats._GROUP_BYTES", 30_000)
    source = exports.write_corpus(tmp_path / "corpus", (23,))
    export_source(source, tmp_path / "out", format="parquet")
    (path,) = (tmp_path / "out").rglob("*.parquet")
    sizes = [pq.ParquetFile(path).metadata.row_group(i).num_rows for i in range(4)]
    assert max(sizes) == 5
    assert min(sizes[:-1]) < 5  # after a long text
    assert [read_parquet(path)] == [*exports.expected(source).values()]


def test_another_format_into_the_same_folder_is_refused(tmp_path, source):
    export_source(source, tmp_path / "out", format="jsonl")
    with pytest.raises(ValueError, match='format = "jsonl", this run has "parquet"'):
        export_source(source, tmp_path / "out", format="parquet")


def test_without_the_library_array_record_the_message_says_what_to_install(
    tmp_path, source, monkeypatch
):
    monkeypatch.setitem(sys.modules, "array_record.python", None)
    with pytest.raises(ImportError, match=r"pip install 't5x-pruning\[array_record\]'"):
        export_source(source, tmp_path / "out", format="array_record")
    assert not list((tmp_path / "out").rglob("*part*"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_named_and_nothing_stays(tmp_path, source, format, monkeypatch):
    publishing = exporting.publishing

    @contextlib.contextmanager
    def on_a_full_disk(path):
        with publishing(path) as local:
            yield "/dev/full" if "part-2" in local else local

    monkeypatch.setattr(exporting, "publishing", on_a_full_disk)
    with pytest.raises((OSError, RuntimeError), match=r"No space left on device.*/dev/full"):
        export_source(source, tmp_path / "out", format=format)
    assert not list((tmp_path / "out").rglob(".part*"))
    monkeypatch.undo()
    export_source(source, tmp_path / "out", format=format)
    export_source(source, tmp_path / "whole", format=format)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_no_format_needs_tensorflow(tmp_path):
    exports.write_corpus(tmp_path / "corpus")
    code = (
        "import sys; sys.modules |= dict.fromkeys(('tensorflow', 'seqio', 'jax'))\n"
        "from pruning.jobs.export import export\n"
        f"for f in {exports.FORMATS}: export('parquet:{tmp_path}/corpus/**', '{tmp_path}/' + f, format=f)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    assert len(list(tmp_path.rglob("export.json"))) == len(exports.FORMATS)

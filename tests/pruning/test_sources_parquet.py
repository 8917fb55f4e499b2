"""Parquet sources: which columns hold text, row groups, and files that are no Parquet."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pruning.sources.parquet import ParquetSource

TEXTS = ["a", None, "c\r\0", "", "é"] * 7
STORED = [None if t is None else t.encode() for t in TEXTS]


def write(path, columns, **kwargs):
    pq.write_table(pa.table(columns), path, **kwargs)
    return str(path)


def read_all(source):
    (file,) = source.files()
    return list(source.read(file.path, 0, file.num_rows))


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        "dictionary",
    ],
    ids=str,
)
def test_every_kind_of_text_column_gives_its_bytes(tmp_path, kind):
    column = (
        pa.array(TEXTS).dictionary_encode() if kind == "dictionary" else pa.array(TEXTS).cast(kind)
    )
    documents = read_all(ParquetSource([write(tmp_path / "a.parquet", {"text": column})]))
    assert [d.text for d in documents] == STORED
    assert [d.row for d in documents] == list(range(len(TEXTS)))
    assert [d.reason for d in documents] == [
        None if t is not None else "missing_field" for t in TEXTS
    ]


def test_bytes_that_are_not_utf8_come_as_they_are(tmp_path):
    texts = pa.array([b"\xff", b"x"]).view(pa.string())
    documents = read_all(
        ParquetSource([write(tmp_path / "a.parquet", {"text": texts})], fields=["text"])
    )
    assert [(d.text, d.fields["text"]) for d in documents] == [(b"\xff", "\ufffd"), (b"x", "x")]


def test_any_range_over_row_groups_equals_the_whole(tmp_path):
    texts = [f"row {i}" for i in range(41)]
    path = write(tmp_path / "a.parquet", {"text": texts}, row_group_size=6)
    source = ParquetSource([path])
    for first in (0, 5, 6, 7, 40, 41, 3):
        for number in {0, 1, min(13, 41 - first), 41 - first} & set(range(42 - first)):
            found = [(d.row, d.text) for d in source.read("a.parquet", first, number)]
            assert found == [(r, b"row %d" % r) for r in range(first, first + number)]


def test_a_file_that_ends_early_is_an_error(tmp_path):
    source = ParquetSource([write(tmp_path / "a.parquet", {"text": ["x"] * 3})])
    with pytest.raises(ValueError, match="has 3 rows, and rows 2 to 3 were asked for"):
        list(source.read("a.parquet", 2, 2))


def test_fields_are_carried_as_text(tmp_path):
    columns = {
        "text": ["a", "b"],
        "n": [1, None],
        "ok": [True, False],
        "day": pa.array([0, 1], pa.date32()),
        "tag": pa.array(["x", None]).dictionary_encode(),
        "meta": [{"lang": "en", "score": 0.5}, None],
        "a.b": ["dotted", "name"],
    }
    fields = ["n", "ok", "day", "tag", "meta.lang", "meta.score", "meta", "a.b"]
    path = write(tmp_path / "a.parquet", columns)
    documents = read_all(ParquetSource([path], fields=fields))
    assert [tuple(d.fields[f] for f in fields) for d in documents] == [
        ("1", "true", "1970-01-01", "x", "en", "0.5", '{"lang": "en", "score": 0.5}', "dotted"),
        (None, "false", "1970-01-02", None, None, None, None, "name"),
    ]


def test_the_text_can_lie_in_a_struct(tmp_path):
    path = write(
        tmp_path / "a.parquet", {"doc": [{"body": "hi", "n": 1}, None, {"body": None, "n": 2}]}
    )
    documents = read_all(ParquetSource([path], text_field="doc.body"))
    assert [(d.text, d.reason) for d in documents] == [(b"hi", None)] + [
        (None, "missing_field")
    ] * 2


def test_only_the_needed_columns_are_read(tmp_path):
    """The other column's pages are overwritten: whoever reads them fails."""
    big = [f"{i:>05}" * 50 for i in range(500)]
    path = write(tmp_path / "a.parquet", {"text": ["x"] * 500, "big": big}, compression="snappy")
    spoil(path, group=0, column=1)
    assert len(read_all(ParquetSource([path]))) == 500
    with pytest.raises((OSError, pa.ArrowInvalid)):
        read_all(ParquetSource([path], fields=["big"]))


def test_row_groups_before_the_range_are_not_read(tmp_path):
    path = write(
        tmp_path / "a.parquet", {"text": [f"row {i}" for i in range(18)]}, row_group_size=6
    )
    spoil(path, group=0, column=0)
    source = ParquetSource([path])
    assert [d.text for d in source.read("a.parquet", 6, 2)] == [b"row 6", b"row 7"]
    with pytest.raises((OSError, pa.ArrowInvalid)):
        list(source.read("a.parquet", 5, 1))


def spoil(path, group, column):
    where = pq.ParquetFile(path).metadata.row_group(group).column(column)
    with open(path, "r+b") as file:
        file.seek(where.dictionary_page_offset or where.data_page_offset)
        file.write(b"\xff" * where.total_compressed_size)


@pytest.mark.parametrize("where", ["text_field", "fields"])
@pytest.mark.parametrize("name", ["body", "meta.nope", "text.x"])
def test_a_missing_column_names_those_there_are(tmp_path, where, name):
    path = write(tmp_path / "a.parquet", {"text": ["x"], "meta": [{"lang": "en"}]})
    asked = {"text_field": name} if where == "text_field" else {"fields": [name]}
    source = ParquetSource([path], **asked)
    message = rf"a\.parquet has no column '{name}'; it has text, meta"
    with pytest.raises(ValueError, match=message):
        source.files()
    with pytest.raises(ValueError, match=message):
        source.read("a.parquet", 0, 1)


def test_a_column_of_numbers_is_no_text(tmp_path):
    path = write(tmp_path / "a.parquet", {"text": [1, 2]})
    with pytest.raises(ValueError, match=r"Column 'text' of .* holds int64"):
        ParquetSource([path]).files()


@pytest.mark.parametrize("size", [0, 3, 200])
def test_a_file_cut_off_is_named(tmp_path, size):
    path = write(tmp_path / "a.parquet", {"text": ["x"] * 100})
    with open(path, "r+b") as file:
        file.truncate(size)
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read as Parquet"):
        ParquetSource([path]).files()


def test_a_file_without_rows_is_no_error(tmp_path):
    path = write(tmp_path / "a.parquet", {"text": pa.array([], pa.string())})
    assert read_all(ParquetSource([path])) == []

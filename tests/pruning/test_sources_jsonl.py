"""Text and JSON Lines sources: what a row holds, and that bad rows never shift the others."""

import gzip
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning.documents import REASONS, Document
from pruning.sources.jsonl import JsonlSource
from pruning.sources.text import TextSource

GOOD = b'{"text": "fine", "domain": "web"}'

# line -> (text, reason, note)
LINES = {
    b'{"text": "caf\xc3\xa9 \\u00e9\\ud83d\\ude00"}': ("café é😀".encode(), None, None),
    b'{"text": ""}': (b"", None, None),
    b'{"text": "a\\rb\\u0000c\\nd"}': (b"a\rb\0c\nd", None, None),
    b'{"text": "windows"}\r': (b"windows", None, None),
    b'{"text": "x",\r"domain": "y"}': (b"x", None, "control_characters"),
    b'{"text": "\xe2\x80\xa8\xc2\x85"}': ("\u2028\x85".encode(), None, None),
    b'{"text": "a\rb"}': (None, "broken_json", "control_characters"),
    b'{"text": "a\0b"}': (None, "broken_json", "control_characters"),
    b"": (None, "broken_json", None),
    b"   ": (None, "broken_json", None),
    b'{"text": "cut o': (None, "broken_json", None),
    b'{"text": "a"} {"text": "b"}': (None, "broken_json", None),
    b'["text"]': (None, "broken_json", None),
    b'"text"': (None, "broken_json", None),
    b"null": (None, "broken_json", None),
    b'{"n": ' + b"1" * 5000 + b"}": (None, "broken_json", None),
    b"[" * 100_000: (None, "broken_json", None),
    b'{"text": "\xff"}': (None, "invalid_utf8", None),
    b"\xff not even JSON": (None, "invalid_utf8", None),
    b'{"text": "\xed\xa0\x80"}': (None, "invalid_utf8", None),
    b'{"text": "half \\ud83d"}': (None, "invalid_utf8", None),
    b'{"other": "x"}': (None, "missing_field", None),
    b'{"text": null}': (None, "missing_field", None),
    b'{"text": 3}': (None, "not_text", None),
    b'{"text": ["a"]}': (None, "not_text", None),
    b'{"text": {"text": "a"}}': (None, "not_text", None),
}


def write(path, data):
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read_all(source):
    (file,) = source.files()
    return list(source.read(file.path, 0, file.num_rows))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_each_kind_of_line_has_its_row_and_reason(tmp_path, name):
    data = b"".join(line + b"\n" + GOOD + b"\n" for line in LINES)
    documents = read_all(JsonlSource([str(write(tmp_path / name, data))]))
    assert [d.row for d in documents] == list(range(2 * len(LINES)))
    assert {d.text for d in documents[1::2]} == {b"fine"}
    found = [(d.text, d.reason, d.note) for d in documents[::2]]
    for line, result, expected in zip(LINES, found, LINES.values(), strict=True):
        assert result == expected, line[:40]
    assert {d.reason for d in documents} - {None} <= set(REASONS)


@given(lines=st.lists(st.sampled_from([GOOD, *LINES]), max_size=12), draw=st.data())
@settings(deadline=None)
def test_any_range_equals_the_whole(tmp_path_factory, lines, draw):
    path = write(tmp_path_factory.mktemp("ranges") / "a.jsonl", b"\n".join(lines))
    source = JsonlSource([str(path)], fields=["domain"])
    whole = read_all(source)
    first = draw.draw(st.integers(0, len(whole)))
    number = draw.draw(st.integers(0, len(whole) - first))
    assert list(source.read("a.jsonl", first, number)) == whole[first : first + number]


@given(texts=st.lists(st.text(), max_size=10), ascii_only=st.booleans())
@settings(deadline=None)
def test_what_json_dumps_writes_comes_back(tmp_path_factory, texts, ascii_only):
    lines = [json.dumps({"text": t}, ensure_ascii=ascii_only) + "\n" for t in texts]
    path = write(tmp_path_factory.mktemp("round") / "a.jsonl", "".join(lines).encode())
    assert [d.text for d in read_all(JsonlSource([str(path)]))] == [t.encode() for t in texts]


def test_fields_are_carried_as_text_and_for_bad_rows_too(tmp_path):
    rows = [
        b'{"text": "a", "domain": "web", "n": 1.50, "ok": true, "meta": {"lang": "en", "l": [1, "\xc3\xa9"]}}',
        b'{"text": 3, "domain": "half \\ud83d", "n": 12345678901234567890, "ok": null}',
        b'{"text": "\xff", "domain": "news", "meta": "no object"}',
        b'{"domain": "x", "meta.lang": "literal", "meta": {"lang": "nested"}}',
        b"broken",
    ]
    path = write(tmp_path / "a.jsonl", b"\n".join(rows))
    fields = ["domain", "n", "ok", "meta.lang", "meta.l"]
    documents = read_all(JsonlSource([str(path)], fields=fields))
    assert [tuple(d.fields[f] for f in fields) for d in documents] == [
        ("web", "1.5", "true", "en", '[1, "é"]'),
        ("half ?", "12345678901234567890", None, None, None),
        ("news", None, None, None, None),
        ("x", None, None, "literal", None),
        (None, None, None, None, None),
    ]
    reasons = [d.reason for d in documents]
    assert reasons == [None, "not_text", "invalid_utf8", "missing_field", "broken_json"]


def test_the_text_can_lie_inside_another_object(tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"doc": {"body": "hi"}}\n{"doc": 1}\n{"doc.body": "flat"}')
    documents = read_all(JsonlSource([str(path)], text_field="doc.body"))
    assert [(d.text, d.reason) for d in documents] == [
        (b"hi", None),
        (None, "missing_field"),
        (b"flat", None),
    ]


@pytest.mark.parametrize("kind", [JsonlSource, TextSource])
def test_a_cut_gzip_file_ends_in_one_row_with_its_reason(tmp_path, kind):
    path = tmp_path / "a.gz"
    whole = gzip.compress((GOOD + b"\n") * 3)
    path.write_bytes(whole[:-4])
    documents = read_all(kind([str(path)]))
    assert [d.reason for d in documents] == [None, None, None, "truncated_file"]
    assert documents[-1] == Document(row=3, text=None, reason="truncated_file")


def test_a_line_of_text_is_taken_as_it_is(tmp_path):
    lines = [b"plain", b"", b"win\r", b"in\rside", b"nul\0", b"\xff\xfe", b" \x85 "]
    path = write(tmp_path / "a.txt", b"\n".join(lines))
    documents = read_all(TextSource([str(path)]))
    assert [d.text for d in documents] == lines
    assert [bool(d.note) for d in documents] == [False, False, True, True, True, False, False]
    assert {d.note for d in documents} == {None, "control_characters"}
    assert {d.reason for d in documents} == {None}


def test_text_has_no_fields(tmp_path):
    with pytest.raises(ValueError, match=r"no fields, and domain was asked for"):
        TextSource([str(write(tmp_path / "a.txt", b"x"))], fields=["domain"])


def test_files_are_sorted_and_counted_once(tmp_path, monkeypatch):
    for name, rows in {"b.jsonl": 2, "a/z.jsonl": 3, "c.jsonl.gz": 4}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, (GOOD + b"\n") * rows)
    patterns = [f"{tmp_path}/**/*.jsonl", f"{tmp_path}/c.jsonl.gz"]
    files = JsonlSource(patterns).files()
    assert [(f.path, f.num_rows) for f in files] == [
        ("a/z.jsonl", 3),
        ("b.jsonl", 2),
        ("c.jsonl.gz", 4),
    ]
    assert files == JsonlSource(patterns[::-1]).files()

    write(tmp_path / "b.jsonl", GOOD.ljust(files[1].size))  # as large as before
    os.utime(tmp_path / "b.jsonl", ns=(0, 1))
    counted = []
    count_rows = JsonlSource._count_rows
    monkeypatch.setattr(
        JsonlSource,
        "_count_rows",
        lambda self, path: counted.append(path) or count_rows(self, path),
    )
    again = JsonlSource(patterns).files({f.path: f for f in files})
    assert [f.num_rows for f in again] == [3, 1, 4]
    assert counted == [str(tmp_path / "b.jsonl")]


def test_more_files_than_are_kept_open_can_be_read_in_turns(tmp_path):
    for i in range(20):
        write(
            tmp_path / f"{i:02}.jsonl", b"".join(b'{"text": "%d %d"}\n' % (i, r) for r in range(4))
        )
    source = JsonlSource([f"{tmp_path}/*"])
    for first in (0, 2):
        for i, file in enumerate(source.files()):
            found = [d.text for d in source.read(file.path, first, 2)]
            assert found == [b"%d %d" % (i, first), b"%d %d" % (i, first + 1)]
    assert len(source._readers) <= 8


def test_an_unknown_file_is_named(tmp_path):
    source = JsonlSource([str(write(tmp_path / "a.jsonl", GOOD))])
    with pytest.raises(ValueError, match=r"no file 'b.jsonl'.*the first 'a.jsonl'"):
        source.read("b.jsonl", 0, 1)


def test_a_compression_that_is_not_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a.jsonl.xz is compressed"):
        JsonlSource([str(write(tmp_path / "a.jsonl.xz", GOOD))])

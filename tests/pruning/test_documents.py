"""Documents: ids, units of work, and what makes a text unfit to be scored."""

import pytest

from pruning.documents import (
    REASONS,
    REASONS_ASKED_FOR,
    DocumentId,
    SourceFile,
    cut_into_units,
    text_problem,
)


def source_file(path, num_rows, **kwargs):
    return SourceFile(path=path, size=1, mark="", num_rows=num_rows, **kwargs)


def test_ids_print_as_tfds_writes_them():
    assert str(DocumentId("en/c4-train.tfrecord-00000-of-01024", 17)) == (
        "en/c4-train.tfrecord-00000-of-01024__17"
    )


@pytest.mark.parametrize("unit_rows", [1, 2, 3, 7, 100])
def test_units_cover_every_row_once_and_never_cross_a_file(unit_rows):
    files = [source_file("b", 7), source_file("a", 3), source_file("empty", 0)]
    units = cut_into_units(files, unit_rows)
    rows = [(u.file, u.first_row + i) for u in units for i in range(u.num_rows)]
    assert rows == [("a", i) for i in range(3)] + [("b", i) for i in range(7)]
    assert all(1 <= u.num_rows <= unit_rows for u in units)
    assert all(u.first_row % unit_rows == 0 for u in units)


def test_units_cover_rows_outside_of_a_split_too():
    assert sum(u.num_rows for u in cut_into_units([source_file("a", 9, first_row=4)], 2)) == 9


def test_a_unit_has_at_least_one_row():
    with pytest.raises(ValueError, match=r"unit_rows is 0; a unit needs at least one row"):
        cut_into_units([source_file("a", 3)], 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"fine", None),
        (b"  fine\r\n\x00 ", None),
        ("東京".encode(), None),
        (b"", "empty"),
        (b" \t\r\n", "empty"),
        ("\u3000\u2028".encode(), "empty"),
        (b"\x00\x00", "empty"),
        (b" \x00 ", "empty"),
        (b"\x00 \x00 \x00", "empty"),
        (b"caf\xe9", "invalid_utf8"),
        (b"\xed\xa0\x80", "invalid_utf8"),
        (b"x" * 99, None),
        (b"x" * 100, "too_long"),
        (b"\xff" * 101, "too_long"),
    ],
)
def test_why_a_text_cannot_be_scored(text, problem):
    assert text_problem(text, max_bytes=100) == problem


def test_every_reason_has_a_sentence():
    assert set(REASONS) >= REASONS_ASKED_FOR
    assert all(sentence and not sentence.endswith(".") for sentence in REASONS.values())

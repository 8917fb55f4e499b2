import pytest

from pruning.wording import plural


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1, "document"), "1 document"),
        ((0, "document"), "0 documents"),
        ((1200, "document"), "1,200 documents"),
        ((1, "entry", "entries"), "1 entry"),
        ((2, "entry", "entries"), "2 entries"),
    ],
)
def test_one_of_a_kind_is_singular(arguments, expected):
    assert plural(*arguments) == expected

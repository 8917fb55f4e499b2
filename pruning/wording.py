"""Counts in sentences."""


def plural(n: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "document"), plural(1200, "document"), plural(0, "entry", "entries")
    ('1 document', '1,200 documents', '0 entries')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"

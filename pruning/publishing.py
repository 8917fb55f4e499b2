"""Files that appear whole, under their name, or not at all, whenever a writer dies."""

import uuid

from etils import epath


def temporary_name(path: epath.Path) -> epath.Path:
    """A name beside `path`, of its own for each writer: two may be at the same file."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")


def publish(temporary: epath.Path, path: epath.Path) -> None:
    """Gives a finished file its name, and removes what dead writers left of it."""
    try:
        temporary.replace(path)
    except FileNotFoundError:
        # Removed below, by another writer of the same bytes that was first.
        if not path.exists():
            raise
    for left_by_the_dead in path.parent.glob(f".{path.name}.????????"):
        left_by_the_dead.unlink(missing_ok=True)


def publish_bytes(path: epath.Path, data: bytes) -> None:
    """Writes a file in one step."""
    temporary = temporary_name(path)
    temporary.write_bytes(data)
    publish(temporary, path)

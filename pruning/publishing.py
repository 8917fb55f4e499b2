"""Files that appear whole, under their name, or not at all, whenever a writer dies.

On a disk they get their name last. An object store has no rename, only a copy and a removal,
and needs none: an object appears when the last of its bytes is there.
"""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping

from etils import epath

from pruning.object_stores import is_object, put, put_file


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
    _clear(path)


def publish_bytes(path: epath.Path, data: bytes) -> None:
    """Writes a file in one step.

    Raises:
      OSError: names the file; nothing is left of it.
    """
    if is_object(path):
        put(path, data)
        return
    with _written(path, data) as temporary:
        publish(temporary, path)


@contextlib.contextmanager
def publishing(path: epath.Path) -> Iterator[str]:
    """A local file to write, which is published where nothing is raised inside."""
    if is_object(path):
        with tempfile.TemporaryDirectory() as folder:
            yield (local := os.path.join(folder, path.name))
            put_file(path, local)
        return
    temporary = temporary_name(path)
    try:
        yield os.fspath(temporary)
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def publish_folder(folder: epath.Path, contents: Mapping[str, bytes]) -> None:
    """Writes a folder of files in one step.

    In an object store, where a folder is not made in one, the last of the files comes last.

    Args:
      folder: must not exist, or hold leftovers only.
      contents: of each file, by its path in the folder.
    """
    if is_object(folder):
        *others, last = contents
        for name in others:
            put(folder / name, contents[name])
        put(folder / last, contents[last], once=True)
        return
    temporary = temporary_name(folder)
    try:
        for name, data in contents.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(data)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def publish_bytes_once(path: epath.Path, data: bytes) -> None:
    """Writes a file in one step, unless there is one: of several writers the first wins."""
    if path.exists():
        pass
    elif is_object(path):
        with contextlib.suppress(FileExistsError):
            put(path, data, once=True)
    else:
        with _written(path, data) as temporary:
            try:
                os.link(temporary, path)
            except (FileExistsError, FileNotFoundError):  # another was first, and has cleared this
                if not path.exists():
                    raise
    if not is_object(path):
        _clear(path)


def _clear(path: epath.Path) -> None:
    """Removes what dead writers left of a file that is there."""
    for left_by_the_dead in path.parent.glob(f".{path.name}.????????"):
        left_by_the_dead.unlink(missing_ok=True)


@contextlib.contextmanager
def _written(path: epath.Path, data: bytes) -> Iterator[epath.Path]:
    """The bytes under a temporary name, which goes with what is raised inside."""
    temporary = temporary_name(path)
    try:
        temporary.write_bytes(data)
        yield temporary
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise type(error)(
            error.errno,
            f"{path} cannot be written: {error.strerror or error}. What was written before stays; "
            "make room or give the right to write, and run the same command again",
        ) from error

"""gs:// and s3:// paths: patient with what passes, clear about what does not.

fsspec's own file systems (s3fs, gcsfs) are what opens such paths, with three differences:
what another process wrote is seen at once, no bucket is ever made by mistake, and every error
names the path. `use_object_stores` puts them in place for the whole process, for epath too.
"""

import contextlib
import datetime
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import fsspec

_SYSTEMS = {
    "s3": ("pruning.object_stores_s3.S3", "s3fs", "s3"),
    "gs": ("pruning.object_stores_gs.GS", "gcsfs", "gcs"),
    "gcs": ("pruning.object_stores_gs.GS", "gcsfs", "gcs"),
}
_ACCOUNT = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, tell which account is used",
    "gs": "`gcloud auth application-default login` or GOOGLE_APPLICATION_CREDENTIALS set the account",
}
# Errors of these libraries are no OSErrors where no answer came, or one that they do not know.
_LIBRARIES = ("aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "requests")
_DENIED = ("401", "403", "Forbidden", "NoCredentials", "Unable to locate credentials")

_log = logging.getLogger("pruning")
_said: set[str] = set()


def use_object_stores() -> None:
    """Opens gs:// and s3:// paths in this way from now on, in fsspec and in epath."""
    # epath would load TensorFlow where it is installed, which has no s3://.
    os.environ.setdefault("EPATH_USE_TF", "false")
    for protocol, (name, package, extra) in _SYSTEMS.items():
        missing = (
            f"{protocol}:// paths need {package}, which is not installed: "
            f"pip install 't5x-pruning[{extra}]'."
        )
        fsspec.register_implementation(protocol, name, clobber=True, errtxt=missing)


def is_object(path: str | os.PathLike) -> bool:
    """Whether a path is in an object store: no folders, no renames, and a put is whole or not."""
    return "://" in os.fspath(path)


def put(path: str | os.PathLike, data: bytes, *, once: bool = False) -> None:
    """Writes an object in one step.

    Raises:
      FileExistsError: `once`, and there is one; of several writers one wins.
    """
    fs, fs_path = fsspec.core.url_to_fs(os.fspath(path))
    fs.pipe_file(fs_path, data, mode="create" if once else "overwrite")


def put_file(path: str | os.PathLike, local: str) -> None:
    """Writes a local file as an object in one step."""
    fs, fs_path = fsspec.core.url_to_fs(os.fspath(path))
    fs.put_file(local, fs_path)


def objects_below(folder: str | os.PathLike) -> dict[str, float]:
    """All objects in a folder and the folders in it, by listing.

    Returns:
      When each was written, in seconds since 1970, by its path relative to the folder.
    """
    fs, root = fsspec.core.url_to_fs(os.fspath(folder))
    found = fs.find(root, detail=True)
    start = len(root.rstrip("/")) + 1
    # A folder whose first object came while it was looked at is listed as itself.
    return {
        name[start:]: _written_at(info) for name, info in found.items() if info["type"] == "file"
    }


def _written_at(info: Mapping[str, Any]) -> float:
    when = info.get("LastModified") or info.get("updated") or info.get("mtime") or 0.0
    if isinstance(when, str):
        when = datetime.datetime.fromisoformat(when)
    return when.timestamp() if isinstance(when, datetime.datetime) else float(when)


def say_once(scheme: str, reason: object) -> None:
    """Logs the first request of a store that is tried again."""
    if scheme not in _said:
        _said.add(scheme)
        _log.warning(
            "%s:// answered with an error that may pass, and is asked again, more and more slowly "
            "(this is said once): %s",
            scheme,
            reason,
        )


@contextlib.contextmanager
def named(scheme: str, path: str) -> Iterator[None]:
    """Errors raised inside name the path, and what to do."""
    try:
        yield
    except FileExistsError:
        raise
    except Exception as error:
        url = f"{scheme}://{path.removeprefix(f'{scheme}://')}"
        theirs = type(error).__module__.partition(".")[0] in _LIBRARIES
        if url in str(error) or not (isinstance(error, OSError) or theirs):
            raise
        raise _explained(scheme, url, error) from error


def _explained(scheme: str, url: str, error: Exception) -> OSError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, FileNotFoundError):
        bucket = "bucket" in reason
        advice = (
            "Is the bucket's name right? It is not made here." if bucket else "It is not there."
        )
        return FileNotFoundError(f"{url}: {reason}. {advice}")
    about = f"{type(error).__name__} {getattr(error, 'code', '')} {reason}"
    if isinstance(error, PermissionError) or any(word in about for word in _DENIED):
        return PermissionError(
            f"{url} is refused: {reason}. Ask for the right to read it (and to write, for an "
            f"output), or use another account: {_ACCOUNT[scheme]}."
        )
    return OSError(
        f"{url} cannot be reached: {reason}. It was tried for about a minute where that can help. "
        "The same command goes on where this one stopped."
    )


class ObjectStore:
    """What the file systems of both stores have before s3fs's and gcsfs's own methods."""

    scheme: str

    def mkdir(self, path: str, *args: Any, **kwargs: Any) -> None:
        """Nothing: there are no folders, and both libraries would make a bucket."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing, likewise."""

    async def _mkdir(self, path: str, *args: Any, **kwargs: Any) -> None:
        """Nothing, likewise."""

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing, likewise."""

    def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with named(self.scheme, path):
            return super().open(path, *args, **kwargs)  # type: ignore[misc]

    async def _info(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with named(self.scheme, path):
            return await super()._info(path, *args, **kwargs)  # type: ignore[misc]

    async def _ls(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with named(self.scheme, path):
            return await super()._ls(path, *args, **kwargs)  # type: ignore[misc]

    async def _find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with named(self.scheme, path):
            return await super()._find(path, *args, **kwargs)  # type: ignore[misc]

    async def _cat_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with named(self.scheme, path):
            return await super()._cat_file(path, *args, **kwargs)  # type: ignore[misc]

    async def _pipe_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with named(self.scheme, path):
            return await super()._pipe_file(path, *args, **kwargs)  # type: ignore[misc]

    async def _put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> Any:
        with named(self.scheme, rpath):
            return await super()._put_file(lpath, rpath, *args, **kwargs)  # type: ignore[misc]

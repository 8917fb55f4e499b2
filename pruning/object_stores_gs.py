"""gs:// by gcsfs; STORAGE_EMULATOR_HOST leads to any server that speaks its language."""

import logging
from typing import Any

from gcsfs.core import GCSFileSystem

from pruning.object_stores import ObjectStore, say_once


def _only_what_matters(record: logging.LogRecord) -> bool:
    """gcsfs says to debuggers alone that it tries again, and gives the last error a traceback."""
    message = str(record.msg)
    if " retrying after exception: " in message:
        say_once("gs", message.partition(": ")[2])
    return record.levelno >= logging.WARNING and "retri" not in message


logging.getLogger("gcsfs").setLevel(logging.DEBUG)
logging.getLogger("gcsfs").addFilter(_only_what_matters)


class GS(ObjectStore, GCSFileSystem):
    """Google Cloud Storage over its JSON interface; gcsfs tries requests again for half a minute."""

    scheme = "gs"

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("use_listings_cache", False)
        kwargs.pop(
            "finalize_on_close", None
        )  # of epath, for buckets with an interface of their own
        super().__init__(*args, **kwargs)

"""s3:// by s3fs; AWS_ENDPOINT_URL leads to any server that speaks its language."""

import logging
from typing import Any

import s3fs
from botocore.exceptions import ConnectionError as NoConnectionError
from s3fs.core import set_custom_error_handler

from pruning.object_stores import ObjectStore, say_once

_PASSING = (408, 429, 500, 502, 503, 504)


def _may_pass(error: Exception) -> bool:
    response = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status not in _PASSING and not isinstance(error, NoConnectionError):
        return False
    say_once("s3", error)
    return True


def _only_what_matters(record: logging.LogRecord) -> bool:
    """s3fs says that a connection broke to debuggers alone."""
    if str(record.msg).startswith("Retryable error"):
        say_once("s3", record.getMessage())
    return record.levelno >= logging.WARNING


set_custom_error_handler(_may_pass)
logging.getLogger("s3fs").setLevel(logging.DEBUG)
logging.getLogger("s3fs").addFilter(_only_what_matters)


class S3(ObjectStore, s3fs.S3FileSystem):
    """S3 whose requests are tried again in one place, by s3fs, for about a minute."""

    scheme = "s3"
    retries = 12

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("use_listings_cache", False)
        kwargs.setdefault("config_kwargs", {"retries": {"total_max_attempts": 1}})
        super().__init__(*args, **kwargs)

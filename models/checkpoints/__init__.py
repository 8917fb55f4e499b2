"""Reading models from disk, whoever wrote them."""

from models.checkpoints.checking import check_params, params_digest
from models.checkpoints.loading import LoadedModel, StoredModel, load_model, open_model

__all__ = [
    "LoadedModel",
    "StoredModel",
    "check_params",
    "load_model",
    "open_model",
    "params_digest",
]

"""Opens a model with its vocabulary and objective, ready for the scoring loop."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

from jax.sharding import Mesh

from pruning.asked_documents import AskLLM, make_ask_llm
from pruning.objectives import Objective, describe, make_objective
from pruning.packing import RowShape
from pruning.prepared_units import Preparation
from pruning.prompts import Question
from pruning.scoring import TokenStatistics
from pruning.tokenization import Vocabulary, open_vocabulary

DEFAULT_OBJECTIVE = "span_corruption"
DEFAULT_WINDOW = 512
# Tables have fewer unused rows than this (T5 28, mT5 12, umT5 84, ByT5 125).
MOST_PADDING_IDS = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoringModel:
    """Everything between a text and its per-token statistics."""

    name: str
    digest: str
    dtype: str
    vocabulary: Vocabulary
    vocabulary_name: str
    objective: Objective
    shape: RowShape
    batch_rows: int
    token_statistics: TokenStatistics
    attention: str = "xla"
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def prepare_with(self, how: Preparation) -> Preparation:
        asks = isinstance(self.objective, AskLLM)
        return dataclasses.replace(
            how,
            vocabulary=self.vocabulary,
            objective=self.objective,
            shape=self.shape,
            long_documents="truncate" if asks else how.long_documents,
        )

    def describe(self) -> dict[str, Any]:
        """For the manifest: whatever changes a number, as JSON."""
        return {
            "model": {"name": self.name, "digest": self.digest, "config": dict(self.config)},
            "vocabulary": {"name": self.vocabulary_name, "digest": self.vocabulary.digest},
            "objective": describe(self.objective),
            "row": dataclasses.asdict(self.shape),
            "batch_rows": self.batch_rows,
            "dtype": self.dtype,
            "attention": self.attention,
        }


def open_scoring_model(
    path: str | None,
    *,
    vocabulary: str | None,
    objective: str | None,
    question: Question | None = None,
    window: int | None,
    row_length: int | None,
    batch_rows: int | None,
    dtype: str,
    attention: str = "xla",
) -> ScoringModel:
    """Loads a model for scoring; what is not given comes from beside the checkpoint.

    With a `question` the model is asked about each document, else it predicts the
    document by the `objective`.

    Raises:
      ValueError: no model or vocabulary is given, the vocabulary has more ids than
        the model's table, or it is not the one that the model was trained with.
    """
    if path is None:
        raise ValueError(
            "This scorer needs a model. Give --model a folder of `prune train`, a t5x checkpoint or "
            "a Hugging Face folder or name, such as google/flan-t5-xl."
        )
    from models.checkpoints import load_model
    from models.configs import check_dtype, config_to_json
    from models.scoring_model import make_answer_log_prob_fn, make_token_nll_fn
    from pruning.jobs.compiled_programs import cache_compiled_programs
    from pruning.jobs.cpu_devices import split_cpu
    from pruning.jobs.reference_model import check_vocabulary, find_recipe
    from pruning.progress import progress

    check_dtype(dtype)
    _check_attention(attention, dtype)
    cache_compiled_programs()
    split_cpu()
    batch_rows = batch_rows or default_batch_rows()
    mesh = scoring_mesh(batch_rows, _model_bytes(path))
    loaded = load_model(
        path,
        dtype=dtype,  # type: ignore[arg-type]
        mesh=mesh,
        progress=lambda total: progress("load", total, "bytes"),
    )
    runs_as = dataclasses.replace(loaded.config, attention=attention)  # type: ignore[arg-type]
    recipe = find_recipe(path)
    vocabulary = vocabulary or recipe.get("vocabulary")
    if vocabulary is None:
        raise ValueError(
            f"{path} does not say which vocabulary it was trained with. Give --vocabulary its "
            "SentencePiece file (T5: spiece.model), or `bytes` for ByT5."
        )
    opened = open_vocabulary(vocabulary)
    check_vocabulary(opened, vocabulary, recipe, path)
    if not 0 <= loaded.config.vocab_size - opened.vocab_size < MOST_PADDING_IDS:
        raise ValueError(
            f"Vocabulary {vocabulary} has {opened.vocab_size} ids, but model {path} has a table of "
            f"{loaded.config.vocab_size}; tables are padded to a multiple of {MOST_PADDING_IDS}. They "
            "do not belong together: give another --vocabulary."
        )
    config = config_to_json(loaded.config)
    del config["dropout_rate"]  # changes no score, and a bare checkpoint does not tell it
    window = window or recipe.get("window", DEFAULT_WINDOW)
    goal: Objective
    if question is not None:
        goal = asked = make_ask_llm(question, opened, window)
        statistics = make_answer_log_prob_fn(
            runs_as, loaded.params, mesh, yes_ids=asked.yes_ids, no_ids=asked.no_ids
        )
    else:
        goal = make_objective(objective or _learnt_objective(recipe, path), opened, window)
        statistics = make_token_nll_fn(runs_as, loaded.params, mesh)
    return ScoringModel(
        name=loaded.name,
        digest=loaded.digest,
        dtype=dtype,
        attention=attention,
        vocabulary=opened,
        vocabulary_name=vocabulary,
        objective=goal,
        shape=row_shape(goal, row_length),
        batch_rows=batch_rows,
        token_statistics=statistics,
        config=config,
    )


def _check_attention(attention: str, dtype: str) -> None:
    if attention == "xla":
        return
    import jax

    backend = jax.default_backend()
    if (backend, dtype) != ("gpu", "bfloat16"):
        raise ValueError(
            f"--attention cudnn needs an NVIDIA GPU and --dtype bfloat16; this run has {backend} and "
            f"{dtype}. Leave it out."
        )


def _learnt_objective(recipe: Mapping[str, Any], path: str) -> str:
    if (name := recipe.get("objective", DEFAULT_OBJECTIVE)) == AskLLM.name:
        raise ValueError(
            f"Model {path} was trained to answer a question about documents, not to predict them. "
            "Score with ask_llm, or give --objective span_corruption to go on all the same."
        )
    return name


def row_shape(objective: Objective, row_length: int | None) -> RowShape:
    """A row of one window, or one whose longer side has `row_length` positions.

    The other side is in proportion, rounded up.

    Raises:
      ValueError: the row is shorter than a window.
    """
    encoder_length, decoder_length = objective.lengths
    longer = max(encoder_length, decoder_length)
    if row_length is None:
        return RowShape(encoder_length, decoder_length)
    if row_length < longer:
        raise ValueError(
            f"--row_length {row_length} is shorter than a window of {longer}. "
            "Use a longer row or a smaller --window."
        )
    return RowShape(
        -(-encoder_length * row_length // longer), -(-decoder_length * row_length // longer)
    )


def default_batch_rows() -> int:
    """Rows at a time: few where caches are small, many where a device must be kept busy."""
    import jax

    return 4 if jax.default_backend() == "cpu" else 64 * jax.local_device_count()


def scoring_mesh(batch_rows: int, model_bytes: int = 0) -> Mesh:
    """All devices, or on a CPU as many of its parts as divide a batch evenly.

    Each part has a copy of the model; one does where they would fill half of the memory.
    """
    import jax

    from models.partitioning import make_mesh

    devices = jax.local_devices()
    if jax.default_backend() == "cpu":
        devices = devices[: math.gcd(len(devices), batch_rows)]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if len(devices) * model_bytes > memory / 2:
            devices = devices[:1]
    return make_mesh(devices=devices)


def _model_bytes(path: str) -> int:
    from models.checkpoints import open_model

    arrays = open_model(path).params.values()
    return sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays)

"""Opens a model with its vocabulary and objective, ready for the scoring loop."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from pruning.objectives import Objective, make_objective
from pruning.packing import RowShape
from pruning.prepared_units import Preparation
from pruning.scoring import TokenStatistics
from pruning.tokenization import Vocabulary, open_vocabulary

DEFAULT_OBJECTIVE = "span_corruption"
DEFAULT_WINDOW = 512


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
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def prepare_with(self, how: Preparation) -> Preparation:
        return dataclasses.replace(
            how, vocabulary=self.vocabulary, objective=self.objective, shape=self.shape
        )

    def describe(self) -> dict[str, Any]:
        """For the manifest: whatever changes a number, as JSON."""
        return {
            "model": {"name": self.name, "digest": self.digest, "config": dict(self.config)},
            "vocabulary": {"name": self.vocabulary_name, "digest": self.vocabulary.digest},
            "objective": {"name": self.objective.name, **dataclasses.asdict(self.objective)},  # type: ignore[call-overload]
            "row": dataclasses.asdict(self.shape),
            "batch_rows": self.batch_rows,
            "dtype": self.dtype,
        }


def open_scoring_model(
    path: str | None,
    *,
    vocabulary: str | None,
    objective: str | None,
    window: int | None,
    row_length: int | None,
    batch_rows: int | None,
    dtype: Literal["float32", "bfloat16"],
) -> ScoringModel:
    """Loads a model for scoring; what is not given comes from beside the checkpoint.

    Raises:
      ValueError: no model or vocabulary is given, the vocabulary has more ids than
        the model's table, or it is not the one that the model was trained with.
    """
    if path is None:
        raise ValueError(
            "This scorer needs a model. Give --model a folder of `prune train` or a t5x checkpoint."
        )
    from models.checkpoints import load_model
    from models.configs import config_to_json
    from models.partitioning import make_mesh
    from models.scoring_model import make_token_nll_fn
    from pruning.jobs.compiled_programs import cache_compiled_programs
    from pruning.jobs.reference_model import check_vocabulary, find_recipe

    cache_compiled_programs()
    mesh = make_mesh()
    loaded = load_model(path, dtype=dtype, mesh=mesh)
    recipe = find_recipe(path)
    vocabulary = vocabulary or recipe.get("vocabulary")
    if vocabulary is None:
        raise ValueError(
            f"{path} does not say which vocabulary it was trained with. Give --vocabulary its "
            "SentencePiece file (T5: spiece.model), or `bytes` for ByT5."
        )
    opened = open_vocabulary(vocabulary)
    check_vocabulary(opened, vocabulary, recipe, path)
    if opened.vocab_size > loaded.config.vocab_size:
        raise ValueError(
            f"Vocabulary {vocabulary} has {opened.vocab_size} ids, but model {path} has a table of "
            f"{loaded.config.vocab_size}. They do not belong together: give another --vocabulary."
        )
    config = config_to_json(loaded.config)
    del config["dropout_rate"]  # changes no score, and a bare checkpoint does not tell it
    goal = make_objective(
        objective or recipe.get("objective", DEFAULT_OBJECTIVE),
        opened,
        window or recipe.get("window", DEFAULT_WINDOW),
    )
    return ScoringModel(
        name=loaded.name,
        digest=loaded.digest,
        dtype=dtype,
        vocabulary=opened,
        vocabulary_name=vocabulary,
        objective=goal,
        shape=row_shape(goal, row_length),
        batch_rows=batch_rows or default_batch_rows(),
        token_statistics=make_token_nll_fn(loaded.config, loaded.params, mesh),
        config=config,
    )


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

    return jax.local_device_count() * (4 if jax.default_backend() == "cpu" else 64)

"""Opens a model with its vocabulary and objective, ready for the scoring loop."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jax.sharding import Mesh

from pruning.jobs.forward_passes import forward_pass_of, make_model_fn, make_objective_of
from pruning.jobs.scoring_mesh import (
    default_batch_rows,
    default_model_devices,
    devices_of,
    scoring_mesh,
)
from pruning.lockstep import Lockstep
from pruning.objectives import LongDocuments, Objective, describe
from pruning.packing import RowShape
from pruning.prepared_units import Preparation
from pruning.prompts import Question
from pruning.run_costs import Devices, this_cpu
from pruning.scorers import Scorer
from pruning.scoring import TokenStatistics
from pruning.tokenization import Vocabulary, open_vocabulary

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
    lockstep: Lockstep = dataclasses.field(default_factory=Lockstep)
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    devices: Devices = dataclasses.field(default_factory=this_cpu)

    def prepare_with(self, how: Preparation) -> Preparation:
        return dataclasses.replace(
            how, vocabulary=self.vocabulary, objective=self.objective, shape=self.shape
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


def embedding_size(paths: Sequence[str]) -> int:
    """Numbers of the vectors that a model gives, read from its shapes alone."""
    _check_given(paths)
    config = _open(paths[0]).config
    return getattr(config, "embedding_dim", None) or config.d_model


def open_scoring_model(
    paths: Sequence[str],
    scorers: Sequence[Scorer],
    *,
    vocabulary: str | None,
    objective: str | None,
    question: Question | None = None,
    window: int | None,
    long_documents: LongDocuments = "windows",
    row_length: int | None,
    batch_rows: int | None,
    dtype: str,
    attention: str = "xla",
    model_devices: int | None = None,
) -> ScoringModel:
    """Loads models for scoring; what is not given comes from beside the first checkpoint.

    All that can be refused is, before a parameter is read. Several models run together, and
    each statistic is their mean.

    Args:
      paths: of models of one shape and one vocabulary.
      scorers: that share a forward pass; what they need decides what the model is given.
      vocabulary, objective, window, long_documents, row_length, batch_rows, dtype, attention,
        model_devices: as `prune score` has them.
      question: of ask_llm.

    Raises:
      ValueError: no model or vocabulary is given, the vocabulary has more ids than
        the model's table, or it is not the one that the model was trained with; or the
        models differ in shape.
    """
    from models.configs import check_dtype, config_to_json
    from pruning.jobs.compiled_programs import cache_compiled_programs
    from pruning.jobs.cpu_devices import split_cpu
    from pruning.jobs.reference_model import find_recipe

    _check_given(paths)
    check_dtype(dtype)
    stored = [_open(path) for path in paths]
    if len(paths) > 1 and forward_pass_of(scorers) != "predict":
        raise ValueError(
            f"{len(paths)} models are given; only perplexity and el2n average several. Score with "
            "each into a store of its own."
        )
    _check_equal_shapes(paths, [model.config for model in stored])
    recipe = find_recipe(paths[0])
    opened, vocabulary = model_vocabulary(paths, vocabulary, stored[0].config.vocab_size)
    goal = make_objective_of(
        scorers,
        recipe,
        paths[0],
        config=stored[0].config,
        vocabulary=opened,
        objective=objective,
        question=question,
        window=window or recipe.get("window", DEFAULT_WINDOW),
        long_documents=long_documents,
    )
    shape = row_shape(goal, row_length)
    split_cpu()
    _check_attention(attention, dtype)
    num_bytes = sum(_num_bytes(model, dtype) for model in stored)
    model_devices = model_devices or default_model_devices(num_bytes)
    batch_rows = batch_rows or default_batch_rows(model_devices)
    mesh = scoring_mesh(batch_rows, num_bytes, model_devices)
    _check_spans(mesh, paths)
    cache_compiled_programs()
    encoder_only = forward_pass_of(scorers) == "embed"
    loaded = [_load(path, dtype, mesh, encoder_only=encoder_only) for path in paths]
    config = config_to_json(loaded[0].config)
    config.pop("dropout_rate", None)  # changes no score, and a bare checkpoint does not tell it
    runs_as = dataclasses.replace(loaded[0].config, attention=attention)
    statistics = make_model_fn(scorers, goal, runs_as, [model.params for model in loaded], mesh)
    return ScoringModel(
        name=" + ".join(model.name for model in loaded),
        digest="+".join(model.digest for model in loaded),
        dtype=dtype,
        attention=attention,
        vocabulary=opened,
        vocabulary_name=vocabulary,
        objective=goal,
        shape=shape,
        batch_rows=batch_rows,
        lockstep=Lockstep(mesh=mesh if mesh.is_multi_process else None),
        token_statistics=statistics,
        config=config,
        devices=devices_of(statistics, shape, batch_rows),
    )


def model_vocabulary(
    paths: Sequence[str], vocabulary: str | None, table_size: int
) -> tuple[Vocabulary, str]:
    """The vocabulary that is given, or that lies beside the first model; and its path.

    Raises:
      ValueError: there is none, it does not fit the model's table, or a model was trained with
        another.
    """
    from pruning.jobs.reference_model import check_vocabulary, find_recipe

    recipes = [find_recipe(path) for path in paths]
    vocabulary = vocabulary or recipes[0].get("vocabulary")
    if vocabulary is None:
        raise ValueError(
            f"{paths[0]} does not say which vocabulary it was trained with. Give --vocabulary its "
            "SentencePiece file (T5: spiece.model), or `bytes` for ByT5."
        )
    opened = open_vocabulary(vocabulary)
    for path, recipe in zip(paths, recipes, strict=True):
        check_vocabulary(opened, vocabulary, recipe, path)
    if not 0 <= table_size - opened.vocab_size < MOST_PADDING_IDS:
        raise ValueError(
            f"Vocabulary {vocabulary} has {opened.vocab_size} ids, but model {paths[0]} has a table of "
            f"{table_size}; tables are padded to a multiple of {MOST_PADDING_IDS}. They "
            "do not belong together: give another --vocabulary."
        )
    return opened, vocabulary


def _check_given(paths: Sequence[str]) -> None:
    if not paths:
        raise ValueError(
            "This scorer needs a model. Give --model a folder of `prune train`, a t5x checkpoint or "
            "a Hugging Face folder or name, such as google/flan-t5-xl."
        )


def _open(path: str) -> Any:
    from models.checkpoints import open_model

    return open_model(path)


def _load(path: str, dtype: str, mesh: Mesh, *, encoder_only: bool) -> Any:
    from models.checkpoints import load_model
    from pruning.progress import progress

    return load_model(
        path,
        dtype=dtype,  # type: ignore[arg-type]
        mesh=mesh,
        encoder_only=encoder_only,
        progress=lambda total: progress("load", total, "bytes"),
    )


def _check_equal_shapes(paths: Sequence[str], configs: Sequence[Any]) -> None:
    for path, config in zip(paths, configs, strict=True):
        if config != configs[0]:
            raise ValueError(
                f"Several --model run together and are averaged, so they have one shape; {paths[0]} has "
                f"{configs[0]}, and {path} has {config}. Score them one by one into stores, and "
                "combine these with `prune select --score`."
            )


def _check_spans(mesh: Mesh, paths: Sequence[str]) -> None:
    if len(paths) > 1 and mesh.is_multi_process:
        raise ValueError(
            f"{len(paths)} models run together on the devices of one process only, and these would take "
            f"--model_devices {mesh.shape['model']} of several. Score with each into a store of its own, "
            "and combine them with `prune select --score`."
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


def row_shape(objective: Objective, row_length: int | None) -> RowShape:
    """A row of one window, or one whose longer side has `row_length` positions.

    The other side is in proportion, rounded up. What is not packed has the row of one example.

    Raises:
      ValueError: the row is shorter than a window.
    """
    encoder_length, decoder_length = objective.lengths
    longer = max(encoder_length, decoder_length)
    if row_length is None or not objective.is_packed:
        return RowShape(encoder_length, decoder_length)
    if row_length < longer:
        raise ValueError(
            f"--row_length {row_length} is shorter than a window of {longer}. "
            "Use a longer row or a smaller --window."
        )
    return RowShape(
        -(-encoder_length * row_length // longer), -(-decoder_length * row_length // longer)
    )


def _num_bytes(model: Any, dtype: str) -> int:
    import jax.numpy as jnp

    return sum(math.prod(a.shape) for a in model.params.values()) * jnp.dtype(dtype).itemsize

"""What `prune train` starts from: a size with random parameters, or a model that is there."""

import dataclasses
from typing import Any

from models.configs import Config
from pruning.tokenization import Vocabulary

DEFAULT_SIZE = "tiny"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """A config, and parameters or none.

    Attributes:
      config: of the model; its vocabulary is not known yet where parameters are random.
      vocabulary: as `--vocabulary` names it; None to train one.
      params: float32; None for random ones.
      name: for people.
      digest: of the initial model's parameters, also where a run goes on and has no use for
        them; None for random ones.
    """

    config: Config
    vocabulary: str | None
    name: str
    params: Any = None
    digest: str | None = None

    def config_with(self, vocabulary: Vocabulary) -> Config:
        """The config of the model that is trained."""
        from pruning.jobs.reference_model import model_config

        return self.config if self.digest else model_config(self.config, vocabulary)

    def describe(self) -> dict[str, Any]:
        """For the recipe, which a run with random parameters does without."""
        return {"initial_checkpoint": self.digest} if self.digest else {}


def starting_point(
    size: str | None,
    initial_checkpoint: str | None,
    vocabulary: str | None,
    *,
    output: str,
    dtype: str,
    dropout_rate: float,
) -> StartingPoint:
    """Loads the initial model, or looks up the size.

    Args:
      size, initial_checkpoint, vocabulary, dtype, dropout_rate: as `prune train` has them.
      output: a run that goes on there does not need the initial parameters.

    Raises:
      FileNotFoundError: there is no such model.
      ValueError: size and model are both given, or the model's vocabulary is not known
        or is another one.
    """
    from models.configs import named_config

    changes: dict[str, Any] = {"dtype": dtype, "dropout_rate": dropout_rate}
    if initial_checkpoint is None:
        size = size or DEFAULT_SIZE
        config = dataclasses.replace(named_config(size), **changes)
        return StartingPoint(config=config, vocabulary=vocabulary, name=size)
    if size is not None:
        raise ValueError(
            f"--initial_checkpoint {initial_checkpoint} has a size of its own: leave out --size {size}."
        )
    from models.checkpoints import load_model, open_model, params_digest, t5x_orbax
    from models.partitioning import make_mesh
    from pruning.jobs.scoring_model import model_vocabulary

    stored = open_model(initial_checkpoint)
    _, vocabulary = model_vocabulary([initial_checkpoint], vocabulary, stored.config.vocab_size)
    params = None
    if t5x_orbax.find(output) is not None:
        digest = params_digest(stored.params)
    else:
        loaded = load_model(initial_checkpoint, mesh=make_mesh())
        params, digest = loaded.params, loaded.digest
    return StartingPoint(
        config=dataclasses.replace(stored.config, **changes),
        vocabulary=vocabulary,
        name=stored.name,
        params=params,
        digest=digest,
    )

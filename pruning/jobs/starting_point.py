"""What `prune train` starts from: a size with random parameters, or a model that is there."""

import dataclasses
from typing import Any

from models.configs import T5Config
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
      digest: of `params`.
    """

    config: T5Config
    vocabulary: str | None
    name: str
    params: Any = None
    digest: str | None = None

    def config_with(self, vocabulary: Vocabulary) -> T5Config:
        """The config of the model that is trained.

        Raises:
          ValueError: the vocabulary has more ids than the model's table.
        """
        from pruning.jobs.reference_model import model_config

        if self.params is None:
            return model_config(self.config, vocabulary)
        if vocabulary.vocab_size > self.config.vocab_size:
            raise ValueError(
                f"The vocabulary has {vocabulary.vocab_size} ids, but --initial_checkpoint "
                f"{self.name} has a table of {self.config.vocab_size}. Leave --vocabulary out, or "
                "give the one that this model was trained with."
            )
        return self.config

    def describe(self) -> dict[str, Any]:
        """For the recipe, which a run with random parameters does without."""
        return {} if self.params is None else {"initial_checkpoint": self.digest}


def starting_point(
    size: str | None,
    initial_checkpoint: str | None,
    vocabulary: str | None,
    *,
    dtype: str,
    dropout_rate: float,
) -> StartingPoint:
    """Loads the initial model, or looks up the size.

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
    from models.checkpoints import load_model
    from pruning.jobs.reference_model import check_vocabulary, find_recipe
    from pruning.tokenization import open_vocabulary

    loaded = load_model(initial_checkpoint)
    recipe = find_recipe(initial_checkpoint)
    vocabulary = vocabulary or recipe.get("vocabulary")
    if vocabulary is None:
        raise ValueError(
            f"{initial_checkpoint} does not say which vocabulary it was trained with. Give "
            "--vocabulary its SentencePiece file (T5: spiece.model), or `bytes` for ByT5."
        )
    check_vocabulary(open_vocabulary(vocabulary), vocabulary, recipe, initial_checkpoint)
    return StartingPoint(
        config=dataclasses.replace(loaded.config, **changes),
        vocabulary=vocabulary,
        name=loaded.name,
        params=loaded.params,
        digest=loaded.digest,
    )

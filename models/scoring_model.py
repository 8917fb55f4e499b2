"""A model as the scoring loop sees it: from a packed batch to statistics of decoder positions."""

from collections.abc import Sequence

from jax.sharding import Mesh

from models.batch_fn import BatchFn, Params, make_batch_fn
from models.configs import Config, DecoderOnlyConfig
from models.families import family_of, head_kernel, hidden_states
from models.token_losses import summed_log_prob, token_nll, token_nll_and_el2n

# What `make_token_statistics_fn` can give.
TOKEN_STATISTICS = ("nll", "el2n")


def make_token_statistics_fn(
    config: Config,
    params: Params,
    mesh: Mesh | None = None,
    names: Sequence[str] = ("nll",),
) -> BatchFn:
    """Makes the function that says how well each target token was predicted.

    Args:
        config: The model's shape and activation dtype.
        params: Its parameters. A sequence of several models' makes an ensemble, as "When Less is
            More" scores with ten reference models: they run together, and each statistic is the
            mean of theirs.
        mesh: Splits rows over `data` and parameters over `model`; None uses one device.
        names: Of `TOKEN_STATISTICS`: `nll` in nats, `el2n` in [0, sqrt(2)].

    Returns:
        A `BatchFn` that gives those. It compiles once a shape, and raises ValueError if the
        mesh's data axis does not divide B.

    Raises:
        ValueError: A name is not known, or one of several models does not fit the config.
    """
    if not names or set(names) - set(TOKEN_STATISTICS):
        raise ValueError(
            f"Token statistics {', '.join(names) or 'of no name'} were asked for; known are: "
            f"{', '.join(TOKEN_STATISTICS)}."
        )

    def statistics(params, batch):
        hidden_BTD = hidden_states(config, params, batch)
        arguments = hidden_BTD, head_kernel(params, config), batch["decoder_target_tokens"]
        if "el2n" not in names:
            return {"nll": token_nll(*arguments)}
        nll_BT, el2n_BT = token_nll_and_el2n(*arguments)
        return {"nll": nll_BT, "el2n": el2n_BT} if "nll" in names else {"el2n": el2n_BT}

    inputs = (*family_of(config).inputs, "decoder_target_tokens")
    return make_batch_fn(config, params, mesh, inputs=inputs, statistics=statistics)


def make_answer_log_prob_fn(
    config: Config,
    params: Params,
    mesh: Mesh | None = None,
    *,
    yes_ids: Sequence[int],
    no_ids: Sequence[int],
) -> BatchFn:
    """Makes the function that gives the probabilities of two answers at each decoder position.

    Args:
        config, params, mesh: As for `make_token_statistics_fn`. The model is a T5: its encoder
            reads the question.
        yes_ids: Token ids whose probabilities add up to that of "yes", under the softmax over
            the whole vocabulary.
        no_ids: Likewise for "no".

    Returns:
        A `BatchFn` that gives `log_p_yes` and `log_p_no`.

    Raises:
        ValueError: The model has no encoder.
    """
    if isinstance(config, DecoderOnlyConfig):
        raise ValueError(
            "This model is decoder-only, and questions are asked of an encoder-decoder, such as "
            "google/flan-t5-xl. Give another model."
        )

    def statistics(params, batch):
        hidden_BTD = hidden_states(config, params, batch)
        log_p_yes, log_p_no = summed_log_prob(
            hidden_BTD, head_kernel(params, config), (tuple(yes_ids), tuple(no_ids))
        )
        return {"log_p_yes": log_p_yes, "log_p_no": log_p_no}

    inputs = family_of(config).inputs
    return make_batch_fn(config, params, mesh, inputs=inputs, statistics=statistics)

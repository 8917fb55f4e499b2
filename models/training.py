"""Trains reference models: T5 from scratch, resumable to the bit, in t5x's checkpoint layout."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from models import training_folder
from models.batch_fn import put_batch
from models.checkpoints import check_params, t5x_orbax
from models.configs import Config
from models.families import family_of, head_kernel, hidden_states, init_params
from models.moment_optimizers import AdamW, Lion, WarmupCosine
from models.optimizer import T5_LEARNING_RATE, Adafactor, LearningRate
from models.partitioning import param_shardings
from models.token_losses import token_nll_and_logsumexp
from models.training_progress import OnStep, Progress, reporters

_ADAFACTOR = Adafactor()


class Batches(Protocol):
    """An endless stream of batches that knows where it stands.

    A batch is a dict of int32 arrays: `encoder_input_tokens` and `encoder_segment_ids` [B, S];
    `decoder_input_tokens`, `decoder_target_tokens`, `decoder_segment_ids` and
    `decoder_loss_weights` [B, T], always of the same shapes.
    """

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def state(self) -> dict[str, Any]:
        """Returns, as JSON values, all it takes to go on after the last batch given."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Makes the next batch the one that followed when `state` was taken."""
        ...


Optimizer = Adafactor | AdamW | Lion
Schedule = LearningRate | WarmupCosine


class _TrainState(NamedTuple):
    params: Any
    optimizer: Any  # Has `count`, and trees like the parameters.


def train(
    config: Config,
    batches: Batches,
    *,
    output: epath.PathLike,
    num_steps: int,
    recipe: Mapping[str, Any] | None = None,
    initial_params: Mapping[str, Any] | None = None,
    optimizer: Optimizer = _ADAFACTOR,
    learning_rate: Schedule = T5_LEARNING_RATE,
    z_loss: float = 1e-4,
    seed: int = 0,
    checkpoint_period: int = 1000,
    keep: int | None = 1,
    mesh: Mesh | None = None,
    on_step: OnStep | None = None,
) -> epath.Path:
    """Trains a model from scratch or from given parameters, or goes on where `output` stopped.

    Loss, z-loss and optimizer, and a T5's initialisation and dropout, are those of t5x's T5 1.1
    pretraining; `models.optimizer` says where they differ. `models.moment_optimizers` has the
    recipes of the papers' decoder-only models. A run that was stopped and goes on ends with the
    same bits as one that was not, on the same devices.

    Args:
        config: The model; its dtype is that of activations, parameters are float32.
        batches: See `Batches`.
        output: Gets `config.json`, `training.json`, `checkpoint_STEP` folders and TensorBoard
            events in `train`.
        num_steps: Of the whole run, those before a resume included. May be raised later.
        recipe: What the caller wants on record and guarded: source, tokenizer, batch size.
        initial_params: To start from, in float32; None draws them. A run that goes on does not
            look at them: say in the recipe which they are. Their buffers are given up.
        optimizer: Adafactor, AdamW or Lion.
        learning_rate: By step.
        z_loss: Factor of the squared logsumexp, per target token.
        seed: Of initialisation and dropout.
        checkpoint_period: Steps between checkpoints; the last step always has one.
        keep: Checkpoints to keep, the latest; None keeps all.
        mesh: Splits rows over `data` and parameters over `model`; None uses one device.
        on_step: Called about once a second, and after the last step, with the number of steps
            done and `loss` (nats per target token, without z-loss), `z_loss`, `grad_norm`,
            `learning_rate` and `tokens_per_second` (encoder and decoder, without padding).

    Returns:
        The last checkpoint's folder.

    Raises:
        ValueError: `output` holds a run with other settings (all are named with both values),
            or one that is past `num_steps`; or `num_steps` or `checkpoint_period` is below 1.
        FloatingPointError: The loss of a step is not finite. No checkpoint holds that step.
        RuntimeError: The batches ended before the last step.
    """
    if num_steps < 1 or checkpoint_period < 1:
        raise ValueError(
            f"num_steps is {num_steps} and checkpoint_period is {checkpoint_period}; both must be "
            "at least 1."
        )
    output = epath.Path(output)
    settings = {
        "learning_rate": dataclasses.asdict(learning_rate),
        "z_loss": z_loss,
        "seed": seed,
        "dtype": config.dtype,
    }
    if optimizer != _ADAFACTOR:  # folders from before there was a choice do not say it
        settings["optimizer"] = {"name": type(optimizer).__name__, **dataclasses.asdict(optimizer)}
    training_folder.prepare(output, config, settings, dict(recipe or {}))
    step, state = _restore_or_init(
        config,
        batches,
        output=output,
        optimizer=optimizer,
        seed=seed,
        mesh=mesh,
        initial_params=initial_params,
    )
    if step > num_steps:
        raise ValueError(
            f"{output} already holds a checkpoint at step {step}, past num_steps={num_steps}. "
            "Use it as it is, ask for more steps, or give another output."
        )
    train_step = functools.partial(
        _train_step, config=config, optimizer=optimizer, learning_rate=learning_rate, z_loss=z_loss
    )
    key = jax.random.key(seed)
    # Here and not above, since it imports PyTorch where that is installed.
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(output / "train"), purge_step=step) as writer:
        progress = Progress(reporters(writer, on_step), num_steps)
        while step < num_steps:
            batch = _next_batch(batches, step, num_steps)
            state, metrics = train_step(state, put_batch(batch, mesh), key)
            step += 1
            progress.add(step, metrics, _num_tokens(batch, config))
            if step % checkpoint_period == 0 or step == num_steps:
                progress.finish()
                t5x_orbax.write(
                    output,
                    step,
                    state.params,
                    optimizer.to_param_states(state.optimizer),
                    batches.state(),
                    keep=keep,
                )
    return output / f"checkpoint_{step}"


def _restore_or_init(
    config: Config,
    batches: Batches,
    *,
    output: epath.Path,
    optimizer: Optimizer,
    seed: int,
    mesh: Mesh | None,
    initial_params: Mapping[str, Any] | None,
) -> tuple[int, _TrainState]:
    params: Any
    if t5x_orbax.find(output) is None:
        if initial_params is None:
            params = jax.jit(init_params, static_argnums=0)(config, jax.random.key(seed))
        else:
            check_params(initial_params, config, source="initial_params")
            params = initial_params
        step = 0
        optimizer_state = optimizer.init(params)
    else:
        step, params, param_states, data_state = t5x_orbax.read(output)
        check_params(params, config, source=str(output))
        optimizer_state = optimizer.from_param_states(step, param_states)
        batches.restore(data_state)
    state = _TrainState(params, optimizer_state)
    return step, jax.device_put(
        state, None if mesh is None else _state_shardings(config, state, mesh)
    )


def _state_shardings(config: Config, state: _TrainState, mesh: Mesh) -> _TrainState:
    # A moment with its parameter's shape has its sharding; factored ones are small.
    replicated = NamedSharding(mesh, PartitionSpec())
    params = param_shardings(config, state.params, mesh)

    def sharding(moment: Any, param: Any, of_param: NamedSharding) -> NamedSharding:
        return of_param if moment.shape == param.shape else replicated

    moments = {
        name: jax.tree.map(sharding, tree, state.params, params)
        for name, tree in state.optimizer._asdict().items()
        if name != "count"
    }
    return _TrainState(params, state.optimizer._replace(count=replicated, **moments))


@functools.partial(
    jax.jit,
    static_argnames=("config", "optimizer", "learning_rate", "z_loss"),
    donate_argnames="state",
)
def _train_step(
    state: _TrainState,
    batch: dict[str, jax.Array],
    key: jax.Array,
    *,
    config: Config,
    optimizer: Optimizer,
    learning_rate: Schedule,
    z_loss: float,
) -> tuple[_TrainState, dict[str, jax.Array]]:
    step = state.optimizer.count

    def loss_fn(params):
        hidden_BTD = hidden_states(
            config,
            params,
            batch,
            deterministic=config.dropout_rate == 0.0,
            rngs={"dropout": jax.random.fold_in(key, step)},
        )
        nll_BT, logsumexp_BT = token_nll_and_logsumexp(
            hidden_BTD, head_kernel(params, config), batch["decoder_target_tokens"]
        )
        weights_BT = batch["decoder_loss_weights"].astype(jnp.float32)
        mean_BT = weights_BT / jnp.maximum(weights_BT.sum(), 1.0)
        nll, z = (nll_BT * mean_BT).sum(), z_loss * (jnp.square(logsumexp_BT) * mean_BT).sum()
        return nll + z, {"loss": nll, "z_loss": z}

    gradients, metrics = jax.grad(loss_fn, has_aux=True)(state.params)
    metrics["grad_norm"] = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradients)))
    metrics["learning_rate"] = learning_rate(step)
    return _TrainState(
        *optimizer.step(state.params, gradients, state.optimizer, learning_rate)
    ), metrics


def _next_batch(batches: Batches, step: int, num_steps: int) -> Mapping[str, np.ndarray]:
    try:
        return next(batches)
    except StopIteration:
        raise RuntimeError(
            f"The batches ended after step {step} of {num_steps}. Give batches that repeat, or "
            f"ask for {step} steps."
        ) from None


def _num_tokens(batch: Mapping[str, np.ndarray], config: Config) -> int:
    return sum(
        int(np.count_nonzero(batch[name]))
        for name in family_of(config).inputs
        if name.endswith("segment_ids")
    )

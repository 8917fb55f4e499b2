"""Trains reference models: T5 from scratch, resumable to the bit, in t5x's checkpoint layout."""

import collections
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from models import training_folder
from models.checkpoints import check_params, t5x_orbax
from models.checkpoints.optimizer_state import from_param_states, to_param_states
from models.configs import T5Config
from models.optimizer import T5_LEARNING_RATE, LearningRate, adafactor_step, init_adafactor
from models.partitioning import param_shardings
from models.scoring_model import put_batch
from models.t5 import T5, head_kernel, init_params
from models.token_losses import token_nll_and_logsumexp

# Steps the host may run ahead of the device.
_MAX_IN_FLIGHT = 4
_SECONDS_BETWEEN_REPORTS = 1.0


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


OnStep = Callable[[int, dict[str, float]], None]


class _TrainState(NamedTuple):
    params: Any
    optimizer: optax.FactoredState


def train(
    config: T5Config,
    batches: Batches,
    *,
    output: epath.PathLike,
    num_steps: int,
    recipe: Mapping[str, Any] | None = None,
    initial_params: Mapping[str, Any] | None = None,
    learning_rate: LearningRate = T5_LEARNING_RATE,
    z_loss: float = 1e-4,
    seed: int = 0,
    checkpoint_period: int = 1000,
    keep: int | None = 1,
    mesh: Mesh | None = None,
    on_step: OnStep | None = None,
) -> epath.Path:
    """Trains a T5 from scratch or from given parameters, or goes on where `output` stopped.

    Loss, z-loss, initialisation, dropout and optimizer are those of t5x's T5 1.1 pretraining;
    `models.optimizer` says where they differ. A run that was stopped and goes on ends with the
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
    training_folder.prepare(output, config, settings, dict(recipe or {}))
    step, state = _restore_or_init(
        config, batches, output=output, seed=seed, mesh=mesh, initial_params=initial_params
    )
    if step > num_steps:
        raise ValueError(
            f"{output} already holds a checkpoint at step {step}, past num_steps={num_steps}. "
            "Use it as it is, ask for more steps, or give another output."
        )
    train_step = functools.partial(
        _train_step, config=config, learning_rate=learning_rate, z_loss=z_loss
    )
    key = jax.random.key(seed)
    # Here and not above, since it imports PyTorch where that is installed.
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(output / "train"), purge_step=step) as writer:
        progress = _Progress(_reporters(writer, on_step), num_steps)
        while step < num_steps:
            batch = _next_batch(batches, step, num_steps)
            state, metrics = train_step(state, put_batch(batch, mesh), key)
            step += 1
            progress.add(step, metrics, _num_tokens(batch))
            if step % checkpoint_period == 0 or step == num_steps:
                progress.finish()
                t5x_orbax.write(
                    output,
                    step,
                    state.params,
                    to_param_states(state.optimizer),
                    batches.state(),
                    keep=keep,
                )
    return output / f"checkpoint_{step}"


def _restore_or_init(
    config: T5Config,
    batches: Batches,
    *,
    output: epath.Path,
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
        optimizer = init_adafactor(params)
    else:
        step, params, param_states, data_state = t5x_orbax.read(output)
        check_params(params, config, source=str(output))
        optimizer = from_param_states(step, param_states)
        batches.restore(data_state)
    state = _TrainState(params, optimizer)
    return step, jax.device_put(state, None if mesh is None else _state_shardings(state, mesh))


def _state_shardings(state: _TrainState, mesh: Mesh) -> _TrainState:
    # Factored moments are small; an unfactored one has its parameter's shape and sharding.
    replicated = NamedSharding(mesh, PartitionSpec())
    params = param_shardings(state.params, mesh)
    moments = jax.tree.map(
        lambda v, param, sharding: sharding if v.shape == param.shape else replicated,
        state.optimizer.v,
        state.params,
        params,
    )
    optimizer = jax.tree.map(lambda _: replicated, state.optimizer)._replace(v=moments)
    return _TrainState(params, optimizer)


@functools.partial(
    jax.jit, static_argnames=("config", "learning_rate", "z_loss"), donate_argnames="state"
)
def _train_step(
    state: _TrainState,
    batch: dict[str, jax.Array],
    key: jax.Array,
    *,
    config: T5Config,
    learning_rate: LearningRate,
    z_loss: float,
) -> tuple[_TrainState, dict[str, jax.Array]]:
    step = state.optimizer.count

    def loss_fn(params):
        hidden_BTD: Any = T5(config).apply(
            {"params": params},
            batch["encoder_input_tokens"],
            batch["encoder_segment_ids"],
            batch["decoder_input_tokens"],
            batch["decoder_segment_ids"],
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
        *adafactor_step(state.params, gradients, state.optimizer, learning_rate)
    ), metrics


class _Progress:
    """Reads the metrics of steps that the device has finished, and reports now and then."""

    def __init__(self, report: OnStep, num_steps: int):
        self._report, self._num_steps = report, num_steps
        self._in_flight: collections.deque = collections.deque()
        self._last_report, self._tokens = time.monotonic(), 0

    def add(self, step: int, metrics: dict[str, jax.Array], num_tokens: int) -> None:
        self._in_flight.append((step, metrics, num_tokens))
        while self._in_flight and (
            len(self._in_flight) > _MAX_IN_FLIGHT or self._in_flight[0][1]["loss"].is_ready()
        ):
            self._read_oldest()

    def finish(self) -> None:
        while self._in_flight:
            self._read_oldest()

    def _read_oldest(self) -> None:
        step, metrics, num_tokens = self._in_flight.popleft()
        # The gradient's norm is finite only if every gradient is; both are checked.
        loss, grad_norm = float(metrics["loss"]), float(metrics["grad_norm"])
        if not np.isfinite(loss + grad_norm):
            raise FloatingPointError(
                f"Step {step} has loss {loss} and gradient norm {grad_norm}; both should be "
                "finite. The last checkpoint is from before. Lower the learning rate, or look at "
                "the batch of that step."
            )
        self._tokens += num_tokens
        seconds = time.monotonic() - self._last_report
        if seconds >= _SECONDS_BETWEEN_REPORTS or step == self._num_steps:
            values = {name: float(value) for name, value in metrics.items()}
            self._report(step, values | {"tokens_per_second": self._tokens / max(seconds, 1e-9)})
            self._last_report, self._tokens = time.monotonic(), 0


def _reporters(writer: Any, on_step: OnStep | None) -> OnStep:
    def report(step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        if on_step is not None:
            on_step(step, metrics)

    return report


def _next_batch(batches: Batches, step: int, num_steps: int) -> Mapping[str, np.ndarray]:
    try:
        return next(batches)
    except StopIteration:
        raise RuntimeError(
            f"The batches ended after step {step} of {num_steps}. Give batches that repeat, or "
            f"ask for {step} steps."
        ) from None


def _num_tokens(batch: Mapping[str, np.ndarray]) -> int:
    return sum(
        int(np.count_nonzero(batch[f"{side}_segment_ids"])) for side in ("encoder", "decoder")
    )

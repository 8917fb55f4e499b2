"""What a training run tells while it runs, without making the device wait."""

import collections
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

# Steps the host may run ahead of the device.
_MAX_IN_FLIGHT = 4
_SECONDS_BETWEEN_REPORTS = 1.0

# Of the number of steps done, and metrics by name.
OnStep = Callable[[int, dict[str, float]], None]


class Progress:
    """Reads the metrics of steps that the device has finished, and reports now and then."""

    def __init__(self, report: OnStep, num_steps: int):
        self._report, self._num_steps = report, num_steps
        self._in_flight: collections.deque = collections.deque()
        self._last_report, self._tokens = time.monotonic(), 0

    def add(self, step: int, metrics: dict[str, jax.Array], num_tokens: int) -> None:
        """Takes a step that the device may still be at; waits if there are too many of those."""
        self._in_flight.append((step, metrics, num_tokens))
        while self._in_flight and (
            len(self._in_flight) > _MAX_IN_FLIGHT or self._in_flight[0][1]["loss"].is_ready()
        ):
            self._read_oldest()

    def finish(self) -> None:
        """Waits for all steps."""
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


def reporters(writer: Any, on_step: OnStep | None) -> OnStep:
    """Returns what writes metrics for TensorBoard and passes them on."""

    def report(step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        if on_step is not None:
            on_step(step, metrics)

    return report

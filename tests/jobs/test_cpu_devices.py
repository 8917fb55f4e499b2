"""A CPU in several parts, and batches that the parts share."""

import os
import subprocess
import sys

import jax
import pytest

from pruning.jobs.scoring_model import scoring_mesh


@pytest.mark.parametrize(
    ("cpus", "chosen", "devices"),
    [(1, {}, 1), (3, {}, 2), (64, {}, 4), (4, {"JAX_NUM_CPU_DEVICES": "3"}, 3)],
)
def test_devices_follow_the_cores_unless_chosen(cpus, chosen, devices):
    code = (
        "import jax, pruning.tokenization as tokenization\n"
        f"tokenization.available_cpus = lambda: {cpus}\n"
        "from pruning.jobs.cpu_devices import split_cpu\n"
        "split_cpu(); print(jax.local_device_count()); split_cpu()"
    )
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    env |= {"JAX_PLATFORMS": "cpu", **chosen}
    process = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.split() == [str(devices)]


def test_a_mesh_has_as_many_parts_as_divide_a_batch(monkeypatch):
    device = jax.local_devices()[0]
    monkeypatch.setattr(jax, "local_devices", lambda: [device] * 4)
    assert [scoring_mesh(rows).shape["data"] for rows in (4, 8, 6, 3)] == [4, 4, 2, 1]
    assert scoring_mesh(4, model_bytes=1 << 50).shape["data"] == 1

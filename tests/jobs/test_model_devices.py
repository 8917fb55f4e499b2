"""`--model_devices`: how many devices share a copy of a model."""

import types

import jax
import numpy as np
import pytest

from pruning.jobs import scoring_model
from pruning.jobs.scoring_mesh import default_batch_rows, default_model_devices, scoring_mesh


@pytest.fixture
def accelerators(monkeypatch):
    """Eight devices of 16 GiB, which are there by name only."""

    def memory_stats():
        return {"bytes_limit": 16 * 2**30}

    devices = [types.SimpleNamespace(id=i, memory_stats=memory_stats) for i in range(8)]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(
        "models.partitioning.Mesh",
        lambda devices, axes: types.SimpleNamespace(
            shape=dict(zip(axes, np.shape(devices), strict=True))
        ),
    )


@pytest.mark.parametrize(
    ("gib", "expected"), [(0.2, 1), (12, 1), (12.1, 2), (22.3, 2), (44.6, 4), (95, 8), (900, 8)]
)
def test_a_copy_takes_no_more_devices_than_its_memory_needs(accelerators, gib, expected):
    assert default_model_devices(int(gib * 2**30)) == expected


@pytest.mark.usefixtures("accelerators")
def test_copies_share_a_batch():
    assert scoring_mesh(64, model_devices=4).shape == {"data": 2, "model": 4}
    assert [default_batch_rows(n) for n in (1, 2, 8)] == [512, 256, 64]


@pytest.mark.usefixtures("accelerators")
def test_what_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"--model_devices 3 does not divide the 8 .* 1, 2, 4, 8"):
        scoring_mesh(64, model_devices=3)
    with pytest.raises(ValueError, match=r"--batch_rows 30 .* over 4 copies .* such as 32"):
        scoring_mesh(30, model_devices=2)


def test_a_cpu_has_one_copy_in_each_part():
    assert default_model_devices(1 << 50) == 1
    assert scoring_model.default_batch_rows() == 4


@pytest.fixture
def processes(accelerators, monkeypatch):
    """Six processes with eight such devices each, of which this is the fourth."""
    devices = [types.SimpleNamespace(id=i, process_index=i // 8) for i in range(48)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "process_count", lambda: 6)
    monkeypatch.setattr(jax, "process_index", lambda: 3)
    monkeypatch.setattr("models.partitioning.Mesh", lambda devices, axes: devices)
    return devices


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(("gib", "expected"), [(95, 8), (97, 16), (200, 24), (400, 48), (900, 48)])
def test_a_copy_takes_no_more_processes_than_its_memory_needs(gib, expected):
    assert default_model_devices(int(gib * 2**30)) == expected


@pytest.mark.usefixtures("processes")
def test_a_copy_of_several_processes_has_all_their_devices():
    (copy,) = scoring_mesh(64, model_devices=16)
    assert [device.id for device in copy] == [*range(16, 32)]
    assert default_batch_rows(16) == 64


def test_processes_that_make_no_groups_are_refused(processes):
    for model_devices in (12, 32):
        message = f"--model_devices {model_devices} is more .* Use one of: 1, 2, 4, 8, 16, 24, 48"
        with pytest.raises(ValueError, match=message):
            scoring_mesh(64, model_devices=model_devices)
    del processes[20:]
    with pytest.raises(
        ValueError, match=r"16 takes 2 processes of 8 devices.* they have 4\. Start"
    ):
        scoring_mesh(64, model_devices=16)


@pytest.mark.usefixtures("accelerators")
def test_a_process_alone_has_its_own_devices_only():
    with pytest.raises(ValueError, match=r"16 is more than the 8 .* --distributed .* 1, 2, 4, 8"):
        scoring_mesh(64, model_devices=16)

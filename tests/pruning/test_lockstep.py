"""Groups of processes: what they share out, and what a process alone makes of it."""

import types

import jax
import numpy as np
import pytest

from models.partitioning import make_mesh
from pruning.lockstep import Lockstep
from pruning.sharding import Shard


def spanning(processes):
    devices = [types.SimpleNamespace(process_index=p) for p in processes for _ in range(4)]
    return Lockstep(mesh=types.SimpleNamespace(devices=np.array(devices).reshape(1, -1)))


def test_all_processes_of_a_group_take_the_same_units():
    group = spanning([2, 3])
    assert group.processes == [2, 3]
    assert [group.share(Shard(i, 8)) for i in (2, 3)] == [Shard(1, 4), Shard(1, 4)]
    assert Lockstep().share(Shard(3, 8)) == Shard(3, 8)


def test_the_first_of_a_group_writes():
    assert jax.process_index() == 0
    assert spanning([0, 1]).is_first
    assert not spanning([2, 3]).is_first
    assert Lockstep().is_first


@pytest.mark.parametrize("mesh", [None, make_mesh()], ids=["alone", "over a mesh"])
def test_a_process_agrees_with_itself(mesh):
    lockstep = Lockstep(mesh=mesh)
    for flag_U in (np.array([True, False, True]), np.array([], bool)):
        np.testing.assert_array_equal(lockstep.first(flag_U), flag_U)
    assert lockstep.any(True) is True
    assert lockstep.any(False) is False


def test_an_error_of_the_devices_is_explained_where_others_share_them():
    def fail(lockstep):
        with lockstep.explaining_errors():
            raise jax.errors.JaxRuntimeError("Connection closed by peer\nat somewhere")

    with pytest.raises(
        RuntimeError, match=r"Processes \[0, 1\] hold .* JAX says: Conn\S+ \S+ by peer W"
    ):
        fail(spanning([0, 1]))
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"^Connection closed by peer\nat"):
        fail(Lockstep())

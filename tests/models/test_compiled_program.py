"""Collectives read from programs' text, and work counted in programs that loop."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from models.compiled_program import Work, collectives_of, matmul_flops, measure
from models.configs import SIZES
from models.mesh_choice import shapes_of
from models.partitioning import make_mesh
from models.scoring_model import make_token_statistics_fn

# Lines as XLA writes them, with one loop inside another: 3 turns of 4.
PROGRAM = """HloModule jit_f, is_scheduled=true

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  ROOT %z = f32[] add(%x, %x)
}

%inner_body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %r = f32[8]{0} all-reduce(%g), channel_id=1, replica_groups={{0,1},{2,3}}, to_apply=%add
}

%outer_body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %w = (s32[], f32[8]) while(%t), condition=%c, body=%inner_body, backend_config={"known_trip_count":{"n":"4"}}
  %s = (f32[2,8]{1,0}, f32[8,8]{1,0}) all-gather-start(%g), replica_groups=[2,4]<=[8], dimensions={0}
  %d = f32[8,8]{1,0} all-gather-done(%s)
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %w2 = (s32[], f32[8]) while(%t2), condition=%c2, body=%outer_body, backend_config={"known_trip_count":{"n":"3"}}
  %both = (bf16[16,4,2048]{2,0,1:T(8,128)(2,1)}, f32[16]{0:T(8)S(1)}) all-reduce(%a, %b), channel_id=4, replica_groups=mesh['axis_0'=4,'axis_1'=1,'axis_2'=2], device_ids=([2,4]T(1,0)) {'axis_0'}, to_apply=%add
  %p = (u32[5]{0}, u32[5]{0}, u32[], u32[]) collective-permute-start(%e), source_target_pairs={{0,1},{1,0}}
  ROOT %n = f32[8]{0} fusion(%both), kind=kLoop, calls=%add, metadata={op_name="all-reduce(no)"}
}
"""


def test_collectives_count_with_the_turns_of_their_loops():
    found = [(c.kind, c.shapes, c.num_bytes, c.group, c.times) for c in collectives_of(PROGRAM)]
    assert found == [
        ("all-reduce", ((8,),), 32, 2, 12),
        ("all-gather", ((8, 8),), 256, 4, 3),
        ("all-reduce", ((16, 4, 2048), (16,)), 2 * 16 * 4 * 2048 + 4 * 16, 4, 1),
        ("collective-permute", ((5,),), 20, 2, 1),
    ]


def work_of(function, *shapes) -> Work:
    mesh = make_mesh(devices=jax.devices()[:1])
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return measure(jax.jit(function).trace(*arrays), mesh)


def test_memory_is_what_goes_in_lives_and_comes_out():
    work = work_of(lambda x: x + 1, (1000,))
    assert (work.argument_bytes, work.output_bytes) == (4000, 4000)
    assert work.memory_bytes >= 8000
    assert work.collectives == ()


@pytest.mark.parametrize("turns", [1, 2, 10])
def test_every_turn_of_a_loop_counts(turns):
    def in_turns(kernel, rows):
        return jax.lax.map(lambda part: part @ kernel, rows.reshape(turns, -1, 64))

    product = 2 * 32 * 64 * 128
    work = work_of(in_turns, (64, 128), (turns * 32, 64))
    assert work.flops == pytest.approx(turns * product, rel=0.02)
    # Each turn reads the kernel.
    assert work.bytes_accessed >= turns * 4 * (64 * 128 + 32 * 64 + 32 * 128)


def test_loops_inside_loops_multiply():
    def twelve(kernel, x):
        def turn(y, _):
            return jax.lax.scan(lambda z, _: (z @ kernel, None), y, None, length=4)

        return jax.lax.scan(turn, x, None, length=3)[0]

    work = work_of(twelve, (64, 64), (32, 64))
    assert work.flops == pytest.approx(12 * 2 * 32 * 64 * 64, rel=0.02)


@pytest.mark.parametrize("rows", [1, 4])
def test_products_of_a_traced_model_are_those_worked_out_by_hand(rows):
    config = dataclasses.replace(SIZES["gpt_124m"], num_layers=3)
    traced = make_token_statistics_fn(config, shapes_of(config)).trace(rows, 0, 64)
    layer = 64 * 2 * (4 * 768 * 768 + 2 * 768 * 3072) + 4 * 64 * 64 * 768
    assert matmul_flops(traced) == rows * (3 * layer + 2 * 64 * 768 * config.vocab_size)

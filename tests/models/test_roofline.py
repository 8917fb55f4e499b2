"""Times worked out by hand."""

import dataclasses

import pytest

from models.compiled_program import Collective, Work
from models.roofline import CHIPS, Chip, roofline, seconds_on_links

CHIP = Chip(flops=100.0, memory_bytes=1000, memory_bandwidth=10.0, link_bandwidth=5.0)
WORK = Work(
    argument_bytes=1,
    temporary_bytes=2,
    output_bytes=3,
    program_bytes=4,
    flops=400.0,
    bytes_accessed=30.0,
    collectives=(),
)


def collective(kind, group, times=1):
    return Collective(kind=kind, shapes=((100,),), num_bytes=100, group=group, times=times)


@pytest.mark.parametrize(
    ("kind", "group", "seconds"),
    [
        # Two devices: each sends half to be summed and half of the sum, over one link: 100 / 5.
        ("all-reduce", 2, 20.0),
        # Four: 2 * 3/4 * 100 over two links, 150 / 10.
        ("all-reduce", 4, 15.0),
        ("all-gather", 4, 7.5),
        # 100 bytes are left of 400, of which three quarters went on: 300 / 10.
        ("reduce-scatter", 4, 30.0),
        # As an all-gather of 400, but each share goes one way only and half as far: 75 / 10.
        ("all-to-all", 4, 7.5),
        ("collective-permute", 2, 20.0),
        ("all-reduce", 1, 0.0),
    ],
)
def test_what_a_ring_takes(kind, group, seconds):
    assert seconds_on_links(collective(kind, group), 5.0) == pytest.approx(seconds)
    assert seconds_on_links(collective(kind, group, times=3), 5.0) == pytest.approx(3 * seconds)


def test_arithmetic_and_memory_overlap_and_links_wait():
    sums = (collective("all-reduce", 4),)
    times = roofline(dataclasses.replace(WORK, collectives=sums), CHIP)
    assert (times.compute, times.memory, times.links) == (4.0, 3.0, 15.0)
    assert times.step == 19.0
    # Memory is the slower of the two.
    assert roofline(dataclasses.replace(WORK, bytes_accessed=60.0), CHIP).step == 6.0


def test_float32_products_take_six_passes():
    assert roofline(WORK, CHIP, "float32").compute == 24.0


def test_memory_is_all_that_a_device_holds():
    assert WORK.memory_bytes == 10


def test_published_peaks():
    """One layer of Flan-T5-XXL's encoder, a row of 512 on one v5e: 386 MFLOP a token."""
    flops = 2 * (4 * 4096 * 4096 + 3 * 4096 * 10240) * 512
    times = roofline(dataclasses.replace(WORK, flops=flops), CHIPS["v5e"])
    assert times.compute == pytest.approx(1.0e-3, rel=0.02)
    assert {name: chip.memory_bytes // 2**30 for name, chip in CHIPS.items()} == {
        "v4": 32,
        "v5e": 16,
        "v5p": 95,
        "v6e": 32,
    }

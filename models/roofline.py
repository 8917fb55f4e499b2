"""How long a step takes at the least, from what it asks of a chip and what the chip can do."""

import dataclasses

from models.compiled_program import Collective, Work

# A matrix product in float32 ("highest" precision) is six passes of bfloat16 on a TPU.
FLOAT32_PASSES = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """Peaks of a chip, as its maker publishes them.

    Attributes:
        flops: Of bfloat16, a second.
        memory_bytes: Of high-bandwidth memory.
        memory_bandwidth: Bytes a second.
        link_bandwidth: Bytes a second from a chip to one neighbour, in one direction.
        options: Of the compiler's description of a slice.
    """

    flops: float
    memory_bytes: int
    memory_bandwidth: float
    link_bandwidth: float
    options: tuple[tuple[str, str], ...] = ()


GIB = 2**30
# cloud.google.com/tpu/docs. Links are the interconnect of a chip in one direction (v4 2,400 Gbps,
# v5p 4,800, v5e 1,600, v6e 3,200) over its ports: six in a 3D torus, four in a 2D one.
CHIPS = {
    # Two cores that work as one.
    "v4": Chip(
        flops=275e12,
        memory_bytes=32 * GIB,
        memory_bandwidth=1228e9,
        link_bandwidth=50e9,
        options=(("chip_config_name", "megacore"),),
    ),
    "v5e": Chip(flops=197e12, memory_bytes=16 * GIB, memory_bandwidth=819e9, link_bandwidth=50e9),
    "v5p": Chip(flops=459e12, memory_bytes=95 * GIB, memory_bandwidth=2765e9, link_bandwidth=100e9),
    "v6e": Chip(flops=918e12, memory_bytes=32 * GIB, memory_bandwidth=1638e9, link_bandwidth=100e9),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of one step, by what takes them."""

    compute: float
    memory: float
    links: float

    @property
    def step(self) -> float:
        """Arithmetic and memory at the same time, then the links.

        A layer's sum over devices waits for its product and the next product for the sum, so
        nothing runs beside it.
        """
        return max(self.compute, self.memory) + self.links


def roofline(work: Work, chip: Chip, dtype: str = "bfloat16") -> Times:
    """Times of one step at the chip's peaks.

    Args:
        work: Of one device.
        chip: Of `CHIPS`.
        dtype: Of the matrix products.
    """
    passes = FLOAT32_PASSES if dtype == "float32" else 1
    return Times(
        compute=work.flops * passes / chip.flops,
        memory=work.bytes_accessed / chip.memory_bandwidth,
        links=sum(seconds_on_links(c, chip.link_bandwidth) for c in work.collectives),
    )


def seconds_on_links(collective: Collective, bandwidth: float) -> float:
    """All turns of a collective on a ring of its devices.

    Both directions of the ring are used; two devices have one link. That takes rings that lie
    in the slice without sharing links, as blocks of neighbours do. Latency is left out.

    Args:
        collective: Its bytes are those that a device holds afterwards.
        bandwidth: Of a link in one direction, bytes a second.
    """
    group = collective.group
    if group == 1:
        return 0.0
    around = (group - 1) / group
    sent = {
        "all-reduce": 2 * around * collective.num_bytes,
        "all-gather": around * collective.num_bytes,
        "reduce-scatter": around * collective.num_bytes * group,
        # Half way round the ring on average, a share for each device.
        "all-to-all": around * collective.num_bytes * group / 4,
        "collective-permute": collective.num_bytes,
    }[collective.kind]
    links = 2 if group > 2 and collective.kind != "collective-permute" else 1
    return collective.times * sent / (links * bandwidth)

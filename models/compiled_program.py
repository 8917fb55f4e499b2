"""What a compiled program asks of each device: memory, arithmetic, and what it sends to others."""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params

_BITS = {"pred": 8, "bf16": 16, "f16": 16, "c64": 64, "c128": 128}
_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) (?:\(.*\) -> .* )?\{$")
_COLLECTIVE = re.compile(rf"= (.*?) ({'|'.join(_KINDS)})(-start)?\(")
_SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
# From one computation to another that it runs; fusions hold no collectives.
_CALLS = re.compile(r"\b(?:body|to_apply|calls|true_computation|false_computation)=%?([\w.-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collective:
    """One exchange between devices.

    Attributes:
        kind: Such as `all-reduce`.
        shapes: Of what each device holds afterwards; several exchanges may be one.
        num_bytes: Of these.
        group: Devices that exchange with each other.
        times: How often the program runs it; more than once in a loop.
    """

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    num_bytes: int
    group: int
    times: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """Of one step, on one device.

    Attributes:
        argument_bytes: Parameters and batch.
        temporary_bytes: The most that lives between operations at one time.
        output_bytes: Results.
        program_bytes: The program itself, which TPUs hold in the same memory.
        flops: Floating-point operations, two for a multiplication and an addition.
        bytes_accessed: Operands and results of all fused operations, as XLA counts them. Some
            never leave the chip, so memory moves less than this.
        collectives: In no order.
    """

    argument_bytes: int
    temporary_bytes: int
    output_bytes: int
    program_bytes: int
    flops: float
    bytes_accessed: float
    collectives: tuple[Collective, ...]

    @property
    def memory_bytes(self) -> int:
        """All that a device must hold."""
        return self.argument_bytes + self.temporary_bytes + self.output_bytes + self.program_bytes


def measure(traced: jax.stages.Traced, mesh: jax.sharding.Mesh) -> Work:
    """Compiles a program and reads what it asks of a device.

    XLA counts the body of a loop once. For the other turns, the operands, results and
    operations of the matrix products are added, each activation split over the whole mesh or
    over `data`, each kernel over `model`.

    Args:
        traced: For the mesh's devices, which need not exist.
        mesh: With axes `data` and `model`.

    Raises:
        jax.errors.JaxRuntimeError: The compiler knows the device's memory and needs more.
    """
    compiled = traced.lower().compile()
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    loops = [(turns - 1, product) for turns, product in _products(traced.jaxpr.jaxpr) if turns > 1]
    data, model = mesh.shape["data"], mesh.shape["model"]
    return Work(
        argument_bytes=memory.argument_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        output_bytes=memory.output_size_in_bytes,
        program_bytes=memory.generated_code_size_in_bytes,
        flops=cost["flops"] + sum(turns * p.flops for turns, p in loops) / (data * model),
        bytes_accessed=cost["bytes accessed"]
        + sum(turns * p.num_bytes(data, model) for turns, p in loops),
        collectives=tuple(collectives_of(compiled.as_text())),
    )


def matmul_flops(traced: jax.stages.Traced) -> float:
    """Returns the operations of a program's matrix products, over all devices.

    Nothing is compiled. A loop that ends on a condition counts once, and what a kernel of
    another maker computes (`attention="cudnn"`) not at all.

    Args:
        traced: Such as `BatchFn.trace` gives it.
    """
    return sum(turns * product.flops for turns, product in _products(traced.jaxpr.jaxpr))


@dataclasses.dataclass(frozen=True)
class _Product:
    """A matrix product: operations, and bytes of its left side, right side and result."""

    flops: float
    left: int
    right: int
    result: int

    def num_bytes(self, data: int, model: int) -> float:
        return self.left / data + self.right / model + self.result / (data * model)


def _products(jaxpr: Any, turns: int = 1) -> Iterator[tuple[int, _Product]]:
    """Matrix products, and how often each is computed."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            left, right = (operand.aval for operand in equation.invars)
            (contracted, _), _ = equation.params["dimension_numbers"]
            depth = math.prod(left.shape[axis] for axis in contracted)
            result = equation.outvars[0].aval
            num_bytes = (math.prod(a.shape) * a.dtype.itemsize for a in (left, right, result))
            yield turns, _Product(2 * depth * math.prod(result.shape), *num_bytes)
        length = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for inner in jaxprs_in_params(equation.params):
            yield from _products(inner, turns * length)


def collectives_of(hlo: str) -> list[Collective]:
    """Reads the collectives of a compiled program's text, those of loops with their turns.

    Args:
        hlo: `compiled.as_text()`. A loop whose number of turns XLA does not know counts once.
    """
    computations = dict(_computations(hlo))
    times = dict.fromkeys(computations, 0)
    # The text has callees before callers, and the entry last.
    for number, (name, lines) in enumerate(reversed(computations.items())):
        times[name] = max(times[name], 1) if number == 0 else times[name]
        for line in lines:
            trips = _TRIPS.search(line)
            for callee in _CALLS.findall(line):
                if callee in times:
                    times[callee] += times[name] * (int(trips[1]) if trips else 1)
    return [
        _collective(line, match, times[name])
        for name, lines in computations.items()
        for line in lines
        if times[name] and (match := _COLLECTIVE.search(line))
    ]


def _computations(hlo: str) -> Iterator[tuple[str, list[str]]]:
    name = ""
    lines: list[str] = []
    for line in hlo.splitlines():
        if match := _COMPUTATION.match(line):
            name, lines = match[1], []
        elif line == "}" and name:
            yield name, lines
            name = ""
        elif name:
            lines.append(line)


def _collective(line: str, match: re.Match[str], times: int) -> Collective:
    result, kind, is_started = match.groups()
    found = [
        (tuple(int(n) for n in dims.split(",") if n), _bits(dtype) // 8)
        for dtype, dims in _SHAPE.findall(result)
    ]
    if is_started and kind != "all-reduce":  # operands come first, then results
        found = found[len(found) // 2 :] if kind != "collective-permute" else found[1:2]
    return Collective(
        kind=kind,
        shapes=tuple(shape for shape, _ in found),
        num_bytes=sum(math.prod(shape) * size for shape, size in found),
        group=_group_size(line),
        times=times,
    )


def _bits(dtype: str) -> int:
    return _BITS.get(dtype) or max(8, int(re.sub(r"\D", "", dtype[1:3]) or 8))


def _group_size(line: str) -> int:
    """Of `{{0,1},{2,3}}`, of `[2,4]<=[8]`, or of `mesh['a'=2,'b'=4] {'b'}`."""
    groups = line.partition("replica_groups=")[2]
    if match := re.match(r"\{\{([\d,]*)\}", groups):
        return match[1].count(",") + 1
    if match := re.match(r"\[\d+,(\d+)\]", groups):
        return int(match[1])
    if match := re.match(r"mesh\[(.*?)\].*? \{(.*?)\}", groups):
        sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", match[1])}
        return math.prod(sizes[name] for name in re.findall(r"'([^']+)'", match[2]))
    return 2  # collective-permute goes from one device to another

"""The speed of the kernels on this machine, beside the floor that memory sets and beside other libraries.

The floor is one pass that reads n floats and writes n floats, measured in the same run: W = W_0 + lambda P theta cannot
be had for less, and P^T g reads half of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from intrinsic import kernels
from intrinsic.bench.machine import Machine, this_machine
from intrinsic.bench.peers import Peer, find_peers
from intrinsic.bench.projections import Case, ProjectionRow, Vectors, cases, measure_projection, paths
from intrinsic.bench.timing import Timing
from intrinsic.bench.transforms import TransformRow, measure_transform
from intrinsic.errors import SpecError, UnknownName

__all__ = [
    "DEVICES",
    "SIZES",
    "Bench",
    "BenchSizes",
    "ProjectionRow",
    "Timing",
    "TransformRow",
    "bench",
    "choose_sizes",
]

DEVICES = ("all", "cpu", "cuda")
"""The choices of a device; `all`: those that there are."""


@dataclass(frozen=True)
class BenchSizes:
    """The sizes measured on one type of device, and the time for it."""

    transforms: tuple[tuple[int, int], ...]
    """The (rows, p) of each batch of transforms."""
    lengths: tuple[int, ...]
    """The values of n: 22.7 million are MiniLM's weights, 125 million RoBERTa-base's, 1.3 billion those of a small
    language model."""
    dims: tuple[int, ...]
    """The values of d."""
    seconds: float
    """Time for one call, which is measured again and again."""
    compared: Case | None = None
    """The case for which, on the CPU, every way to compute it is measured."""


_DIMS = (10, 100, 1000, 10_000, 30_000)
SIZES: dict[tuple[str, bool], BenchSizes] = {
    ("cpu", False): BenchSizes(
        ((16_384, 1024), (1, 1 << 20), (1, 1 << 24), (1, 1 << 27)),
        (22_700_000, 125_000_000),
        _DIMS,
        3.0,
        Case("fastfood", 1000, 22_700_000),
    ),
    ("cpu", True): BenchSizes(((1, 1 << 20),), (2_270_000,), (1000,), 0.2, Case("fastfood", 1000, 2_270_000)),
    ("cuda", False): BenchSizes(
        tuple(((1 << 28) // p, p) for p in (1024, 8192, 32_768)), (125_000_000, 1_300_000_000), _DIMS, 2.0
    ),
    ("cuda", True): BenchSizes(((1 << 14, 1024),), (22_700_000,), (1000,), 0.2),
}
"""The sizes by (type of device, quick)."""


@dataclass
class Bench:
    """The times that were measured, and the machine."""

    machine: Machine
    transforms: list[TransformRow] = field(default_factory=list)
    projections: list[ProjectionRow] = field(default_factory=list)
    not_measured: list[str] = field(default_factory=list)
    """The things that were left out, each with the reason."""


def bench(
    sizes: dict[str, BenchSizes], ffht: Path | None = None, say: Callable[[str], None] = lambda line: None
) -> Bench:
    """Measure the sizes given for each type of device; `say` is told what comes next.

    The choice in INTRINSIC_KERNELS does not matter. Raises SpecError if `ffht` is not FFHT's library.
    """
    peers = find_peers(ffht)
    made = Bench(this_machine())
    with kernels.only("auto"):
        for kind, chosen in sizes.items():
            device = torch.device(kind)
            for step in (*_transform_steps(chosen, device, peers), *_projection_steps(chosen, device)):
                say(step.label)
                step.run(made)
    if "cuda" not in sizes:
        made.not_measured.append("GPU: " + ("not asked for" if made.machine.devices else "none on this machine"))
    if ffht is None:
        made.not_measured.append("FFHT: its library was not named (--ffht)")
    if "hadamard-transform" not in peers:
        made.not_measured.append("hadamard-transform: the package is not installed")
    return made


def choose_sizes(device: str, *, quick: bool) -> dict[str, BenchSizes]:
    """The sizes by type of device, for `all`, `cpu` or `cuda`.

    Raises UnknownName for another device, SpecError for one that is not there.
    """
    if device not in DEVICES:
        raise UnknownName("device", device, DEVICES)
    if device == "cuda" and not torch.cuda.is_available():
        raise SpecError("expected a GPU for --device cuda, torch finds none on this machine; take --device cpu")
    there = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    return {kind: SIZES[kind, quick] for kind in there if device in ("all", kind)}


@dataclass(frozen=True)
class _Step:
    label: str
    run: Callable[[Bench], None]


def _transform_steps(sizes: BenchSizes, device: torch.device, peers: dict[str, Peer]) -> Iterator[_Step]:
    most = torch.get_num_threads() if device.type == "cpu" else 1
    for shape in sizes.transforms:
        for threads in sorted({1, most}):

            def run(made: Bench, shape: tuple[int, int] = shape, threads: int = threads) -> None:
                made.transforms.append(measure_transform(shape, threads, device, peers, sizes.seconds))

            yield _Step(f"{device.type}: {shape[0]} x FWHT of {shape[1]}, threads: {threads}", run)


def _projection_steps(sizes: BenchSizes, device: torch.device) -> Iterator[_Step]:
    seen: set[Case] = set()
    for n in sizes.lengths:
        vectors = Vectors.of(n, device)
        for case in (*cases(n, sizes.dims), *_compared(sizes, n, device)):
            if case in seen:  # dense has as many rows at every length
                continue
            seen.add(case)

            def run(made: Bench, case: Case = case, vectors: Vectors = vectors) -> None:
                made.projections.append(measure_projection(case, vectors, sizes.seconds))

            yield _Step(f"{device.type}: {case.name}, d = {case.d}, n = {case.n}, {case.path} kernels", run)


def _compared(sizes: BenchSizes, n: int, device: torch.device) -> list[Case]:
    case = sizes.compared
    if case is None or case.n != n or device.type != "cpu":
        return []
    return [Case(case.name, case.d, case.n, path) for path in paths()]

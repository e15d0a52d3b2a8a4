"""How fast the kernels are on this machine: beside the floor that memory sets, and beside other libraries.

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

__all__ = ["DEVICES", "PLANS", "Bench", "Plan", "ProjectionRow", "Timing", "TransformRow", "bench", "choose_plans"]

DEVICES = ("all", "cpu", "cuda")


@dataclass(frozen=True)
class Plan:
    transforms: tuple[tuple[int, int], ...]
    """(rows, p) of each batch of transforms."""
    lengths: tuple[int, ...]
    """n: 22.7 million are MiniLM's numbers, 125 million RoBERTa-base's, 1.3 billion those of a small language model."""
    dims: tuple[int, ...]
    """d."""
    seconds: float
    """For one call, measured again and again."""
    compared: Case | None = None
    """On the CPU, every way to compute it is measured."""


_DIMS = (10, 100, 1000, 10_000, 30_000)
PLANS: dict[tuple[str, bool], Plan] = {
    ("cpu", False): Plan(
        ((16_384, 1024), (1, 1 << 20), (1, 1 << 24), (1, 1 << 27)),
        (22_700_000, 125_000_000),
        _DIMS,
        3.0,
        Case("fastfood", 1000, 22_700_000),
    ),
    ("cpu", True): Plan(((1, 1 << 20),), (2_270_000,), (1000,), 0.2, Case("fastfood", 1000, 2_270_000)),
    ("cuda", False): Plan(
        tuple(((1 << 28) // p, p) for p in (1024, 8192, 32_768)), (125_000_000, 1_300_000_000), _DIMS, 2.0
    ),
    ("cuda", True): Plan(((1 << 14, 1024),), (22_700_000,), (1000,), 0.2),
}
"""(type of device, quick) -> what is measured."""


@dataclass
class Bench:
    machine: Machine
    transforms: list[TransformRow] = field(default_factory=list)
    projections: list[ProjectionRow] = field(default_factory=list)
    not_measured: list[str] = field(default_factory=list)


def bench(plans: dict[str, Plan], ffht: Path | None = None, say: Callable[[str], None] = lambda line: None) -> Bench:
    """Measure each device's plan; `say` is told what comes next. What INTRINSIC_KERNELS asks for does not matter.

    Raises SpecError if `ffht` is not FFHT's library.
    """
    peers = find_peers(ffht)
    made = Bench(this_machine())
    with kernels.only("auto"):
        for kind, plan in plans.items():
            device = torch.device(kind)
            for step in (*_transform_steps(plan, device, peers), *_projection_steps(plan, device)):
                say(step.label)
                step.run(made)
    if "cuda" not in plans:
        made.not_measured.append("GPU: " + ("not asked for" if made.machine.devices else "none on this machine"))
    if ffht is None:
        made.not_measured.append("FFHT: its library was not named (--ffht)")
    if "hadamard-transform" not in peers:
        made.not_measured.append("hadamard-transform: the package is not installed")
    return made


def choose_plans(device: str, *, quick: bool) -> dict[str, Plan]:
    """The plans for `all`, `cpu` or `cuda`. Raises SpecError for a device that is not there."""
    if device not in DEVICES:
        raise UnknownName("device", device, DEVICES)
    if device == "cuda" and not torch.cuda.is_available():
        raise SpecError("expected a GPU for --device cuda, torch finds none on this machine; take --device cpu")
    there = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    return {kind: PLANS[kind, quick] for kind in there if device in ("all", kind)}


@dataclass(frozen=True)
class _Step:
    label: str
    run: Callable[[Bench], None]


def _transform_steps(plan: Plan, device: torch.device, peers: dict[str, Peer]) -> Iterator[_Step]:
    most = torch.get_num_threads() if device.type == "cpu" else 1
    for shape in plan.transforms:
        for threads in sorted({1, most}):

            def run(made: Bench, shape: tuple[int, int] = shape, threads: int = threads) -> None:
                made.transforms.append(measure_transform(shape, threads, device, peers, plan.seconds))

            yield _Step(f"{device.type}: {shape[0]} x FWHT of {shape[1]}, threads: {threads}", run)


def _projection_steps(plan: Plan, device: torch.device) -> Iterator[_Step]:
    seen: set[Case] = set()
    for n in plan.lengths:
        vectors = Vectors.of(n, device)
        for case in (*cases(n, plan.dims), *_compared(plan, n, device)):
            if case in seen:  # dense has as many rows at every length
                continue
            seen.add(case)

            def run(made: Bench, case: Case = case, vectors: Vectors = vectors) -> None:
                made.projections.append(measure_projection(case, vectors, plan.seconds))

            yield _Step(f"{device.type}: {case.name}, d = {case.d}, n = {case.n}, {case.path} kernels", run)


def _compared(plan: Plan, n: int, device: torch.device) -> list[Case]:
    case = plan.compared
    if case is None or case.n != n or device.type != "cpu":
        return []
    return [Case(case.name, case.d, case.n, path) for path in paths()]

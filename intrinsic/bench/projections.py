"""W = W_0 + lambda P theta and P^T g against one pass that reads and writes n floats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic import kernels
from intrinsic.bench.timing import Timing, in_turn
from intrinsic.kernels import library
from intrinsic.kernels.memory import recycled
from intrinsic.kernels.pieces import Piece
from intrinsic.projections import make_projection

KEY, SEED = 1, 0
DENSE_ENTRIES = 10**8
"""The dense P has n d entries to make: it is measured over so many of them, on n = DENSE_ENTRIES / d rows."""


@dataclass(frozen=True)
class Case:
    """The projection called `name`, from d to n numbers; `path` is a backend, for C with its instruction set."""

    name: str
    d: int
    n: int
    path: str = "auto"


@dataclass(frozen=True)
class ProjectionRow:
    device: str
    threads: int
    case: Case
    forward: Timing
    adjoint: Timing
    floor: Timing
    """A pass that reads n floats and writes n floats."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """What is read and written; cut to n for a case that needs less."""

    start: Tensor
    grad: Tensor
    out: Tensor

    @classmethod
    def of(cls, n: int, device: torch.device) -> Vectors:
        draw = torch.Generator(device).manual_seed(0)
        start, grad = (torch.randn(n, device=device, generator=draw) for _ in range(2))
        return cls(start, grad, torch.zeros_like(start))


def cases(n: int, dims: tuple[int, ...]) -> list[Case]:
    """Every projection that is in use at every d; dense on as many rows as it takes."""
    names = ("fastfood", "hashed", "sparse")
    dense = [Case("dense", d, min(n, DENSE_ENTRIES // d)) for d in dims]
    return [*(Case(name, d, n) for name in names for d in dims), *dense]


def paths() -> list[str]:
    """The ways this machine has to compute on the CPU, besides the reference, which is too slow to set beside them."""
    return ["numba", *(f"native {name}" for name in reversed(library.available()))]


def measure_projection(case: Case, vectors: Vectors, seconds: float) -> ProjectionRow:
    device = vectors.start.device
    start, grad, out = (v[: case.n] for v in (vectors.start, vectors.grad, vectors.out))
    theta = torch.randn(case.d, generator=torch.Generator().manual_seed(1)).to(device)
    piece = Piece(KEY, case.n, start, torch.tensor(0.5, device=device))
    made = make_projection(case.name, case.d, SEED, full_dim=case.n, cache_bytes=0)
    with _using(case.path):
        times = in_turn(
            {
                "forward": lambda: made.weights(theta, [piece]),
                "adjoint": lambda: made.adjoint(grad, KEY),
                "floor": lambda: torch.add(start, 1.0, out=out),
            },
            seconds,
            device,
        )
    return ProjectionRow(device.type, torch.get_num_threads(), case, **times)


@contextmanager
def _using(path: str) -> Iterator[None]:
    """As in training: W takes the memory of the W before it."""
    backend, _, instructions = path.partition(" ")
    with ExitStack() as stack:
        stack.enter_context(recycled())
        stack.enter_context(kernels.only(backend))
        if instructions:
            stack.enter_context(library.only_instructions(instructions))
        yield

"""Times of W = W_0 + lambda P theta and P^T g against one pass that reads and writes n floats."""

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
"""The key and the seed of P."""
DENSE_ENTRIES = 10**8
"""The number of entries over which the dense P is measured, n = DENSE_ENTRIES / d rows: each of its n d costs time."""


@dataclass(frozen=True)
class Case:
    """A projection to be measured, from d to n numbers."""

    name: str
    d: int
    n: int
    path: str = "auto"
    """The backend; for C with its instruction set, as in `native avx2`."""


@dataclass(frozen=True)
class ProjectionRow:
    """The times of one case."""

    device: str
    threads: int
    case: Case
    forward: Timing
    """Time of W = W_0 + lambda P theta."""
    adjoint: Timing
    """Time of P^T g."""
    floor: Timing
    """Time of a pass that reads n floats and writes n floats."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """The numbers that are read and written; cut to n for a case that needs less."""

    start: Tensor
    grad: Tensor
    out: Tensor

    @classmethod
    def of(cls, n: int, device: torch.device) -> Vectors:
        """Gaussian numbers, n in each."""
        draw = torch.Generator(device).manual_seed(0)
        start, grad = (torch.randn(n, device=device, generator=draw) for _ in range(2))
        return cls(start, grad, torch.zeros_like(start))


def cases(n: int, dims: tuple[int, ...]) -> list[Case]:
    """The cases of a length n: every projection that is in use at every d; dense on as many rows as it takes."""
    names = ("fastfood", "hashed", "sparse")
    dense = [Case("dense", d, min(n, DENSE_ENTRIES // d)) for d in dims]
    return [*(Case(name, d, n) for name in names for d in dims), *dense]


def paths() -> list[str]:
    """The ways that this machine has to compute on the CPU, without the reference, which is far slower."""
    return ["numba", *(f"native {name}" for name in reversed(library.available()))]


def measure_projection(case: Case, vectors: Vectors, seconds: float) -> ProjectionRow:
    """The times of one case, each call measured for about so many seconds."""
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
    """Use this way to compute, with W in the memory of the W before it, as in training."""
    backend, _, instructions = path.partition(" ")
    with ExitStack() as stack:
        stack.enter_context(recycled())
        stack.enter_context(kernels.only(backend))
        if instructions:
            stack.enter_context(library.only_instructions(instructions))
        yield

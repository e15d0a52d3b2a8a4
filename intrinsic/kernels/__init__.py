"""The fast ways to compute a projection, and the choice of the kernels that serve a tensor.

`reference` is plain torch, runs on every device and is the oracle; what is in COMPILED gives the same P faster.
INTRINSIC_KERNELS in the environment, or the context manager `only(name)`, leaves one backend and the reference.

A backend is a module with `serves(operation, device, dtype) -> bool` and, for what it serves, any of

    {fastfood,hashed,sparse}_forward(theta, seed, pieces, *options) -> one W a piece (see `pieces.Piece`)
    {fastfood,hashed,sparse}_adjoint(grads, seed, keys, dim, *options) -> P(key)^T g of each, [len(grads), dim]
    words(seed, key, stream, start, count), gaussians(seed, key, stream, start, count) -> [count]
    fwht_(x) -> x, transformed in place, x [rows, p]

the options being `Projection._kernel_options()`. A whole layer comes in one call.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from intrinsic.errors import SpecError, UnknownName

COMPILED = {
    "native": ("cpu", "intrinsic.kernels.native"),
    "numba": ("cpu", "intrinsic.kernels.cpu"),
    "triton": ("cuda", "intrinsic.kernels.gpu"),
}
"""The compiled backends by name: the type of device that each is for, and its module; the first that serves is taken.
One chosen by name is asked for every device: Triton's interpreter serves a CPU's tensors."""

BACKENDS = ("auto", "reference", *COMPILED)
"""The choices for INTRINSIC_KERNELS and :func:`only`."""
_choice = os.environ.get("INTRINSIC_KERNELS") or "auto"
if _choice not in BACKENDS:
    raise UnknownName("kernel backend in INTRINSIC_KERNELS", _choice, BACKENDS)


def find(operation: str, device: torch.device, dtype: torch.dtype) -> Callable[..., Any] | None:
    """The compiled `operation` for tensors of this device and dtype; None leaves it to the reference."""
    for name, (kind, module) in COMPILED.items():
        if _choice == name or (_choice == "auto" and kind == device.type):
            backend = _load(module)
            if backend is not None and backend.serves(operation, device, dtype):
                found: Callable[..., Any] = getattr(backend, operation)
                return found
    return None


@cache
def _load(module: str) -> Any:
    """The backend in a module; None where the compiler that it needs is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("intrinsic"):
            raise
        return None


@contextmanager
def only(backend: str) -> Iterator[None]:
    """Use one backend inside the block, and the reference for what it does not serve; for tests and comparisons.

    Raises UnknownName for a name that is not in BACKENDS.
    """
    global _choice
    if backend not in BACKENDS:
        raise UnknownName("kernel backend", backend, BACKENDS)
    before, _choice = _choice, backend
    try:
        yield
    finally:
        _choice = before


def words(seed: int, key: int, stream: int, start: int, count: int, device: torch.device) -> Tensor:
    """The words start ... start + count - 1 of a stream (word i: lane i mod 4 of counter i div 4). -> [count] int64."""
    compiled = find("words", device, torch.int64)
    if compiled is None:
        from intrinsic.kernels import reference

        return reference.words(seed, key, stream, start, count, device)
    made: Tensor = compiled(seed, key, stream, start, count)
    return made


def gaussian_matrix(
    seed: int,
    key: int,
    stream: int,
    start: int,
    shape: tuple[int, int],
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """A matrix of standard gaussians of 65536 levels, of shape `shape`.

    Entry e, counted from `start`, is half e mod 2 of word e div 2.
    """
    compiled = find("gaussians", device, dtype)
    if compiled is not None:
        made: Tensor = compiled(seed, key, stream, start, shape[0] * shape[1])
        return made.view(shape)
    from intrinsic.kernels.tables import gaussian_tensor

    skip, count = start % 2, shape[0] * shape[1]
    w = words(seed, key, stream, start // 2, (skip + count + 1) // 2, device)
    halves = torch.stack((w & 0xFFFF, w >> 16), dim=1).flatten()[skip : skip + count]
    return gaussian_tensor(16, device, dtype)[halves].view(shape)


def fwht_(x: Tensor) -> Tensor:
    """Apply the Walsh-Hadamard transform to each row, in place: y_i = sum_j (-1)^popcount(i & j) x_j, not normalised.

    x [..., p], p a power of two, float32 or float64, contiguous -> x. Every backend gives the same bits. Autograd
    does not see it: it is its own adjoint, so that the gradient is transformed likewise.
    Raises SpecError for another shape, dtype or layout, and for x that takes part in a graph.
    """
    if not isinstance(x, Tensor) or x.is_meta:
        got = "one on the meta device, without numbers" if isinstance(x, Tensor) else type(x).__name__
        raise SpecError(f"x must be a tensor, got {got}; convert it with torch.as_tensor")
    p = x.shape[-1] if x.ndim else 0
    if p < 1 or p & (p - 1):
        raise SpecError(f"the last dimension must be a power of two, got shape {tuple(x.shape)}; pad with zeros")
    if x.dtype not in (torch.float32, torch.float64):
        raise SpecError(f"x must be float32 or float64, got {x.dtype}; convert it first")
    if not x.is_contiguous():
        raise SpecError("x is transformed in place and must be contiguous, got a strided view; call .contiguous()")
    if x.requires_grad and torch.is_grad_enabled():
        raise SpecError("x takes part in a graph, which a transform in place would falsify; give x.detach().clone()")
    if not x.is_inference():
        torch.autograd.graph.increment_version(x)  # who has saved x for a backward pass is told
    rows, compiled = x.detach().view(-1, p), find("fwht_", x.device, x.dtype)
    if compiled is not None and not x.is_neg():
        compiled(rows)
    else:
        from intrinsic.kernels.reference import fwht

        rows.copy_(fwht(rows))
    return x

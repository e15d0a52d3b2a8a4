"""How a projection is computed fast: which kernels serve a tensor.

`reference` is plain torch and runs on every device; `cpu` is compiled by numba. Both give the same P.
INTRINSIC_KERNELS=reference in the environment, or the context manager `only("reference")`, forces the
former.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from intrinsic.errors import UnknownName

BACKENDS = ("auto", "reference")
_choice = os.environ.get("INTRINSIC_KERNELS", "auto")
if _choice not in BACKENDS:
    raise UnknownName("kernel backend in INTRINSIC_KERNELS", _choice, BACKENDS)


def compiled(device: torch.device) -> bool:
    """Whether the compiled CPU kernels serve tensors on this device."""
    return _choice == "auto" and device.type == "cpu"


@contextmanager
def only(backend: str) -> Iterator[None]:
    """Use one backend inside the block; for tests and comparisons."""
    global _choice
    if backend not in BACKENDS:
        raise UnknownName("kernel backend", backend, BACKENDS)
    before, _choice = _choice, backend
    try:
        yield
    finally:
        _choice = before


def words(seed: int, key: int, stream: int, start: int, count: int, device: torch.device) -> torch.Tensor:
    """Words start ... start + count - 1 of a stream (word i: lane i mod 4 of counter i div 4). -> [count] int64."""
    if compiled(device):
        from intrinsic.kernels import cpu

        return cpu.words(seed, key, stream, start, count)
    from intrinsic.kernels import reference

    return reference.words(seed, key, stream, start, count, device)


def gaussian_matrix(
    seed: int,
    key: int,
    stream: int,
    start: int,
    shape: tuple[int, int],
    device: torch.device,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Standard gaussians of 65536 levels: entry e, counted from `start`, is half e mod 2 of word e div 2."""
    from intrinsic.kernels.tables import gaussian_tensor

    skip, count = start % 2, shape[0] * shape[1]
    w = words(seed, key, stream, start // 2, (skip + count + 1) // 2, device)
    halves = torch.stack((w & 0xFFFF, w >> 16), dim=1).flatten()[skip : skip + count]
    return gaussian_tensor(16, device, dtype)[halves].view(shape)

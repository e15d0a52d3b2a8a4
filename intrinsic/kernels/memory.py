"""Memory for large weights: fresh pages are dearer than the kernels that fill them.

The C library hands tensors of 32 MiB and more back to the system when they die, and the next one of that size gets
pages that the system must first clear: for 90 MB about as much time as hashed takes to fill them. Inside `recycled` the
memory of a weight that dies goes to the next one of its size instead; outside, and once the block ends, nothing is
kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FRESH_FLOATS = 1 << 23
"""From here on, 32 MiB, the C library keeps no memory."""
_LINE = 16  # floats: a line of the cache

_depth = 0
_spare: list[NDArray[np.float32]] = []


@contextmanager
def recycled() -> Iterator[None]:
    """Inside the block the memory of large tensors made by `empty` that die serves those of the same size made next."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _spare.clear()


def empty(n: int) -> Tensor:
    """Uninitialised float32 [n] on the CPU, at the start of a line of the cache."""
    if n < FRESH_FLOATS:
        return torch.empty(n)
    memory = _taken(n + _LINE)
    first = -memory.ctypes.data // 4 % _LINE
    lent = memory[first : first + n]
    weakref.finalize(lent, _give_back, memory).atexit = False
    return torch.from_numpy(lent)


def _taken(size: int) -> NDArray[np.float32]:
    for i, memory in enumerate(_spare):
        if memory.size == size:
            return _spare.pop(i)
    return np.empty(size, np.float32)  # NumPy asks for large pages


def _give_back(memory: NDArray[np.float32]) -> None:
    if _depth:
        _spare.append(memory)

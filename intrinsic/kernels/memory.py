"""Memory for weights, taken from weights that are gone: fresh pages take longer than the kernels that fill them.

What the C library gets back from a dead tensor it may hand to the system, always so from 32 MiB on, and the next tensor
gets pages that the system must first clear: for 90 MB about as much time as hashed takes to fill them. Inside
`recycled` the memory of a weight that dies goes to the next one of its size instead; outside, and once the block ends,
nothing is kept.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FRESH_FLOATS = 1 << 15
"""The least size, 128 KiB, from which the C library may give memory back to the system."""
T = TypeVar("T", np.float32, np.float64)
_LINE = 64  # bytes of a line of the cache

_lock = threading.RLock()
"""The lock of what follows: weights are made and die in any thread. Re-entrant, as a garbage collection inside may give
memory back."""


def _new_lock() -> None:
    """Replace the lock in a forked child, where nobody is left who could open one that another thread held."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_new_lock)

_depth = 0
_spare: list[NDArray[np.float32]] = []


@contextmanager
def recycled() -> Iterator[None]:
    """Let the memory of tensors made by `empty` that die inside the block serve those of the same size made next."""
    global _depth
    with _lock:
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if not _depth:
                _spare.clear()


def empty(n: int) -> Tensor:
    """An uninitialised float32 tensor [n] on the CPU, at the start of a line of the cache."""
    if n < FRESH_FLOATS:
        return torch.empty(n)
    memory = _taken(n + _LINE // 4)
    lent = _aligned(memory, n)
    weakref.finalize(lent, _give_back, memory).atexit = False
    return torch.from_numpy(lent)


def zeros(rows: int, columns: int) -> NDArray[np.float64]:
    """Zeros [rows, columns], at the start of a line of the cache, made by NumPy: torch would wake its threads."""
    return _aligned(np.zeros(rows * columns + _LINE // 8), rows * columns).reshape(rows, columns)


def _aligned(memory: NDArray[T], size: int) -> NDArray[T]:
    first = -memory.ctypes.data % _LINE // memory.itemsize
    return memory[first : first + size]


def _taken(size: int) -> NDArray[np.float32]:
    with _lock:
        for i, memory in enumerate(_spare):
            if memory.size == size:
                del _spare[i]
                return memory
    return np.empty(size, np.float32)  # NumPy asks for large pages


def _give_back(memory: NDArray[np.float32]) -> None:
    with _lock:
        if _depth:
            _spare.append(memory)

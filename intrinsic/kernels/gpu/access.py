"""Functions by which a program finds its tensor in the tables of `launch`."""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment,untyped-decorator"

from __future__ import annotations

import torch
import triton
import triton.language as tl

from intrinsic.kernels.gpu.launch import COLUMNS

TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
"""The dtypes that kernels read and write, in Triton's names."""
_COLUMNS = tl.constexpr(COLUMNS)


@triton.jit
def task_of(table, row, program):
    """The tuple (seed, key, n, this program's number among those of its tensor, their number)."""
    at = table + row * _COLUMNS
    return tl.load(at), tl.load(at + 1), tl.load(at + 2), program - tl.load(at + 3), tl.load(at + 4)


@triton.jit
def left_of(n, start, FOURS: tl.constexpr, SIZE: tl.constexpr):
    """The number of elements, up to SIZE, that the tile beginning at `start` has."""
    left = tl.minimum(n - start, SIZE).to(tl.int32)
    if FOURS:
        left = tl.multiple_of(left, 4)
    return left


@triton.jit
def pointer(address, DTYPE: tl.constexpr, FOURS: tl.constexpr):
    """The pointer at an int64 address loaded from a table."""
    found = tl.load(address).to(tl.pointer_type(DTYPE))
    if FOURS:
        found = tl.multiple_of(found, 16)
    return found

"""The kernels of the projection `hashed` on a GPU: see `hashed`."""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from intrinsic.kernels.gpu.access import left_of, pointer, task_of
from intrinsic.kernels.gpu.draw import VALUES, flipped, philox

_INFINITY = tl.constexpr(0x7F800000)
"""Bits of the smallest number that is not finite, sign aside."""


@triton.jit
def _entries(first, seed, key, d, SIZE: tl.constexpr):
    """The column and word of each of the rows 4 first ... 4 first + SIZE - 1, `first` an int64 counter."""
    a, b, c, e = philox(first + tl.arange(0, SIZE // 4), VALUES, seed, key)
    word = tl.reshape(tl.join(tl.join(a, c), tl.join(b, e)), (SIZE,))
    # floor((w mod 2^31) d / 2^31)
    return (((word & 0x7FFFFFFF).to(tl.uint64) * d.to(tl.uint64)) >> 31).to(tl.int32), word


@triton.jit(do_not_specialize=["d"])
def forward(
    theta, data, table, row_of, d,
    DTYPE: tl.constexpr, START: tl.constexpr, FOURS: tl.constexpr, SHARED: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """Write a tile of W_0 + lambda P theta.  data [tensors, 3]: addresses of W, lambda, W_0.

    SHARED: the length theta is padded to, if it is looked up in shared memory; else 0.
    """
    row = tl.load(row_of + tl.program_id(0))
    seed, key, n, tile, _ = task_of(table, row, tl.program_id(0))
    start = tile * SIZE
    column, word = _entries(start // 4, seed, key, d, SIZE)
    if SHARED > 0:
        y = tl.gather(tl.load(theta + tl.arange(0, SHARED)), column, 0)
    else:
        y = tl.load(theta + column)
    y = flipped(y, word) * tl.load(pointer(data + row * 3 + 1, tl.float32, False))
    at = tl.arange(0, SIZE)
    inside = at < left_of(n, start, FOURS, SIZE)
    if START:
        old = pointer(data + row * 3 + 2, DTYPE, FOURS) + start
        y = y + tl.load(old + at, mask=inside, eviction_policy="evict_first").to(tl.float32)
    tl.store(pointer(data + row * 3, DTYPE, FOURS) + start + at, y, mask=inside)


@triton.jit
def largest(data, out, table, row_of, DTYPE: tl.constexpr, FOURS: tl.constexpr, SIZE: tl.constexpr):
    """Find the largest |g| that is finite: its bits, which order as the numbers do, into out [tensors] int32."""
    row = tl.load(row_of + tl.program_id(0))
    _, _, n, tile, _ = task_of(table, row, tl.program_id(0))
    start, at = tile * SIZE, tl.arange(0, SIZE)
    grad = pointer(data + row, DTYPE, FOURS) + start
    held = tl.load(grad + at, mask=at < left_of(n, start, FOURS, SIZE), other=0.0).to(tl.float32)
    bits = held.to(tl.int32, bitcast=True) & 0x7FFFFFFF
    tl.atomic_max(out + row, tl.max(tl.where(bits < _INFINITY, bits, 0)), sem="relaxed")


@triton.jit(do_not_specialize=["d", "copies"])
def adjoint(
    data, sums, spoiled, per_unit, table, row_of, d, copies,
    DTYPE: tl.constexpr, FOURS: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """Add one tile of sigma(r) g_r, in whole units, to its columns in one of the copies.

    sums [tensors, copies, d] int64; spoiled [tensors, d]: NaN where an element is not finite.
    """
    row = tl.load(row_of + tl.program_id(0))
    seed, key, n, tile, _ = task_of(table, row, tl.program_id(0))
    start, at = tile * SIZE, tl.arange(0, SIZE)
    column, word = _entries(start // 4, seed, key, d, SIZE)
    inside = at < left_of(n, start, FOURS, SIZE)
    grad = tl.load(pointer(data + row, DTYPE, FOURS) + start + at, mask=inside, other=0.0).to(tl.float32)
    finite = (grad.to(tl.int32, bitcast=True) & 0x7FFFFFFF) < _INFINITY
    units = flipped(tl.where(finite, grad, 0.0), word).to(tl.float64) * tl.load(per_unit + row)
    own = sums + (row.to(tl.int64) * copies + tile % copies) * d
    tl.atomic_add(own + column, tl.floor(units + 0.5).to(tl.int64), mask=inside, sem="relaxed")
    tl.store(spoiled + row.to(tl.int64) * d + column, float("nan"), mask=~finite)

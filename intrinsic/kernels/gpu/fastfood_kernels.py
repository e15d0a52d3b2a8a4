"""The kernels of Fastfood on a GPU: a tile of W = W_0 + lambda P theta, and of the adjoint.

The forward kernel reads W_0 and writes W, the adjoint reads gradients; theta, the tables and the rows that
describe the tensors come from caches, and everything random is made in registers.

Up to p = 2^13 a thread holds the words of its 32 elements from their first use to their last, and the adjoint its
sums over all tiles. A thread of a larger block holds 64 elements: registers for one set of values and no more. There
words are drawn again for each use, and the sums lie in the program's own row of `partial`, in the second-level cache.
"""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from intrinsic.kernels.gpu.access import left_of, pointer, task_of
from intrinsic.kernels.gpu.draw import (
    far_words,
    flipped,
    gaussians,
    lengths,
    near_words,
    permuted,
    rearranged,
    scales,
    words,
)
from intrinsic.kernels.gpu.tile import column, hadamard, place, spread, tuple_bits


@triton.constexpr_function
def holds_words(K):
    """Whether a thread keeps the words of its elements from their first use to their last."""
    return K <= 13


@triton.jit
def again(iota, W: tl.constexpr):
    """The numbers 0, 1, ... read once more, so that the compiler does not keep what was drawn from them before."""
    return tl.load(iota + tl.arange(0, 128 << W), volatile=True)


@triton.jit
def forward(
    theta, data, table, row_of, gauss, chi, iota, d,
    DTYPE: tl.constexpr, START: tl.constexpr, FOURS: tl.constexpr,
    K: tl.constexpr, R: tl.constexpr, W: tl.constexpr,
):  # fmt: skip
    """Write a tile of W_0 + lambda P theta.

    theta [p], padded with zeros; data [tensors, 3]: addresses of W, lambda, W_0.
    """
    t = tl.load(iota + tl.arange(0, 128 << W))  # loaded, so that what follows from it keeps the order of accesses
    row = tl.load(row_of + tl.program_id(0))
    seed, key, n, tile, _ = task_of(table, row, tl.program_id(0))
    first, start = tile << (7 + R + W - K), tile << (7 + R + W)
    HELD: tl.constexpr = holds_words(K)
    if HELD:
        ws = words(t, first, seed, key, False, K, R, W)
    else:
        ws = near_words(t, first, seed, key, K, R, W)
    xs = ()
    for r in tl.static_range(1 << R):
        at = tl.max_contiguous(tl.multiple_of(column(t, r, False, K, R, W), 4), 4)
        xs = xs + (flipped(tl.load(theta + at), ws[r]),)
    xs = hadamard(t, xs, K, R, W)
    us = rearranged(xs, permuted(t, first, seed, key, False, K, R, W), K, R, W)
    if not HELD:
        ws = near_words(again(iota, W), first, seed, key, K, R, W)
    gs = gaussians(ws, gauss, R, W)
    vs = ()
    for r in tl.static_range(1 << R):
        vs = vs + (us[r] * gs[r].to(tl.float32),)
    factor = scales(gs, d, K, R, W)
    vs = hadamard(t, vs, K, R, W)
    left = left_of(n, start, FOURS, 128 << (R + W))
    olds = ()
    if START:
        old = pointer(data + row * 3 + 2, DTYPE, FOURS) + start
        if HELD:  # on their way while the rest is made; a larger block has no registers for them
            for r in tl.static_range(1 << R):
                olds = olds + (_read(old, place(t, r, True, K, R, W), left),)
    if not HELD:
        ws = far_words(again(iota, W), first, seed, key, K, R, W)
    ss = lengths(ws, chi, R, W)
    weight = tl.load(pointer(data + row * 3 + 1, tl.float32, False))
    out = pointer(data + row * 3, DTYPE, FOURS) + start
    for r in tl.static_range(1 << R):
        y = ((ss[r] * factor[r >> tuple_bits(K, R)]) * vs[r]) * weight
        at = place(t, r, True, K, R, W)
        if START:
            if HELD:
                y = y + olds[r]
            else:
                y = y + _read(old, at, left)
        tl.store(out + at, y, mask=at < left)


@triton.jit
def _read(old, at, left):
    return tl.load(old + at, mask=at < left, eviction_policy="evict_first").to(tl.float32)


@triton.jit
def adjoint(
    data, partial, table, row_of, gauss, chi, iota, d,
    DTYPE: tl.constexpr, FOURS: tl.constexpr, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr,
):  # fmt: skip
    """Add up B H Pi^T G H S of a gradient over the tiles i, i + programs, ...

    data [tensors, 1]: addresses; partial [rows, p].
    """
    row = tl.load(row_of + tl.program_id(0))
    seed, key, n, tile, programs = task_of(table, row, tl.program_id(0))
    source = pointer(data + row, DTYPE, FOURS)
    HELD: tl.constexpr = holds_words(K)
    out = partial + (tl.program_id(0).to(tl.int64) << K)
    sums = ()
    for r in tl.static_range(1 << R):
        if HELD:
            sums = sums + (tl.zeros((128 << W,), tl.float32),)
    while (tile << (7 + R + W)) < n:
        t = tl.load(iota + tl.arange(0, 128 << W))  # here, so that no registers hold over the loop what follows from it
        first, start = tile << (7 + R + W - K), tile << (7 + R + W)
        if HELD:
            ws = words(t, first, seed, key, True, K, R, W)
        else:
            ws = near_words(t, first, seed, key, K, R, W)
        ss = lengths(ws, chi, R, W)
        left = left_of(n, start, FOURS, 128 << (R + W))
        xs = ()
        for r in tl.static_range(1 << R):
            at = place(t, r, False, K, R, W)
            grad = tl.load(source + start + at, mask=at < left, other=0.0, eviction_policy="evict_first")
            xs = xs + (grad.to(tl.float32) * ss[r],)
        xs = hadamard(t, xs, K, R, W)
        if not HELD:
            ws = far_words(again(iota, W), first, seed, key, K, R, W)
        gs = gaussians(ws, gauss, R, W)
        factor = scales(gs, d, K, R, W)
        vs = ()
        for r in tl.static_range(1 << R):
            vs = vs + (xs[r] * (gs[r].to(tl.float32) * factor[r >> tuple_bits(K, R)]),)
        us = rearranged(vs, permuted(t, first, seed, key, True, K, R, W), K, R, W)
        us = hadamard(t, us, K, R, W)
        if not HELD:
            ws = far_words(again(iota, W), first, seed, key, K, R, W)
        added = ()
        for r in tl.static_range(1 << R):
            if HELD:
                added = added + (sums[r] + flipped(us[r], ws[r]),)
            else:  # the tile is one block; each thread meets the numbers again that it has written itself
                at = out + column(t, r, True, K, R, W)
                before = tl.load(at, mask=t * 0 + tile >= programs, other=0.0)  # nothing before the first tile
                tl.store(at, before + flipped(us[r], ws[r]))
        sums = added
        tile += programs
    if HELD:
        _write_row(sums, out, K, R, W)


@triton.jit
def _write_row(sums, out, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """Write the sum of the tile's blocks: p numbers in order of their places."""
    G: tl.constexpr = spread(K, R, W)
    F: tl.constexpr = 1 << tuple_bits(K, R)
    at = tl.arange(0, (128 << W) // G)
    for i in tl.static_range(F):
        total = sums[i]
        for b in tl.static_range(1, 1 << (R - tuple_bits(K, R))):
            total += sums[b * F + i]
        total = tl.sum(tl.reshape(total, (G, (128 << W) // G)), 0)
        tl.store(out + i * ((128 << W) // G) + at, total)


@triton.jit
def add_rows(
    partial, out, table, d, K: tl.constexpr, TABLE_COLUMNS: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr
):
    """Add each tensor's rows of partial [rows, p] into out [tensors, d], in an order that depends on their number."""
    at = table + tl.program_id(1) * TABLE_COLUMNS
    first, rows = tl.load(at + 3), tl.load(at + 4)
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float64)
    start = first * 0
    while start < rows:
        row = start + tl.arange(0, ROWS)
        source = partial + (((first + row) << K)[:, None] + column[None, :])
        total += tl.load(source, mask=(row < rows)[:, None] & (column < d)[None, :], other=0.0)
        start += ROWS
    tl.store(out + tl.program_id(1).to(tl.int64) * d + column, tl.sum(total, 0).to(tl.float32), mask=column < d)

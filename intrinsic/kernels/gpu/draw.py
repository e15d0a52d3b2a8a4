"""The randomness of Fastfood on a tile, made from counters: words, permutation, table look-ups.

`intrinsic.projections.fastfood` defines what is drawn, `tile` the order of a tile's elements.
"""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from intrinsic.kernels import reference
from intrinsic.kernels.gpu.tile import (
    block,
    column,
    lane_bits,
    spread,
    stack,
    tuple_bits,
    turn,
    unstack,
    warp_bits,
)
from intrinsic.seeds import M0, M1, ROUNDS, W0, W1

_M0, _M1 = tl.constexpr(M0), tl.constexpr(M1)
_W0, _W1 = tl.constexpr(W0), tl.constexpr(W1)
_ROUNDS = tl.constexpr(ROUNDS)
VALUES, PERMUTATION = tl.constexpr(reference.VALUES), tl.constexpr(reference.PERMUTATION)


@triton.jit
def philox(index, stream: tl.constexpr, seed, key):
    """The four lanes of Philox4x32-10 of each counter.  index [...] int64; seed, key int64 bit patterns -> uint32."""
    c0, c1 = index.to(tl.uint32), (index >> 32).to(tl.uint32) | (stream << 16)
    c2, c3 = tl.zeros_like(c0) + key.to(tl.uint32), tl.zeros_like(c0) + (key >> 32).to(tl.uint32)
    k0, k1 = seed.to(tl.uint32), (seed >> 32).to(tl.uint32)
    for _ in tl.static_range(_ROUNDS):
        wide0, wide1 = c0.to(tl.uint64) * _M0, c2.to(tl.uint64) * _M1  # one instruction for both halves
        c0, c1 = (wide1 >> 32).to(tl.uint32) ^ c1 ^ k0, wide1.to(tl.uint32)
        c2, c3 = (wide0 >> 32).to(tl.uint32) ^ c3 ^ k1, wide0.to(tl.uint32)
        k0, k1 = k0 + _W0, k1 + _W1
    return c0, c1, c2, c3


@triton.jit
def words(t, first, seed, key, near_lengths: tl.constexpr, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The words of the tile whose first block is `first` (int64); K >= 4.

    A kernel multiplies by s at one end and by g and B's sign at the other, one of them in near order and the other
    in far order. So bits 12-23, which choose s, are those of the element at this place in near order
    (near_lengths) or in far order, and all other bits the other way round: one register for both.
    """
    far = far_words(t, first, seed, key, K, R, W)
    if warp_bits(K, R) == 0:
        return far
    near = turn(far, False, K, R, W)
    mixed = ()
    for r in tl.static_range(1 << R):
        apart = (near[r] ^ far[r]) & 0xFFF000
        if near_lengths:
            mixed = mixed + (far[r] ^ apart,)
        else:
            mixed = mixed + (near[r] ^ apart,)
    return mixed


@triton.jit
def near_words(t, first, seed, key, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The words of the tile's elements in near order; warp_bits > 0."""
    return turn(far_words(t, first, seed, key, K, R, W), False, K, R, W)


@triton.jit
def far_words(t, first, seed, key, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The words of the tile's elements in far order."""
    quarter: tl.constexpr = tuple_bits(K, R) - 2
    made = ()
    for b in tl.static_range(1 << (R - tuple_bits(K, R))):
        w0 = ()
        w1 = ()
        w2 = ()
        w3 = ()
        for i in tl.static_range(1 << quarter):  # the two topmost bits of the place choose the lane
            of_tile = block(t, (b << (quarter + 2)) + i, K, R, W)
            index = ((first + of_tile) << (K - 2)) + column(t, (b << (quarter + 2)) + i, True, K, R, W)
            a, c, e, f = philox(index, VALUES, seed, key)
            w0 = w0 + (a,)
            w1 = w1 + (c,)
            w2 = w2 + (e,)
            w3 = w3 + (f,)
        made = made + w0 + w1 + w2 + w3
    return made


@triton.constexpr_function
def rounds(K):
    """The rounds of the permutation of a block of 2^K."""
    return 4 if K >= 7 else 8  # `reference.permutation_rounds`, which a kernel cannot call


@triton.jit
def permuted(t, first, seed, key, inverse: tl.constexpr, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The place in the tile of element pi(i), or of pi^-1(i), of i's block, for each element i in near order."""
    shift: tl.constexpr = max(1, (K + 1) // 2)
    top: tl.constexpr = 0xFFFFFFFF ^ ((1 << (32 - K)) - 1)
    made = ()
    for b in tl.static_range(1 << (R - tuple_bits(K, R))):
        keys = _round_keys(first, seed, key, b, inverse, K, R, W)
        for i in tl.static_range(1 << tuple_bits(K, R)):
            # x 2^(32-K): so held, x wraps modulo 2^K by itself
            x = column(t, (b << tuple_bits(K, R)) + i, False, K, R, W).to(tl.uint32) << (32 - K)
            for m in tl.static_range(rounds(K)):
                if inverse:  # x ^ (x >> shift) is its own inverse, for 2 t >= K
                    x = x ^ ((x >> shift) & top)
                    x = (x - keys[2 * (rounds(K) - 1 - m) + 1]) * keys[2 * (rounds(K) - 1 - m)]
                else:
                    x = x * keys[2 * m] + keys[2 * m + 1]
                    x = x ^ ((x >> shift) & top)
            inside = (x >> (32 - K)).to(tl.int32)
            made = made + ((block(t, (b << tuple_bits(K, R)) + i, K, R, W) << K) + inside,)
    return made


@triton.jit
def _round_keys(
    first, seed, key, b: tl.constexpr, inverse: tl.constexpr, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr
):
    """Factor (its inverse mod 2^32, if asked) and offset of each round, for the blocks that a thread holds as its b-th.

    A warp holds `apart` such blocks. Its lanes evaluate Philox once for all of them, lane l counter l div
    apart of block l mod apart, and fetch what they need from each other.
    """
    apart: tl.constexpr = 1 << (5 - lane_bits(K))
    lane = tl.arange(0, 32 << W) % 32
    of_warp = tl.arange(0, 32 << W) >> (5 + warp_bits(K, R))
    of_tile = (((of_warp << (R - tuple_bits(K, R))) + b) << (5 - lane_bits(K))) + lane % apart
    mine = lane >> lane_bits(K)
    keys = ()
    for c in tl.static_range(rounds(K) // 2):
        if (c * apart) % 32 == 0:
            counter = (first + of_tile) * 4 + (c + lane // apart)
            factor0, offset0, factor1, offset1 = philox(counter, PERMUTATION, seed, key)
            factor0, factor1 = factor0 | 1, factor1 | 1
            if inverse:
                factor0, factor1 = _reciprocal(factor0), _reciprocal(factor1)
        source = mine + (c * apart) % 32
        keys = keys + (_fetch(factor0, source, W), _fetch(offset0, source, W) << (32 - K))
        keys = keys + (_fetch(factor1, source, W), _fetch(offset1, source, W) << (32 - K))
    return keys


@triton.jit
def _reciprocal(x):
    """The inverse of odd x mod 2^32: x itself is right to 3 bits, each Newton step doubles them."""
    y = x
    for _ in tl.static_range(4):
        y = y * (2 - x * y)
    return y


@triton.jit
def _fetch(x, source, W: tl.constexpr):
    """The value that lane `source` of the warp holds, for each thread's four elements.  [32 * 2^W] -> [128 * 2^W]."""
    y = tl.gather(tl.reshape(x, (1 << W, 32)), tl.reshape(source, (1 << W, 32)), 1)
    return tl.reshape(tl.broadcast_to(tl.reshape(y, (32 << W,))[:, None], (32 << W, 4)), (128 << W,))


@triton.jit
def rearranged(xs, places, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The values of xs (far order) at the given places of the tile, in the order of `places`; through shared memory."""
    A: tl.constexpr = 1 << (W - warp_bits(K, R))
    B: tl.constexpr = 1 << warp_bits(K, R)
    C: tl.constexpr = 1 << (5 - lane_bits(K))
    D: tl.constexpr = 4 << lane_bits(K)
    E: tl.constexpr = 1 << (R - tuple_bits(K, R))
    F: tl.constexpr = 1 << tuple_bits(K, R)
    y = tl.reshape(stack(xs, R), (A, B, C, D, E, F))
    source = tl.reshape(tl.permute(y, (0, 4, 2, 5, 1, 3)), (128 << (W + R),))  # block, then place in it
    index = tl.reshape(stack(places, R), (128 << (W + R),))
    return unstack(tl.reshape(tl.gather(source, index, 0), (128 << W, 1 << R)), R)


@triton.jit
def looked_up(table, indices, R: tl.constexpr, W: tl.constexpr):
    """The entries of a table of 4096, through shared memory: random reads there meet few conflicts."""
    source = tl.load(table + tl.arange(0, 4096))
    index = tl.reshape(stack(indices, R), (128 << (W + R),))
    return unstack(tl.reshape(tl.gather(source, index, 0), (128 << W, 1 << R)), R)


@triton.jit
def gaussians(ws, table, R: tl.constexpr, W: tl.constexpr):
    """The gaussian g of each word in units of 2^-16, as int32."""
    indices = ()
    for r in tl.static_range(1 << R):
        indices = indices + ((ws[r] & 0xFFF).to(tl.int32),)
    return looked_up(table, indices, R, W)


@triton.jit
def lengths(ws, table, R: tl.constexpr, W: tl.constexpr):
    """The length s of each word's row, before the block's scale."""
    indices = ()
    for r in tl.static_range(1 << R):
        indices = indices + (((ws[r] >> 12) & 0xFFF).to(tl.int32),)
    return looked_up(table, indices, R, W)


@triton.jit
def scales(gs, d, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The scale 2^-16 / (||g|| sqrt(d)) of each element's block, g in units of 2^-16: squares are summed exactly."""
    G: tl.constexpr = spread(K, R, W)
    F: tl.constexpr = 1 << tuple_bits(K, R)
    made = ()
    for b in tl.static_range(1 << (R - tuple_bits(K, R))):
        total = tl.zeros((128 << W,), tl.int64)
        for i in tl.static_range(F):
            g = gs[b * F + i].to(tl.int64)
            total += g * g
        norm = tl.sqrt(tl.sum(tl.reshape(total, (G, (128 << W) // G)), 1).to(tl.float64)) / 65536.0
        scale = (1.0 / (norm * tl.sqrt(d.to(tl.float64)))).to(tl.float32) / 65536.0
        made = made + (tl.reshape(tl.broadcast_to(scale[:, None], (G, (128 << W) // G)), (128 << W,)),)
    return made


@triton.jit
def flipped(x, w):
    """The value x, negated where bit 31 of the word is set."""
    return (x.to(tl.uint32, bitcast=True) ^ (w & 0x80000000)).to(tl.float32, bitcast=True)


@triton.jit
def write_parts(words, places, names, first, count, K: tl.constexpr, SIZE: tl.constexpr):
    """Write word and pi of each element of the blocks first, first + 1, ...

    names: seed and key; words int32; places int64.
    """
    seed, key = tl.load(names), tl.load(names + 1)
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    block, inside = first + (at >> K), at & ((1 << K) - 1)
    QUARTER: tl.constexpr = max(0, K - 2)
    a, b, c, e = philox((block << QUARTER) + (inside & ((1 << QUARTER) - 1)), VALUES, seed, key)
    lane = inside >> QUARTER
    word = tl.where(lane < 2, tl.where(lane == 0, a, b), tl.where(lane == 2, c, e))
    x = inside.to(tl.uint32)
    for i in tl.static_range(rounds(K) // 2):
        factor0, offset0, factor1, offset1 = philox(block * 4 + i, PERMUTATION, seed, key)
        x = _round(x, factor0 | 1, offset0, K)
        x = _round(x, factor1 | 1, offset1, K)
    tl.store(words + at, word.to(tl.int32, bitcast=True), mask=at < count)
    tl.store(places + at, x.to(tl.int64), mask=at < count)


@triton.jit
def _round(x, factor, offset, K: tl.constexpr):
    x = (x * factor + offset) & ((1 << K) - 1)
    return x ^ (x >> max(1, (K + 1) // 2))

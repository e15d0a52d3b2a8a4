"""The order in which a program holds its tile of elements, and the Walsh-Hadamard transform on it.

A program of 2^W warps works on a tile of 2^R tensors of 128 * 2^W elements: a thread holds 2^R times four
neighbours. The tensors are separate values in a tuple, so that a stage of the transform between two of them
is a plain addition, and only three kinds of exchange are left:

    bits of an element's place in its block of p = 2^K, from the lowest
    2            the four neighbours of a thread            stages in registers
    lane_bits    lanes of a warp                            stages by warp shuffle
    tuple_bits   which tensor of the tuple                  stages in registers
    warp_bits    which warp ("near"); see `turn`            after one exchange through shared memory

What is left over of lanes, tuple and warps counts the blocks of the tile. The two topmost bits of the place
always lie in the tuple (K >= 4), so that the four lanes of one Philox counter are four values of one thread.
In the "far" order, warp_bits and the lowest bits of the tuple have changed places: the tuple then holds the
topmost bits of the place. Where warp_bits is 0 (p <= 128 * 2^R), near and far are the same.
"""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl


@triton.constexpr_function
def lane_bits(K):
    """The number of bits of a place that choose the lane."""
    return max(0, min(5, K - 4))


@triton.constexpr_function
def tuple_bits(K, R):
    """The number of bits of a place that choose the tensor of the tuple."""
    return max(0, min(R, K - 2 - lane_bits(K)))


@triton.constexpr_function
def warp_bits(K, R):
    """The number of bits of a place that choose the warp."""
    return max(0, K - 2 - lane_bits(K) - tuple_bits(K, R))


@triton.constexpr_function
def spread(K, R, W):
    """The number of blocks of a tile that differ in lane or warp; times 2^(R - tuple_bits) in the tuple."""
    return 1 << (5 - lane_bits(K) + W - warp_bits(K, R))


@triton.jit
def column(t, r: tl.constexpr, far: tl.constexpr, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The place in its block of each element of tensor r.  -> [128 * 2^W] int32."""
    low = t % (4 << lane_bits(K))
    inside: tl.constexpr = r % (1 << tuple_bits(K, R))
    if warp_bits(K, R) == 0:
        return low + (inside << (2 + lane_bits(K)))
    warp = (t // 128) % (1 << warp_bits(K, R))
    if far:
        return low + warp * 128 + (inside << (7 + warp_bits(K, R)))
    return low + warp * (128 << R) + inside * 128


@triton.jit
def block(t, r: tl.constexpr, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The block of the tile that each element of tensor r belongs to.  -> [128 * 2^W] int32."""
    of_lane = (t % 128) >> (2 + lane_bits(K))
    of_tuple: tl.constexpr = r >> tuple_bits(K, R)
    of_warp = t >> (7 + warp_bits(K, R))
    return of_lane + (((of_warp << (R - tuple_bits(K, R))) + of_tuple) << (5 - lane_bits(K)))


@triton.jit
def place(t, r: tl.constexpr, far: tl.constexpr, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The place in the tile of each element of tensor r, blocks one after the other; K >= 2.  -> [128 * 2^W] int32."""
    at = (block(t, r, K, R, W) << K) + column(t, r, far, K, R, W)
    return tl.max_contiguous(tl.multiple_of(at, 4), 4)  # four neighbours a thread: one access of 16 bytes


@triton.jit
def hadamard(t, xs, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """The transform of every block of the tile: near order in, far order out. Stages h = 1, 2, 4, ... p/2."""
    out = ()
    for i in tl.static_range(1 << R):
        out = out + (_neighbours(xs[i], W),)
    lane = (t >> 2) & 31
    for s in tl.static_range(lane_bits(K)):
        sign = 1.0 - 2.0 * ((lane >> s) & 1).to(tl.float32)
        xs = out
        out = ()
        for i in tl.static_range(1 << R):
            out = out + (_lanes(xs[i], sign, 1 << s, W),)
    for s in tl.static_range(tuple_bits(K, R)):
        out = butterflies(out, 1 << s)
    if warp_bits(K, R) > 0:
        out = turn(out, True, K, R, W)
        for s in tl.static_range(R - warp_bits(K, R), R):
            out = butterflies(out, 1 << s)
    return out


@triton.jit
def butterflies(xs, h: tl.constexpr):
    """One stage between the tensors of a tuple."""
    out = ()
    for i in tl.static_range(len(xs)):
        if i & h:
            out = out + (xs[i - h] - xs[i],)
        else:
            out = out + (xs[i] + xs[i + h],)
    return out


@triton.jit
def _neighbours(x, W: tl.constexpr):
    """Stages 1 and 2, on the four elements that a thread holds."""
    y = tl.reshape(x, (32 << W, 2, 2))
    even, odd = tl.split(y)
    total, change = even + odd, even - odd  # [32 * 2^W, 2]: still apart by the second bit
    a, c = tl.split(total)
    b, d = tl.split(change)
    lower, upper = tl.join(a + c, b + d), tl.join(a - c, b - d)
    return tl.reshape(tl.permute(tl.join(lower, upper), (0, 2, 1)), (128 << W,))


@triton.jit
def _lanes(x, sign, h: tl.constexpr, W: tl.constexpr):
    """One stage between lanes: x of the partner plus or minus one's own; sign is exact, so is the product."""
    partner = tl.broadcast_to((tl.arange(0, 32) ^ h)[None, :, None], (1 << W, 32, 4))
    other = tl.gather(tl.reshape(x, (1 << W, 32, 4)), partner, 1)
    return tl.fma(x, sign, tl.reshape(other, (128 << W,)))


@triton.jit
def turn(xs, to_far: tl.constexpr, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """Turn near into far order or back: warp_bits change places with bits of the tuple, through shared memory."""
    B: tl.constexpr = warp_bits(K, R)
    rest: tl.constexpr = 1 << (R - B)
    made = ()
    for g in tl.static_range(rest):
        group = ()
        for i in tl.static_range(1 << B):
            if to_far:
                group = group + (xs[(g << B) + i],)
            else:
                group = group + (xs[i * rest + g],)
        y = tl.reshape(stack(group, B), (1 << (W - B), 1 << B, 128, 1 << B))
        y = tl.reshape(tl.permute(y, (0, 3, 2, 1)), (128 << W, 1 << B))
        made = made + unstack(y, B)
    out = ()
    for r in tl.static_range(1 << R):
        if to_far:
            out = out + (made[((r % rest) << B) + r // rest],)
        else:
            out = out + (made[r],)
    return out


@triton.jit
def stack(xs, bits: tl.constexpr):
    """One tensor [n, 2^bits] of 2^bits tensors [n]."""
    for s in tl.static_range(bits):
        out = ()
        for i in tl.static_range(len(xs) // 2):
            out = out + (tl.join(xs[i], xs[i + len(xs) // 2]),)
        xs = out
    return tl.reshape(xs[0], (xs[0].shape[0], 1 << bits))


@triton.jit
def unstack(x, bits: tl.constexpr):
    """The inverse of stack."""
    n: tl.constexpr = x.shape[0]
    parts = (x,)
    for s in tl.static_range(bits):
        lower = ()
        upper = ()
        for i in tl.static_range(1 << s):
            a, b = tl.split(tl.reshape(parts[i], (n, 1 << (bits - 1 - s), 2)))
            lower = lower + (a,)
            upper = upper + (b,)
        parts = lower + upper
    out = ()
    for i in tl.static_range(1 << bits):
        out = out + (tl.reshape(parts[i], (n,)),)
    return out


LARGEST = 1 << 15
"""The longest row of the transform, and block of Fastfood, that one program holds."""


def tile_shape(p: int) -> tuple[int, int, int]:
    """The shape (K, R, W) of tiles for blocks of p = 2 ... 2^15.

    32 elements a thread, 64 where the exchange asks for it, 16 for short blocks, of which a thread holds many, each
    with keys and a norm of its own.
    """
    K = p.bit_length() - 1
    return K, (2 if K <= 6 else 3 if K <= 13 else 4), {13: 3, 14: 3, 15: 4}.get(K, 2)

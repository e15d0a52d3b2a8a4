"""The kernels of the Walsh-Hadamard transform on a GPU: see `transform`."""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from intrinsic.kernels.gpu.tile import butterflies, hadamard, place


@triton.jit
def rows(x, count, K: tl.constexpr, R: tl.constexpr, W: tl.constexpr):
    """Transform one tile of 2^(7+R+W) elements, whole rows; `count`, a multiple of 4, elements exist."""
    t = tl.arange(0, 128 << W)
    start = tl.program_id(0).to(tl.int64) << (7 + R + W)
    left = tl.multiple_of(tl.minimum(count - start, 128 << (R + W)).to(tl.int32), 4)
    xs = ()
    for r in tl.static_range(1 << R):
        at = place(t, r, False, K, R, W)
        xs = xs + (tl.load(x + start + at, mask=at < left, other=0.0, eviction_policy="evict_first"),)
    xs = hadamard(t, xs, K, R, W)
    for r in tl.static_range(1 << R):
        at = place(t, r, True, K, R, W)
        tl.store(x + start + at, xs[r], mask=at < left)


@triton.jit
def columns(x, H: tl.constexpr, S: tl.constexpr, CHUNK: tl.constexpr):
    """Apply stages 2^H, ... 2^(H+S-1) to CHUNK neighbouring columns of a matrix [2^S, 2^H]; CHUNK divides 2^H."""
    chunks: tl.constexpr = (1 << H) // CHUNK
    program = tl.program_id(0).to(tl.int64)
    at = x + ((program // chunks) << (H + S)) + (program % chunks) * CHUNK + tl.arange(0, CHUNK)
    xs = ()
    for r in tl.static_range(1 << S):
        xs = xs + (tl.load(at + (r << H)),)
    for s in tl.static_range(S):
        xs = butterflies(xs, 1 << s)
    for r in tl.static_range(1 << S):
        tl.store(at + (r << H), xs[r])

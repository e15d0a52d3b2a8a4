"""The kernels on CPU, compiled by numba: randomness is made in the loop, nothing is stored.

They serve what `native` does not: float64, and machines on which it could not be built.

Work is cut into chunks of blocks (or rows) that threads take in turn; numba releases the interpreter lock, so
plain Python threads suffice, as many as torch.get_num_threads() allows. Forward results are written to
disjoint places. Adjoint sums go to one float64 accumulator a chunk and are added in the chunks' order; the
chunks depend on (n, p) alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import sqrt
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from intrinsic.kernels import chunks, tables
from intrinsic.kernels.pieces import Piece
from intrinsic.kernels.reference import PERMUTATION, VALUES, block_size
from intrinsic.seeds import M0, M1, W0, W1

Array = NDArray[Any]

_jit = njit(cache=True, nogil=True, error_model="numpy")
_inline = njit(cache=True, nogil=True, error_model="numpy", inline="always")

_M0, _M1, _W0, _W1 = np.uint64(M0), np.uint64(M1), np.uint32(W0), np.uint32(W1)
_32 = np.uint64(32)
_OPERATIONS = ("words", "fastfood_forward", "fastfood_adjoint", "hashed_forward", "hashed_adjoint")
_COUNTERS_A_UNIT = chunks.ROWS_A_UNIT // 4


@_inline
def _philox(index, k0, k1, stream, key0, key1):  # type: ignore[no-untyped-def]
    c0 = np.uint32(index)
    c1 = np.uint32(index >> _32) | np.uint32(stream << np.uint32(16))
    c2 = key0
    c3 = key1
    for _ in range(10):
        p0 = _M0 * np.uint64(c0)
        p1 = _M1 * np.uint64(c2)
        c0 = np.uint32(p1 >> _32) ^ c1 ^ k0
        c1 = np.uint32(p1)
        c2 = np.uint32(p0 >> _32) ^ c3 ^ k1
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return c0, c1, c2, c3


@_jit
def _words(out, start, k0, k1, stream, key0, key1):  # type: ignore[no-untyped-def]
    """Fill out with words start, start + 1, ...; start is a multiple of 4 and so is out's length."""
    for i in range(out.size // 4):
        a, b, c, d = _philox(np.uint64(start // 4 + i), k0, k1, stream, key0, key1)
        out[4 * i], out[4 * i + 1], out[4 * i + 2], out[4 * i + 3] = a, b, c, d


@_jit
def _block_words(w, j, k0, k1, key0, key1):  # type: ignore[no-untyped-def]
    """Fill w with Fastfood's words of block j: lane l of counter j q + i stands at l q + i."""
    p = w.size
    if p < 4:
        a, b, _, _ = _philox(np.uint64(j), k0, k1, np.uint32(VALUES), key0, key1)
        w[0] = a
        if p > 1:
            w[1] = b
        return
    q = p // 4
    w0, w1, w2, w3 = w[:q], w[q : 2 * q], w[2 * q : 3 * q], w[3 * q :]
    first = np.uint64(j) * np.uint64(q)
    for i in range(q):
        a, b, c, d = _philox(first + np.uint64(i), k0, k1, np.uint32(VALUES), key0, key1)
        w0[i] = a
        w1[i] = b
        w2[i] = c
        w3[i] = d


@_jit
def _block_permutation(pi, j, k0, k1, key0, key1):  # type: ignore[no-untyped-def]
    p = pi.size
    k = 0
    while (1 << k) < p:
        k += 1
    shift = np.uint32(max(1, (k + 1) // 2))
    mask = np.uint32(p - 1)
    stream = np.uint32(PERMUTATION)
    keys = np.empty(16, np.uint32)
    for i in range(4):
        a, b, c, d = _philox(np.uint64(4 * j + i), k0, k1, stream, key0, key1)
        keys[4 * i], keys[4 * i + 1], keys[4 * i + 2], keys[4 * i + 3] = a, b, c, d
    for i in range(p):
        pi[i] = i
    for r in range(4 if p >= 128 else 8):
        factor = keys[2 * r] | np.uint32(1)
        offset = keys[2 * r + 1]
        for i in range(p):
            x = np.uint32(pi[i] * factor + offset) & mask
            pi[i] = x ^ (x >> shift)


@_jit
def _radix16(x):  # type: ignore[no-untyped-def]
    """Apply stages h = 1, 2, 4, 8 to sixteen neighbours at once."""
    for base in range(0, x.size, 16):
        y = x[base : base + 16]
        for h in (1, 2, 4, 8):
            for g in range(0, 16, 2 * h):
                for i in range(g, g + h):
                    a = y[i]
                    b = y[i + h]
                    y[i] = a + b
                    y[i + h] = a - b


@_jit
def _fwht(x):  # type: ignore[no-untyped-def]
    p = x.size
    h = 1
    if p >= 16:
        _radix16(x)
        h = 16
    while h < p:
        for base in range(0, p, 2 * h):
            lo = x[base : base + h]
            hi = x[base + h : base + 2 * h]
            for i in range(h):
                a = lo[i]
                b = hi[i]
                lo[i] = a + b
                hi[i] = a - b
        h *= 2


@_jit
def _block_scale(w, gauss_fixed, root_d):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for i in range(w.size):
        g = gauss_fixed[w[i] & np.uint32(0xFFF)]
        total += g * g
    return 1.0 / (np.sqrt(np.float64(total)) / 65536.0 * root_d)


@_jit
def _fastfood_forward(theta, out, first, last, p, k0, k1, key0, key1, gauss_fixed, gauss, spread, root_d):  # type: ignore[no-untyped-def]
    n = out.size
    d = theta.size
    w = np.empty(p, np.uint32)
    pi = np.empty(p, np.uint32)
    u = np.empty(p, theta.dtype)
    v = np.empty(p, theta.dtype)
    for j in range(first, last):
        _block_words(w, j, k0, k1, key0, key1)
        _block_permutation(pi, j, k0, k1, key0, key1)
        scale = theta.dtype.type(_block_scale(w, gauss_fixed, root_d))
        for i in range(d):
            t = theta[i]
            u[i] = -t if w[i] >> np.uint32(31) else t
        u[d:] = 0
        _fwht(u)
        for i in range(p):
            v[i] = gauss[w[i] & np.uint32(0xFFF)] * u[pi[i]]
        _fwht(v)
        row = j * p
        for i in range(min(p, n - row)):
            out[row + i] = spread[(w[i] >> np.uint32(12)) & np.uint32(0xFFF)] * scale * v[i]


@_jit
def _fastfood_adjoint(grad, total, first, last, p, k0, k1, key0, key1, gauss_fixed, gauss, spread, root_d):  # type: ignore[no-untyped-def]
    n = grad.size
    w = np.empty(p, np.uint32)
    pi = np.empty(p, np.uint32)
    u = np.empty(p, grad.dtype)
    v = np.empty(p, grad.dtype)
    for j in range(first, last):
        _block_words(w, j, k0, k1, key0, key1)
        _block_permutation(pi, j, k0, k1, key0, key1)
        scale = grad.dtype.type(_block_scale(w, gauss_fixed, root_d))
        row = j * p
        rows = min(p, n - row)
        for i in range(rows):
            v[i] = spread[(w[i] >> np.uint32(12)) & np.uint32(0xFFF)] * scale * grad[row + i]
        v[rows:] = 0
        _fwht(v)
        for i in range(p):
            u[pi[i]] = gauss[w[i] & np.uint32(0xFFF)] * v[i]
        _fwht(u)
        for i in range(total.size):
            t = np.float64(u[i])
            total[i] += -t if w[i] >> np.uint32(31) else t


@_jit
def _hashed_forward(theta, out, first, last, k0, k1, key0, key1):  # type: ignore[no-untyped-def]
    d = np.uint64(theta.size)
    w = np.empty(4, np.uint32)
    for c in range(first, last):
        w[0], w[1], w[2], w[3] = _philox(np.uint64(c), k0, k1, np.uint32(VALUES), key0, key1)
        for lane in range(min(4, out.size - 4 * c)):
            column = (np.uint64(w[lane] & np.uint32(0x7FFFFFFF)) * d) >> np.uint64(31)
            t = theta[column]
            out[4 * c + lane] = -t if w[lane] >> np.uint32(31) else t


@_jit
def _hashed_adjoint(grad, total, first, last, k0, k1, key0, key1):  # type: ignore[no-untyped-def]
    d = np.uint64(total.size)
    w = np.empty(4, np.uint32)
    for c in range(first, last):
        w[0], w[1], w[2], w[3] = _philox(np.uint64(c), k0, k1, np.uint32(VALUES), key0, key1)
        for lane in range(min(4, grad.size - 4 * c)):
            column = (np.uint64(w[lane] & np.uint32(0x7FFFFFFF)) * d) >> np.uint64(31)
            t = np.float64(grad[4 * c + lane])
            total[column] += -t if w[lane] >> np.uint32(31) else t


def serves(operation: str, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this backend has `operation` for tensors of this device and dtype."""
    return operation in _OPERATIONS and device.type == "cpu"


def words(seed: int, key: int, stream: int, start: int, count: int) -> Tensor:
    """The words of a stream, as `reference.words`, on the CPU.  -> [count] int64"""
    skip = start % 4
    out = np.empty(-(-(skip + count) // 4) * 4, np.uint32)
    k0, k1, key0, key1 = _split(seed, key)
    _words(out, start - skip, k0, k1, np.uint32(stream), key0, key1)
    return torch.from_numpy(out[skip : skip + count].astype(np.int64))


def fastfood_forward(theta: Tensor, seed: int, pieces: Sequence[Piece]) -> list[Tensor]:
    """W of each piece by Fastfood, bit for bit as the reference."""
    p, source = block_size(theta.numel()), theta.numpy()

    def shift(piece: Piece) -> Tensor:
        out = torch.empty(piece.n, dtype=theta.dtype)
        args, target = _fastfood_args(theta, seed, piece.key, p, theta.numel()), out.numpy()
        _each_chunk(
            -(-piece.n // p), chunks.forward_size(p), lambda a, b: _fastfood_forward(source, target, a, b, p, *args)
        )
        return out

    return [piece.moved(shift(piece)) for piece in pieces]


def fastfood_adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """Fastfood's P(key)^T g for each g; as the reference but for the order in which blocks are summed.

    -> [len(grads), dim]
    """
    p = block_size(dim)

    def pulled(grad: Tensor, key: int) -> Tensor:
        args, source = _fastfood_args(grad, seed, key, p, dim), grad.numpy()
        return _summed(grad, dim, p, lambda total, a, b: _fastfood_adjoint(source, total, a, b, p, *args))

    return torch.stack([pulled(grad, key) for grad, key in zip(grads, keys, strict=True)])


def hashed_forward(theta: Tensor, seed: int, pieces: Sequence[Piece]) -> list[Tensor]:
    """W of each piece for P with one signed entry a row, bit for bit as the reference."""
    source = theta.numpy()

    def shift(piece: Piece) -> Tensor:
        out = torch.empty(piece.n, dtype=theta.dtype)
        args, target = _split(seed, piece.key), out.numpy()
        size = chunks.forward_size(4)
        _each_chunk(-(-piece.n // 4), size, lambda a, b: _hashed_forward(source, target, a, b, *args))
        return out

    return [piece.moved(shift(piece)) for piece in pieces]


def hashed_adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """The products P(key)^T g with one signed entry a row, summed in float64.  -> [len(grads), dim]"""

    def pulled(grad: Tensor, key: int) -> Tensor:
        args, source = _split(seed, key), grad.numpy()
        counters = -(-grad.numel() // 4)
        return _summed(
            grad,
            dim,
            chunks.ROWS_A_UNIT,
            lambda total, a, b: _hashed_adjoint(
                source, total, a * _COUNTERS_A_UNIT, min(b * _COUNTERS_A_UNIT, counters), *args
            ),
        )

    return torch.stack([pulled(grad, key) for grad, key in zip(grads, keys, strict=True)])


def _split(seed: int, key: int) -> tuple[np.uint32, np.uint32, np.uint32, np.uint32]:
    return (
        np.uint32(seed & 0xFFFFFFFF),
        np.uint32(seed >> 32),
        np.uint32(key & 0xFFFFFFFF),
        np.uint32(key >> 32),
    )


def _fastfood_args(like: Tensor, seed: int, key: int, p: int, d: int) -> tuple[Any, ...]:
    gauss = tables.gaussian_tensor(12, like.device, like.dtype).numpy()
    spread = tables.chi_tensor(p, like.device, like.dtype).numpy()
    return (*_split(seed, key), tables.gaussian(12), gauss, spread, sqrt(d))


def _summed(grad: Tensor, dim: int, unit: int, work: Callable[[Array, int, int], None]) -> Tensor:
    """The sum of `work` over the chunks of grad's units of `unit` rows.  -> [dim]"""
    units, size = -(-grad.numel() // unit), chunks.adjoint_size(grad.numel(), unit)
    totals = np.zeros((-(-units // size), dim), np.float64)
    _each_chunk(units, size, lambda a, b: work(totals[a // size], a, b))
    return torch.from_numpy(np.add.reduce(totals, axis=0)).to(grad.dtype)


def _each_chunk(units: int, size: int, work: Callable[[int, int], None]) -> None:
    """Call work(first, last) for chunks of `size` units, on torch's number of threads."""
    threads = torch.get_num_threads()
    starts = range(0, units, size)
    if threads == 1 or len(starts) == 1:
        for a in starts:
            work(a, min(a + size, units))
        return
    for done in [_pool(os.getpid(), threads).submit(work, a, min(a + size, units)) for a in starts]:
        done.result()


@cache
def _pool(pid: int, threads: int) -> ThreadPoolExecutor:
    """The pool of threads, one for each process (a fork inherits no threads) and thread count."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"intrinsic-{pid}")

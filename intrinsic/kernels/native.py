"""The kernels on CPU in C (intrinsic/kernels/csrc), float32: vectorised, one pass over the weights, nothing stored.

Forward results equal the reference's to the last bit. Adjoint sums go to one float64 row a chunk and are added in
the chunks' order; the chunks depend on (n, p) alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic.kernels import library, memory, tables
from intrinsic.kernels.chunks import ROWS_A_UNIT, adjoint_size, forward_size
from intrinsic.kernels.library import Fill, Job, Task, Transform
from intrinsic.kernels.pieces import Piece
from intrinsic.kernels.reference import block_size

_OPERATIONS = (
    *("fastfood_forward", "fastfood_adjoint", "hashed_forward", "hashed_adjoint", "sparse_forward", "sparse_adjoint"),
    *("gaussians", "fwht_"),
)
_LEAST_BLOCK = 128
"""The least block p of Fastfood's kernels; smaller ones have kernels of their own, which take as many at once as fill a
unit. The kernels hold the rounds of `reference.permutation_rounds`, which change at this size too."""
_TOTALS = 1 << 25
"""The most partial sums held at once, in float64 numbers; a group that needs more goes in parts."""


def serves(operation: str, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this backend has `operation` for tensors of this device and dtype."""
    return operation in _OPERATIONS and device.type == "cpu" and dtype == torch.float32 and bool(library.available())


# ---------------------------------------------------------------------- projections


def fastfood_forward(theta: Tensor, seed: int, pieces: Sequence[Piece]) -> list[Tensor]:
    """W of each piece by Fastfood, bit for bit as the reference, with W_0 and lambda in the same pass."""
    p = block_size(theta.numel())
    padded = torch.zeros(p)
    padded[: theta.numel()] = theta
    job = _fastfood_job(seed, theta.numel(), p)
    if p < _LEAST_BLOCK:
        return _forward(library.chosen().small_forward, padded, ROWS_A_UNIT, pieces, job)
    return _forward(library.chosen().fastfood_forward, padded, p, pieces, job)


def fastfood_adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """Fastfood's P(key)^T g for each g.  -> [len(grads), dim]

    As the reference but for the order in which blocks are summed and where a block's scale is multiplied in.
    """
    p = block_size(dim)
    job = _fastfood_job(seed, dim, p)
    if p < _LEAST_BLOCK:
        job.stride = ROWS_A_UNIT
        return _adjoint(library.chosen().small_adjoint, grads, keys, ROWS_A_UNIT, job, ROWS_A_UNIT // p)
    return _adjoint(library.chosen().fastfood_adjoint, grads, keys, p, job)


def _fastfood_job(seed: int, dim: int, p: int) -> Job:
    cpu = torch.device("cpu")
    gauss, spread = tables.gaussian_tensor(12, cpu, torch.float32), tables.chi_tensor(p, cpu, torch.float32)
    return Job(seed=seed, dim=dim, stride=p, gauss=gauss.data_ptr(), spread=spread.data_ptr())  # tables stay cached


def hashed_forward(theta: Tensor, seed: int, pieces: Sequence[Piece]) -> list[Tensor]:
    """W of each piece for P with one signed entry a row, bit for bit as the reference, in one pass."""
    job = Job(seed=seed, dim=theta.numel(), stride=theta.numel())
    return _forward(library.chosen().hashed_forward, theta, ROWS_A_UNIT, pieces, job)


def hashed_adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """The products P(key)^T g with one signed entry a row, summed in float64.  -> [len(grads), dim]"""
    return _adjoint(library.chosen().hashed_adjoint, grads, keys, ROWS_A_UNIT, Job(seed=seed, dim=dim, stride=dim))


def sparse_forward(
    theta: Tensor, seed: int, pieces: Sequence[Piece], thresholds: Tensor, magnitude: Tensor
) -> list[Tensor]:
    """W of each piece for P with a few entries +-magnitude a row, bit for bit as the reference."""
    words = thresholds.numpy().astype(np.uint32)
    job = _sparse_job(seed, theta.numel(), words, magnitude)
    return _forward(library.chosen().sparse_forward, theta, ROWS_A_UNIT, pieces, job)


def sparse_adjoint(
    grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int, thresholds: Tensor, magnitude: Tensor
) -> Tensor:
    """The products P(key)^T g with a few entries +-magnitude a row, summed in float64.  -> [len(grads), dim]"""
    words = thresholds.numpy().astype(np.uint32)
    return _adjoint(library.chosen().sparse_adjoint, grads, keys, ROWS_A_UNIT, _sparse_job(seed, dim, words, magnitude))


def _sparse_job(seed: int, dim: int, words: Any, magnitude: Tensor) -> Job:
    return Job(
        seed=seed,
        dim=dim,
        stride=dim,
        thresholds=words.ctypes.data,
        threshold_count=len(words),
        magnitude=float(magnitude),
    )


def _forward(kernel: int, theta: Tensor, unit: int, pieces: Sequence[Piece], job: Job) -> list[Tensor]:
    made = [memory.empty(piece.n) for piece in pieces]
    tasks, first = (Task * len(pieces))(), 0
    for task, piece, out in zip(tasks, pieces, made, strict=True):
        fused, size = piece.fused(theta.dtype), forward_size(unit)
        start = piece.start.data_ptr() if fused and piece.start is not None else None
        scale = float(piece.scale) if fused and piece.scale is not None else 1.0
        task.key, task.n, task.start, task.out, task.scale = piece.key, piece.n, start, out.data_ptr(), scale
        task.chunk_units, task.first_chunk = size, first
        first += -(-piece.n // (size * unit))
    job.theta = theta.data_ptr()
    _run(kernel, job, tasks, first)
    return [
        (out if piece.start is None else out.view(piece.start.shape)) if piece.fused(theta.dtype) else piece.moved(out)
        for piece, out in zip(pieces, made, strict=True)
    ]


def _adjoint(kernel: int, grads: Sequence[Tensor], keys: Sequence[int], unit: int, job: Job, apart: int = 1) -> Tensor:
    """The products P(key)^T g; apart: how many sums of each number a chunk has, side by side."""
    pulled = torch.empty(len(grads), job.dim)
    first, held = 0, 0
    for i, grad in enumerate(grads):
        sums = -(-grad.numel() // (unit * adjoint_size(grad.numel(), unit)))
        if i > first and (held + sums) * job.stride > _TOTALS:
            _adjoint_at_once(kernel, grads[first:i], keys[first:i], unit, job, apart, pulled[first:i])
            first, held = i, 0
        held += sums
    _adjoint_at_once(kernel, grads[first:], keys[first:], unit, job, apart, pulled[first:])
    return pulled


def _adjoint_at_once(
    kernel: int, grads: Sequence[Tensor], keys: Sequence[int], unit: int, job: Job, apart: int, pulled: Tensor
) -> None:
    tasks = (Task * len(grads))()
    ends: list[int] = []
    for task, grad, key in zip(tasks, grads, keys, strict=True):
        n, first = grad.numel(), ends[-1] if ends else 0
        task.key, task.n, task.start, task.first_chunk = key, n, grad.data_ptr(), first
        task.chunk_units = adjoint_size(n, unit)
        ends.append(first + -(-n // (unit * task.chunk_units)))
    totals = memory.zeros(ends[-1], job.stride)
    job.totals = totals.ctypes.data
    _run(kernel, job, tasks, ends[-1])
    for row, task, end in zip(pulled.numpy(), tasks, ends, strict=True):
        held = totals[task.first_chunk : end, : job.dim * apart]
        row[:] = np.add.reduce(held, axis=0).reshape(-1, apart).sum(axis=1)  # in the chunks' order


def _run(kernel: int, job: Job, tasks: Any, chunks: int) -> None:
    job.tasks, job.task_count = ctypes.addressof(tasks), len(tasks)
    library.run(kernel, job, chunks)


# ---------------------------------------------------------------------- gaussians and transforms


def gaussians(seed: int, key: int, stream: int, start: int, count: int) -> Tensor:
    """Standard gaussians of 65536 levels, as `intrinsic.kernels.gaussian_matrix` specifies them.  -> [count]"""
    out = torch.empty(count)
    table = tables.gaussian_tensor(16, out.device, out.dtype)
    fill = Fill(seed, key, stream, start, count, table.data_ptr(), out.data_ptr())
    library.run(library.chosen().gaussians, fill, -(-count // ROWS_A_UNIT))
    return out


def fwht_(x: Tensor) -> Tensor:
    """Apply the Walsh-Hadamard transform to each row of x [rows, p] float32, in place, bit for bit as the reference."""
    rows, p = x.shape
    kernels, threads = library.chosen(), torch.get_num_threads()
    parts = kernels.column_rows(p)
    if rows >= threads or threads == 1 or parts == 1 or x.numel() <= _ALONE:
        chunk = max(1, min(-(-rows // threads), _LEAF_FLOATS // p))
        job = Transform(x=x.data_ptr(), rows=rows, p=p, chunk=chunk)
        library.run(kernels.fwht, job, -(-rows // chunk))
        return x
    part = p // parts
    columns = max(1, part // (8 * threads * _TILE)) * _TILE
    chunks = parts + -(-part // columns)
    for row in x:
        taken = (ctypes.c_uint8 * chunks)()
        job = Transform(x=row.data_ptr(), rows=parts, p=part, chunk=columns, threads=threads)
        job.taken = ctypes.addressof(taken)
        library.run(kernels.fwht_parts, job, chunks)
    return x


_ALONE = 1 << 19
"""The floats that one thread transforms before a second is awake: a Xeon takes 0.34 ms for 2^19 either way."""
_LEAF_FLOATS = 1 << 14
"""The floats in a chunk of short rows."""
_TILE = 2048
"""The columns, TILE in fwht.h, of which a chunk must be a multiple."""

"""The kernels on CPU in C (intrinsic/kernels/csrc), float32: vectorised, one pass over the weights, nothing stored.

Built when the package is installed, if there is a C compiler; `serves` says whether they are there. They are reached
through ctypes, so that building them needs neither Python's headers nor torch.

Forward results equal the reference's to the last bit. Adjoint sums go to one float64 row a chunk and are added in
the chunks' order; the chunks depend on (n, p) alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic.errors import UnknownName
from intrinsic.kernels import memory, tables
from intrinsic.kernels.chunks import ROWS_A_UNIT, adjoint_size, forward_size
from intrinsic.kernels.pieces import Piece
from intrinsic.kernels.reference import block_size

INSTRUCTION_SETS = ("avx512", "avx512-loads", "avx2", "avx2-loads", "plain")
"""With `-loads`: the same without gathers, which microcode has made slow on some processors."""
_LEAST_BLOCK = 128
_TOTALS = 1 << 25
"""Partial sums held at once, in float64 numbers; a group that needs more goes in parts."""

_forced: str | None = None
_in_child = False
"""After a fork torch's threads are gone, though its OpenMP runtime may not know; dispatch.c looks after forks that
come later than its first use."""


def _after_fork() -> None:
    global _in_child
    _in_child = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


_OPERATIONS = (
    *("fastfood_forward", "fastfood_adjoint", "hashed_forward", "hashed_adjoint", "sparse_forward", "sparse_adjoint"),
    *("gaussians", "fwht_"),
)


class _Task(ctypes.Structure):
    _fields_ = [
        ("key", ctypes.c_uint64),
        ("n", ctypes.c_int64),
        ("start", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("chunk_units", ctypes.c_int64),
        ("first_chunk", ctypes.c_int64),
        ("scale", ctypes.c_float),
    ]


class _Job(ctypes.Structure):
    _fields_ = [
        ("seed", ctypes.c_uint64),
        ("dim", ctypes.c_int64),
        ("theta", ctypes.c_void_p),
        ("totals", ctypes.c_void_p),
        ("stride", ctypes.c_int64),
        ("gauss", ctypes.c_void_p),
        ("spread", ctypes.c_void_p),
        ("thresholds", ctypes.c_void_p),
        ("threshold_count", ctypes.c_int64),
        ("magnitude", ctypes.c_float),
        ("tasks", ctypes.c_void_p),
        ("task_count", ctypes.c_int64),
        ("chunk_count", ctypes.c_int64),
        ("next", ctypes.c_int64),
    ]


class _Fill(ctypes.Structure):
    _fields_ = [
        ("seed", ctypes.c_uint64),
        ("key", ctypes.c_uint64),
        ("stream", ctypes.c_uint32),
        ("first", ctypes.c_uint64),
        ("count", ctypes.c_int64),
        ("table", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("chunk_count", ctypes.c_int64),
        ("next", ctypes.c_int64),
    ]


class _Transform(ctypes.Structure):
    _fields_ = [
        ("x", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("p", ctypes.c_int64),
        ("chunk", ctypes.c_int64),
        ("chunk_count", ctypes.c_int64),
        ("next", ctypes.c_int64),
        ("done", ctypes.c_int64),
    ]


_KERNELS = (
    *("fastfood_forward", "fastfood_adjoint", "hashed_forward", "hashed_adjoint", "sparse_forward", "sparse_adjoint"),
    *("gaussians", "fwht", "fwht_parts"),
)


class _Kernels(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in _KERNELS),
        ("column_rows", ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)),
        ("lookup_seconds", ctypes.CFUNCTYPE(ctypes.c_double)),
    ]


@cache
def _library() -> Any:
    """The compiled kernels, or None where they were not built."""
    spec = importlib.util.find_spec("intrinsic.kernels._native")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    library.intrinsic_kernels.restype = ctypes.POINTER(_Kernels)
    library.intrinsic_kernels.argtypes = [ctypes.c_char_p]
    library.intrinsic_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    library.intrinsic_use_threads.argtypes = [ctypes.c_void_p]
    library.intrinsic_use_threads.restype = None
    if not _in_child:
        library.intrinsic_use_threads(_torchs_threads())
    return library


def _torchs_threads() -> int | None:
    """Address of what runs a function on the threads of torch's OpenMP runtime (libgomp's interface, which LLVM's and
    Intel's have too); None where torch brings no such runtime, and the kernels then make threads of their own."""
    folder = Path(torch.__file__).parent / "lib"
    for path in (path for name in ("gomp", "iomp", "omp") for path in folder.glob(f"lib{name}*")):
        with suppress(OSError, AttributeError):  # no library, or another's
            return ctypes.cast(ctypes.CDLL(str(path)).GOMP_parallel, ctypes.c_void_p).value
    return None


@cache
def _table(name: str) -> Any:
    library = _library()
    found = library and library.intrinsic_kernels(name.encode())
    return found.contents if found else None


def available() -> list[str]:
    """The instruction sets that this build has kernels for and this processor runs, widest first."""
    return [name for name in INSTRUCTION_SETS if _table(name)]


@cache
def fastest() -> str:
    """The instruction set that is used: the widest, with gathers or with loads, whichever a trial of 50 microseconds
    finds faster. Both give the same bits."""
    widest = available()[0]
    return min((widest, f"{widest}-loads"), key=_lookup_seconds)


def _lookup_seconds(name: str) -> float:
    table = _table(name)
    return float(table.lookup_seconds()) if table else math.inf


@contextmanager
def only_instructions(name: str) -> Iterator[None]:
    """Use one instruction set's kernels inside the block; for tests and comparisons."""
    global _forced
    if name not in available():
        raise UnknownName("instruction set", name, available())
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before


def _kernels() -> Any:
    return _table(_forced or fastest())


def serves(operation: str, device: torch.device, dtype: torch.dtype, dim: int) -> bool:
    """Whether this backend has `operation` for tensors of this device and dtype, and this subspace dimension."""
    if operation not in _OPERATIONS or device.type != "cpu" or dtype != torch.float32 or not available():
        return False
    return not operation.startswith("fastfood") or block_size(dim) >= _LEAST_BLOCK


# ---------------------------------------------------------------------- projections


def fastfood_forward(theta: Tensor, seed: int, pieces: Sequence[Piece]) -> list[Tensor]:
    """As `reference.fastfood_forward`, bit for bit, with W_0 and lambda in the same pass."""
    p = block_size(theta.numel())
    padded = torch.zeros(p)
    padded[: theta.numel()] = theta
    return _forward(_kernels().fastfood_forward, padded, p, pieces, _fastfood_job(seed, theta.numel(), p))


def fastfood_adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """P(key)^T g for each g, [len(grads), d]; as the reference but for the order in which blocks are summed."""
    p = block_size(dim)
    return _adjoint(_kernels().fastfood_adjoint, grads, keys, p, _fastfood_job(seed, dim, p))


def _fastfood_job(seed: int, dim: int, p: int) -> _Job:
    cpu = torch.device("cpu")
    gauss, spread = tables.gaussian_tensor(12, cpu, torch.float32), tables.chi_tensor(p, cpu, torch.float32)
    return _Job(seed=seed, dim=dim, stride=p, gauss=gauss.data_ptr(), spread=spread.data_ptr())  # tables stay cached


def hashed_forward(theta: Tensor, seed: int, pieces: Sequence[Piece]) -> list[Tensor]:
    """P theta with one signed entry a row, bit for bit as the reference, with W_0 and lambda in the same pass."""
    job = _Job(seed=seed, dim=theta.numel(), stride=theta.numel())
    return _forward(_kernels().hashed_forward, theta, ROWS_A_UNIT, pieces, job)


def hashed_adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """P^T g with one signed entry a row, summed in float64.  -> [len(grads), d]"""
    return _adjoint(_kernels().hashed_adjoint, grads, keys, ROWS_A_UNIT, _Job(seed=seed, dim=dim, stride=dim))


def sparse_forward(
    theta: Tensor, seed: int, pieces: Sequence[Piece], thresholds: Tensor, magnitude: Tensor
) -> list[Tensor]:
    """P theta with a few entries +-magnitude a row, bit for bit as the reference."""
    words = thresholds.numpy().astype(np.uint32)
    job = _sparse_job(seed, theta.numel(), words, magnitude)
    return _forward(_kernels().sparse_forward, theta, ROWS_A_UNIT, pieces, job)


def sparse_adjoint(
    grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int, thresholds: Tensor, magnitude: Tensor
) -> Tensor:
    """P^T g with a few entries +-magnitude a row, summed in float64.  -> [len(grads), d]"""
    words = thresholds.numpy().astype(np.uint32)
    return _adjoint(_kernels().sparse_adjoint, grads, keys, ROWS_A_UNIT, _sparse_job(seed, dim, words, magnitude))


def _sparse_job(seed: int, dim: int, words: Any, magnitude: Tensor) -> _Job:
    return _Job(
        seed=seed,
        dim=dim,
        stride=dim,
        thresholds=words.ctypes.data,
        threshold_count=len(words),
        magnitude=float(magnitude),
    )


def _forward(kernel: int, theta: Tensor, unit: int, pieces: Sequence[Piece], job: _Job) -> list[Tensor]:
    made = [memory.empty(piece.n) for piece in pieces]
    tasks, first = (_Task * len(pieces))(), 0
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


def _adjoint(kernel: int, grads: Sequence[Tensor], keys: Sequence[int], unit: int, job: _Job) -> Tensor:
    pulled = torch.empty(len(grads), job.dim)
    first, held = 0, 0
    for i, grad in enumerate(grads):
        sums = -(-grad.numel() // (unit * adjoint_size(grad.numel(), unit)))
        if i > first and (held + sums) * job.stride > _TOTALS:
            _adjoint_at_once(kernel, grads[first:i], keys[first:i], unit, job, pulled[first:i])
            first, held = i, 0
        held += sums
    _adjoint_at_once(kernel, grads[first:], keys[first:], unit, job, pulled[first:])
    return pulled


def _adjoint_at_once(
    kernel: int, grads: Sequence[Tensor], keys: Sequence[int], unit: int, job: _Job, pulled: Tensor
) -> None:
    tasks = (_Task * len(grads))()
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
        row[:] = np.add.reduce(totals[task.first_chunk : end, : job.dim], axis=0)  # in the chunks' order


def _run(kernel: int, job: _Job, tasks: Any, chunks: int) -> None:
    job.tasks, job.task_count = ctypes.addressof(tasks), len(tasks)
    _take_chunks(kernel, job, chunks)


def _take_chunks(kernel: int, job: Any, chunks: int) -> None:
    job.chunk_count, job.next = chunks, 0
    threads = min(torch.get_num_threads(), chunks)
    if _library().intrinsic_run(kernel, ctypes.addressof(job), threads) != 0:
        raise MemoryError("the kernels found no memory for scratch of four times p floats a thread")


# ---------------------------------------------------------------------- gaussians and transforms


def gaussians(seed: int, key: int, stream: int, start: int, count: int) -> Tensor:
    """Standard gaussians of 65536 levels, as `intrinsic.kernels.gaussian_matrix` specifies them.  -> [count]"""
    out = torch.empty(count)
    table = tables.gaussian_tensor(16, out.device, out.dtype)
    fill = _Fill(seed, key, stream, start, count, table.data_ptr(), out.data_ptr())
    _take_chunks(_kernels().gaussians, fill, -(-count // ROWS_A_UNIT))
    return out


def fwht_(x: Tensor) -> Tensor:
    """Walsh-Hadamard transform of each row, in place, bit for bit as `reference.fwht`.  x [rows, p] float32."""
    rows, p = x.shape
    kernels, threads = _kernels(), torch.get_num_threads()
    parts = kernels.column_rows(p)
    if rows >= threads or threads == 1 or parts == 1 or x.numel() <= _ALONE:
        chunk = max(1, min(-(-rows // threads), _LEAF_FLOATS // p))
        job = _Transform(x=x.data_ptr(), rows=rows, p=p, chunk=chunk)
        _take_chunks(kernels.fwht, job, -(-rows // chunk))
        return x
    part = p // parts
    columns = max(1, part // (8 * threads * _TILE)) * _TILE
    for row in x:
        job = _Transform(x=row.data_ptr(), rows=parts, p=part, chunk=columns)
        _take_chunks(kernels.fwht_parts, job, parts + -(-part // columns))
    return x


_ALONE = 1 << 19
"""Floats that one thread transforms before a second is awake: 2^19 takes one or two 0.34 ms, 2^20 0.69 and 0.46."""
_LEAF_FLOATS = 1 << 14
"""Floats a chunk of short rows."""
_TILE = 2048
"""TILE in fwht.h, of which a chunk of columns must be a multiple."""

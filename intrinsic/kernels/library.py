"""The compiled C kernels (intrinsic/kernels/csrc): finding them, choosing the instruction set, running one on threads.

Built when the package is installed, if there is a C compiler; `available` is empty where they are not. They are
reached through ctypes, so that building them needs neither Python's headers nor torch.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from intrinsic.errors import UnknownName

INSTRUCTION_SETS = ("avx512", "avx512-loads", "avx2", "avx2-loads", "plain")
"""The instruction sets that kernels are compiled for; `-loads`: without gathers, which microcode has made slow on some
processors."""

_forced: str | None = None
_in_child = False
"""Whether this process is a fork: torch's threads are gone then, though its OpenMP runtime may not know. dispatch.c
looks after forks that come later than its first use."""


def _after_fork() -> None:
    global _in_child
    _in_child = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


class Task(ctypes.Structure):
    """One tensor of a projection; mirrors csrc/native.h."""

    _fields_ = [
        ("key", ctypes.c_uint64),
        ("n", ctypes.c_int64),
        ("start", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("chunk_units", ctypes.c_int64),
        ("first_chunk", ctypes.c_int64),
        ("scale", ctypes.c_float),
    ]


class Job(ctypes.Structure):
    """A projection of tensors; mirrors csrc/native.h."""

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


class Fill(ctypes.Structure):
    """A stretch of gaussians; mirrors csrc/native.h."""

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


class Transform(ctypes.Structure):
    """Transforms of the rows of x; mirrors csrc/native.h."""

    _fields_ = [
        ("x", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("p", ctypes.c_int64),
        ("chunk", ctypes.c_int64),
        ("chunk_count", ctypes.c_int64),
        ("next", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("done", ctypes.c_int64),
        ("taken", ctypes.c_void_p),
    ]


_KERNELS = (
    *("fastfood_forward", "fastfood_adjoint", "small_forward", "small_adjoint", "hashed_forward", "hashed_adjoint"),
    *("sparse_forward", "sparse_adjoint", "gaussians", "fwht", "fwht_parts"),
)


class _Kernels(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in _KERNELS),
        ("column_rows", ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)),
        ("lookup_seconds", ctypes.CFUNCTYPE(ctypes.c_double)),
    ]


_PASSED: tuple[type[ctypes.Structure], ...] = (Task, Job, Fill, Transform, _Kernels)


@cache
def _library() -> Any:
    """The compiled kernels, or None where they were not built, or with structures of other sizes than these."""
    spec = importlib.util.find_spec("intrinsic.kernels._native")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    if not _fits(library):
        warnings.warn(
            f"the C kernels in {spec.origin} were built from another version and are left out: install the package "
            "again, with `pip install`, to build them anew",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    library.intrinsic_kernels.restype = ctypes.POINTER(_Kernels)
    library.intrinsic_kernels.argtypes = [ctypes.c_char_p]
    library.intrinsic_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    library.intrinsic_use_threads.argtypes = [ctypes.c_void_p]
    library.intrinsic_use_threads.restype = None
    if not _in_child:
        library.intrinsic_use_threads(_torchs_threads())
    return library


def _fits(library: Any) -> bool:
    """Whether all that passes between Python and C has the sizes here that it has there.

    A build of another version shows in them if a kernel or a field has come or gone, not if one has only changed.
    """
    try:
        sizes = (ctypes.c_uint64 * len(_PASSED)).in_dll(library, "intrinsic_sizes")
    except ValueError:  # older than the check
        return False
    return list(sizes) == [ctypes.sizeof(structure) for structure in _PASSED]


def _torchs_threads() -> int | None:
    """The address of the call that runs a function on the threads of torch's OpenMP runtime (libgomp's interface, which
    LLVM's and Intel's have too); None where torch brings no such runtime: the kernels then make their own threads."""
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
    """Use one instruction set's kernels inside the block; for tests and comparisons.

    Raises UnknownName for one that is not available.
    """
    global _forced
    if name not in available():
        raise UnknownName("instruction set", name, available())
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before


def chosen() -> Any:
    """The table of kernels that is used."""
    return _table(_forced or fastest())


def run(kernel: int, job: Job | Fill | Transform, chunks: int) -> None:
    """Call a kernel on the job's chunks 0 ... chunks - 1, which torch's number of threads take in turn.

    Raises MemoryError where there is none for the kernels' scratch.
    """
    job.chunk_count, job.next = chunks, 0
    threads = min(torch.get_num_threads(), chunks)
    if _library().intrinsic_run(kernel, ctypes.addressof(job), threads) != 0:
        raise MemoryError("the kernels found no memory for scratch of three times p floats a thread")

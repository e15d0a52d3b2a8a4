"""Other libraries' Walsh-Hadamard transforms, measured beside ours in the same run.

FFHT        Andoni, Indyk, Laarhoven, Razenshteyn and Schmidt 2015, github.com/FALCONN-LIB/FFHT: C, one vector, one
            thread. Reached through its C function: its Python wrapper needs NumPy 1.
hadamard    the package hadamard-transform: plain torch, out of place; compiled by nobody.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from intrinsic.errors import SpecError

BUILD = "gcc -O3 -march=native -fPIC -shared fht.c fast_copy.c -o libffht.so"
"""The command that builds FFHT's library in its source folder."""
Peer = Callable[[Tensor], Callable[[], object] | None]
"""A library: x [rows, p] -> a call that transforms it, or None where the library cannot."""


def find_peers(ffht: Path | None) -> dict[str, Peer]:
    """The libraries that are there, by name: FFHT as a shared library, hadamard-transform as an installed package.

    Raises SpecError if `ffht` is not FFHT's library.
    """
    found: dict[str, Peer] = {}
    if ffht is not None:
        found["FFHT"] = _ffht(ffht)
    try:
        theirs = importlib.import_module("hadamard_transform").hadamard_transform
    except ModuleNotFoundError:
        return found

    def plain(x: Tensor) -> Callable[[], object]:
        return lambda: theirs(x)

    return {**found, "hadamard-transform": plain}


def _ffht(path: Path) -> Peer:
    try:
        transform = ctypes.CDLL(str(path.resolve())).fht_float
    except (OSError, AttributeError) as error:
        raise SpecError(
            f"{path} is not FFHT's library ({error}); build it in its source folder with: {BUILD}"
        ) from error
    transform.argtypes, transform.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_int

    def call(x: Tensor) -> Callable[[], object] | None:
        rows, p = x.shape
        if x.device.type != "cpu" or rows != 1 or not 2 <= p <= 1 << 30:
            return None
        return lambda: transform(x.data_ptr(), p.bit_length() - 1)

    return call

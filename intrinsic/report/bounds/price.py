"""What the choices of a measurement cost in bits: whatever the data chose must be paid for.

A choice among n alternatives that were fixed beforehand costs log2 n; an index without a largest value costs its Elias
gamma code, 2 floor(log2(index + 1)) + 1. Added up they are the length of a prefix code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from intrinsic.records import MeasureResult
from intrinsic.report.shown import rate_in_use
from intrinsic.search.grid import dimensions

WIDTHS = (1, 4, 16, 32)
"""Bits a coordinate that are reported; 32 is float32, as it is stored."""
FLOAT32 = 32
SCALE_BITS = 8
"""For each tensor that is rounded, its scale (`intrinsic.trial.risk.rounded`)."""


@dataclass(frozen=True)
class Function:
    """One trained network: what was chosen to get it, and how large it is."""

    d: int
    index: int
    """Of its seed: the seeds of projection and head follow from it and the root seed."""
    coordinates: int
    """Scalars that training moved."""
    tensors: int
    evaluations: int = 1
    """From how many checkpoints the evaluation split chose."""


def code_bits(result: MeasureResult, function: Function, width: int) -> dict[str, float]:
    """The network's code, part by part: what a bound on the training data pays. Training's settings need no bits here,
    as the code holds what they led to."""
    scales = 0 if width == FLOAT32 else SCALE_BITS * function.tensors
    return {
        "coordinates": float(width * function.coordinates),
        "scales": float(scales),
        "width": math.log2(len(WIDTHS)),
        **_place(result, function),
    }


def choice_bits(result: MeasureResult, function: Function) -> dict[str, float]:
    """What the evaluation split chose, part by part: what a bound on that split pays."""
    return {
        **_place(result, function),
        "learning rate": _rate_bits(result),
        "checkpoint": math.log2(function.evaluations),
    }


def _place(result: MeasureResult, function: Function) -> dict[str, float]:
    grid = dimensions(result.run.spec.search)
    return {"d of the grid": math.log2(len(grid)), "seed index": float(gamma_bits(function.index))}


def bits_words(count: int) -> str:
    return f"{count} bit{'' if count == 1 else 's'}"


def gamma_bits(index: int) -> int:
    """Elias gamma code of index + 1."""
    return 2 * (index + 1).bit_length() - 1


def _rate_bits(result: MeasureResult) -> float:
    """The pilots' rates in the order they were tried (the grid, then each extension at one of its two ends), and the
    factor that the search has on the rate."""
    spec, chosen = result.run.spec, result.result.subspace_learning_rate
    tried = list(dict.fromkeys(t.learning_rate for t in result.result.trials if t.role == "subspace-rate"))
    grid = sorted(set(spec.subspace_rates))
    factor = math.log2(1 + len(spec.search.guard_rates))
    if len(grid) == 1 or chosen not in tried or rate_in_use(result) is None:
        return factor
    index = tried.index(chosen)
    return gamma_bits(index) + max(0, index + 1 - len(grid)) + factor

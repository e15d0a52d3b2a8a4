"""The cost in bits of a measurement's choices: a bound pays for whatever was chosen by means of the data.

A choice among n alternatives that were fixed beforehand costs log2 n; an index without a largest value costs its Elias
gamma code, 2 floor(log2(index + 1)) + 1. Added up they are the length of a prefix code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from intrinsic.records import MeasureResult
from intrinsic.search.grid import dimensions

WIDTHS = (1, 4, 16, 32)
"""Numbers of bits a coordinate that are reported; 32 is float32, as coordinates are stored."""
FLOAT32 = 32
"""Bits of a coordinate as stored."""
SCALE_BITS = 8
"""Bits of the scale that each rounded tensor has (:func:`intrinsic.trial.risk.rounded`)."""


@dataclass(frozen=True)
class Function:
    """A trained network: what was chosen to get it, and how large it is."""

    d: int
    """Dimension of the subspace."""
    index: int
    """Index of its seed: the seeds of projection and head follow from it and the root seed."""
    coordinates: int
    """Number of scalars that training moved."""
    tensors: int
    """Number of tensors in which they lie."""
    evaluations: int = 1
    """Number of checkpoints among which the evaluation split chose."""


def code_bits(result: MeasureResult, function: Function, width: int) -> dict[str, float]:
    """The bits of the network's code, by part: what a bound from the training data pays.

    The settings of training need no bits, as the code holds what they led to. width: bits a coordinate.
    """
    scales = 0 if width == FLOAT32 else SCALE_BITS * function.tensors
    return {
        "coordinates": float(width * function.coordinates),
        "scales": float(scales),
        "width": math.log2(len(WIDTHS)),
        **_place(result, function),
    }


def choice_bits(result: MeasureResult, function: Function) -> dict[str, float]:
    """The bits of what the evaluation split chose, by part: what a bound from that split pays."""
    return {
        **_place(result, function),
        "learning rate": _rate_bits(result),
        "checkpoint": math.log2(function.evaluations),
    }


def _place(result: MeasureResult, function: Function) -> dict[str, float]:
    grid = dimensions(result.run.spec.search)
    return {"d of the grid": math.log2(len(grid)), "seed index": float(gamma_bits(function.index))}


def bits_words(count: int) -> str:
    """A number of bits in words: 1 bit, 4 bits."""
    return f"{count} bit{'' if count == 1 else 's'}"


def gamma_bits(index: int) -> int:
    """The length of the Elias gamma code of index + 1."""
    return 2 * (index + 1).bit_length() - 1


def _rate_bits(result: MeasureResult) -> float:
    """The bits of the learning rate: its place among the pilots' rates, and the factor that the search has on it.

    The pilots try the grid first; each rate after it extends one of the grid's two ends, which costs a bit.
    """
    spec, chosen = result.run.spec, result.result.subspace_learning_rate
    tried = list(dict.fromkeys(t.learning_rate for t in result.result.trials if t.role == "subspace-rate"))
    grid = sorted(set(spec.subspace_rates))
    factor = math.log2(1 + len(spec.search.guard_rates))
    if len(grid) == 1 or chosen is None or chosen not in tried:
        return factor
    index = tried.index(chosen)
    return gamma_bits(index) + max(0, index + 1 - len(grid)) + factor

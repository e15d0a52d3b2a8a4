"""Differences to full fine-tuning over the seeds that a method shares with it, and how sure they are.

For method i with differences d_ij (j: its n_i shared seeds):

    mean_i = sum_j d_ij / n_i        half_i = t(df, .975) s / sqrt(n_i)
    s^2    = sum_i sum_j (d_ij - mean_i)^2 / df        df = sum_i (n_i - 1)

s is pooled over all methods of the comparison, full fine-tuning itself left out: two or three seeds of one method tell
nearly nothing about its own spread. What a seed does to every method alike cancels in d_ij.

Three things the interval does not know. All differences share full fine-tuning's scores, so df counts them as more
independent than they are: with equal noise everywhere and two seeds each, it holds in 93 cases of 100 for four methods
and in 91 for twenty-four, instead of 95. It speaks of one method at a time: among twenty, one that only seems to differ
is no surprise. And it is about seeds: other examples to evaluate on would move the scores besides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.stats import t as student_t

from intrinsic.records import CompareResult, CompareRow
from intrinsic.spec import FULL

LEVEL = 0.95
"""Confidence of the intervals."""


@dataclass(frozen=True)
class Paired:
    """The mean of a method's paired differences."""

    mean: float
    """Their mean: in the score's unit, or the loss's."""
    half: float | None
    """Half its interval; None where no method has two shared seeds."""


def against_full(result: CompareResult) -> list[Paired | None]:
    """The differences of score to full fine-tuning, one for each row; None for full itself and where no seed is shared.

    Records that did not keep the seeds of their scores tell them only for rows in which no trial failed.
    """
    full = next((row for row in result.result.rows if row.label == FULL), None)
    ours = {} if full is None else _by_seed(full)
    return _paired(
        [
            () if row is full else [score - ours[seed] for seed, score in _by_seed(row).items() if seed in ours]
            for row in result.result.rows
        ]
    )


def gaps(result: CompareResult) -> list[Paired | None]:
    """The optimisation gaps, one for each row; without interval for full fine-tuning and in records of means alone."""
    rows = result.result.rows
    found = _paired([() if row.label == FULL else row.gaps for row in rows])
    return [
        pair or (None if row.optimisation_gap is None else Paired(row.optimisation_gap, None))
        for pair, row in zip(found, rows, strict=True)
    ]


def _by_seed(row: CompareRow) -> dict[int, float]:
    seeds = row.seeds
    if seeds is None:
        seeds = () if row.failed else tuple(range(len(row.scores)))
    return dict(zip(seeds, row.scores, strict=False))


def _paired(differences: Sequence[Sequence[float]]) -> list[Paired | None]:
    """See the top of the file; None for a method without differences."""
    means = [fmean(own) if own else 0.0 for own in differences]
    freedom = sum(len(own) - 1 for own in differences if own)
    squares = math.fsum((d - mean) ** 2 for own, mean in zip(differences, means, strict=True) for d in own)
    scale = float(student_t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(squares / freedom) if freedom else None
    return [
        Paired(mean, None if scale is None else scale / math.sqrt(len(own))) if own else None
        for own, mean in zip(differences, means, strict=True)
    ]

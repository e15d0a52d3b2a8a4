"""The number of trials of a comparison, estimated before it is run."""

from __future__ import annotations

from dataclasses import dataclass

from intrinsic.spec import CompareSpec

TRIALS_A_SEARCH = (5, 20)
"""Lowest and highest number of trials that a search over sizes takes, as seen in searches over simulated curves."""


@dataclass(frozen=True)
class CompareEstimate:
    """The least that a comparison costs: grids of rates may grow, and rates that are too close get a second seed."""

    trials: int
    """Number of trials for the rates and the scores, without those of searches."""
    searches: int
    """Number of searches over sizes, of TRIALS_A_SEARCH trials each."""


def estimate(spec: CompareSpec) -> CompareEstimate:
    """The cost of compare(spec) without any stored result, found without training or loading anything."""
    pilots = sum(n for c in spec.contenders if (n := len(set(c.rates))) > 1)
    fixed = [c for c in spec.contenders if spec.at is None or c.size is None]
    scores = spec.base.search.seeds * sum(len(c.sizes) or 1 for c in fixed)
    return CompareEstimate(pilots + scores, len(spec.contenders) - len(fixed))

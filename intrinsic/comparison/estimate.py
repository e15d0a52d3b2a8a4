"""What a comparison will cost, before it is run."""

from __future__ import annotations

from dataclasses import dataclass

from intrinsic.spec import CompareSpec

TRIALS_A_SEARCH = (5, 20)
"""How many trials a search over sizes takes, from and to: what searches over simulated curves took."""


@dataclass(frozen=True)
class CompareEstimate:
    """Trials are a lower limit: grids of rates may grow, and rates that are too close get a second seed."""

    trials: int
    """Pilots and scores, without those of searches."""
    searches: int
    """Searches over sizes, of TRIALS_A_SEARCH trials each."""


def estimate(spec: CompareSpec) -> CompareEstimate:
    """The cost of compare(spec) from nothing, without training or loading anything."""
    pilots = sum(len(c.rates) if len(c.rates) > 1 else 0 for c in spec.contenders)
    fixed = [c for c in spec.contenders if spec.at is None or c.size is None]
    scores = spec.base.search.seeds * sum(len(c.sizes) or 1 for c in fixed)
    return CompareEstimate(pilots + scores, len(spec.contenders) - len(fixed))

"""A target against the best constant answer."""

from __future__ import annotations

from intrinsic.measurement.scores import signed
from intrinsic.records import TrialTrain

NEAR_CHANCE = 0.02
"""A score within two points of the chance level says nothing."""


def near_chance(score: float, facts: TrialTrain, what: str) -> list[str]:
    """A warning if the signed score says next to nothing; else none."""
    chance = facts.chance or 0.0
    if score > signed(facts, chance) + NEAR_CHANCE:
        return []
    return [
        f"{what} {signed(facts, score):.4g} is not more than 2 points better than the best constant answer's "
        f"{facts.metric}, {chance:.4g}"
    ]

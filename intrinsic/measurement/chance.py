"""Warnings about scores that are hardly better than the best constant answer's."""

from __future__ import annotations

import math

from intrinsic.measurement.scores import signed
from intrinsic.problems.metrics import range_of
from intrinsic.records import TrialTrain

NEAR_CHANCE = 0.02
"""Distance from the chance level up to which a score counts as no better, as a share of the metric's scale."""


def near_chance(score: float, facts: TrialTrain, what: str) -> list[str]:
    """A list with one warning if the score hardly beats the best constant answer's, else an empty list.

    It hardly does if the signed score is at most NEAR_CHANCE times the metric's scale better. The scale is the largest
    magnitude that the metric can have, or where it has no bound chance's. what: the name of the score, which begins the
    sentence.
    """
    chance = facts.chance or 0.0
    largest = max(map(abs, range_of(facts.metric)))
    scale = 1.0 if facts.metric is None else largest if math.isfinite(largest) else abs(chance)
    if score > signed(facts, chance) + NEAR_CHANCE * scale:
        return []
    points = "2 points" if scale == 1 else f"{NEAR_CHANCE * scale:.3g}"
    return [
        f"{what} {signed(facts, score):.4g} is not more than {points} better than the best constant answer's "
        f"{facts.metric}, {chance:.4g}"
    ]

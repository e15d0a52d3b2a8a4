"""Warnings about scores that are hardly better than the best constant answer's."""

from __future__ import annotations

from intrinsic.measurement.scores import signed
from intrinsic.records import TrialTrain

NEAR_CHANCE = 0.02
"""Distance from the chance level, in the score's unit, up to which a score counts as no better than chance."""


def near_chance(score: float, facts: TrialTrain, what: str) -> list[str]:
    """A list with one warning if the score hardly beats the best constant answer's, else an empty list.

    score: signed, and at most NEAR_CHANCE better to be warned of. what: the name of the score, which begins the
    sentence.
    """
    chance = facts.chance or 0.0
    if score > signed(facts, chance) + NEAR_CHANCE:
        return []
    return [
        f"{what} {signed(facts, score):.4g} is not more than 2 points better than the best constant answer's "
        f"{facts.metric}, {chance:.4g}"
    ]

"""A target against the best constant answer."""

from __future__ import annotations

from intrinsic.errors import SpecError
from intrinsic.measurement.plan import signed
from intrinsic.records import TrialTrain
from intrinsic.spec import MeasureSpec

NEAR_CHANCE = 0.02
"""A score within two points of the chance level says nothing."""


def check_direction(spec: MeasureSpec, facts: TrialTrain) -> None:
    """Raises SpecError for a share of a score that is better when lower."""
    if not facts.higher_is_better and spec.target.kind != "chance-corrected":
        raise SpecError(
            f"target {spec.target.kind!r} is a share of a score, but {facts.metric} is better when lower: "
            "use --target chance-corrected"
        )


def near_chance(score: float, facts: TrialTrain, what: str) -> list[str]:
    """A warning if the signed score says next to nothing; else none."""
    chance = facts.chance or 0.0
    if score > signed(facts, chance) + NEAR_CHANCE:
        return []
    return [
        f"{what} {signed(facts, score):.4g} is not more than 2 points better than the best constant answer's "
        f"{facts.metric}, {chance:.4g}"
    ]

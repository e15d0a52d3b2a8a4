"""The score that counts as reached, with what is known about its own error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from intrinsic.errors import SpecError
from intrinsic.problems.metrics import signed
from intrinsic.spec import TargetSpec


@dataclass(frozen=True)
class Target:
    """The target tau = offset + weight * mu_B, where mu_B is the baseline's expected score.

    mu_B is known only through `baseline`, its scores over seeds: the fit treats it as uncertain, with the
    noise it estimates from all trials together. `weight` 0 makes tau a fixed number.
    """

    value: float
    """The target tau at the baseline's mean, in the metric's unit."""
    weight: float
    """Factor on mu_B, 0 or more."""
    baseline: tuple[float, ...]
    """Scores of full fine-tuning; they inform about the noise even where weight is 0."""
    chance: float | None = None
    """Score of the best constant answer; None if unknown."""
    negated: bool = False
    """Whether the metric is better when lower; its scores then come here with their sign turned."""

    def shown(self, score: float) -> str:
        """A score in the metric's own sign, for a message."""
        return f"{signed(score, not self.negated):.4g}"

    def __str__(self) -> str:
        return self.shown(self.value)

    @property
    def mean(self) -> float:
        """The baseline's mean score; 0 without a baseline."""
        return math.fsum(self.baseline) / len(self.baseline) if self.baseline else 0.0

    @property
    def squares(self) -> float:
        """Sum of squared deviations of the baseline's scores from their mean."""
        return math.fsum((score - self.mean) ** 2 for score in self.baseline)

    @property
    def df(self) -> int:
        """Degrees of freedom the baseline gives to the noise estimate: its scores less one."""
        return max(0, len(self.baseline) - 1)


def make_target(
    spec: TargetSpec, baseline_scores: Sequence[float], chance: float | None = None, negated: bool = False
) -> Target:
    """The target of a measurement; scores come signed so that higher is better (`negated` says that this took a sign).

        own               tau = fraction * mu_B                          (Aghajanyan et al. 2020)
        global            tau = fraction * value                         (Li et al. 2018)
        chance-corrected  tau = chance + fraction * (mu_B - chance)

    Raises SpecError where the formula makes no sense: no finite baseline score, chance missing, a
    baseline not above chance, or a share of a baseline that is not positive.
    """
    scores = tuple(float(score) for score in baseline_scores)
    if not all(map(math.isfinite, scores)):
        raise SpecError(f"baseline scores must be finite numbers, got {scores}: leave failed baseline trials out")
    if spec.kind == "global":
        assert spec.value is not None  # TargetSpec's own validation
        return Target(spec.fraction * spec.value, 0.0, scores, chance, negated)
    if not scores:
        raise SpecError(
            f"target {spec.kind!r} needs a baseline score, got none: run the baseline first, or use --target global:X"
        )
    offset = _offset(spec, math.fsum(scores) / len(scores), chance)
    value = offset + spec.fraction * math.fsum(scores) / len(scores)
    return Target(value, spec.fraction, scores, chance, negated)


def _offset(spec: TargetSpec, mean: float, chance: float | None) -> float:
    if spec.kind == "own":
        if mean <= 0:
            raise SpecError(
                f"target 'own' is a share of the baseline's score and needs it positive, "
                f"got {mean:g}: use --target chance-corrected"
            )
        return 0.0
    if chance is None:
        raise SpecError("target 'chance-corrected' needs the task's chance level, got none: use --target own")
    if mean <= chance:
        raise SpecError(
            f"target 'chance-corrected' needs a baseline above the chance level, got {mean:g} "
            f"against {chance:g}: train the baseline longer or on more data"
        )
    return (1 - spec.fraction) * chance

"""The choice of the rate at which a method is compared, confirmed by a second seed where one leaves it open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

from intrinsic.comparison.planned import CompareTrial
from intrinsic.measurement.rates import Choice, choose_rate
from intrinsic.measurement.scores import signed
from intrinsic.measurement.trials import Asker
from intrinsic.problems.metrics import METRICS, error_of_share
from intrinsic.records import TrialTrain
from intrinsic.spec import Contender

CLOSE = 2.0
"""Number of standard errors of the difference of two scores, up to which one seed does not tell which is better."""


def rate_of(asker: Asker[CompareTrial], contender: Contender) -> Choice:
    """The best rate of the pilot (`choose_rate`), or its better neighbour if that has the better mean of two seeds.

    The second seed is run, at both rates, only where their first scores lie within CLOSE standard errors of their
    difference, sqrt(e^2 + e'^2); e and e' are the metric's own standard errors at this number of evaluation examples,
    by which scores differ by chance alone. The result is still an estimate, from one or two seeds at one size. The
    second seed does not make the grid grow, and a lost trial leaves the pilot's choice as it was.
    """
    tried: dict[float, float | None] = {}

    def score_at(rates: Sequence[float], seed: int = 0) -> list[float | None]:
        return asker.answers([CompareTrial(contender, contender.middle, rate, seed, "rate") for rate in rates])

    def pilot(rates: Sequence[float]) -> list[float | None]:
        answers = score_at(rates)
        tried.update(zip(rates, answers, strict=True))
        return answers

    choice = choose_rate(contender.rates, pilot, contender.label)
    rival = _rival(tried, choice.rate)
    if rival is None or not _close(tried[choice.rate], tried[rival], asker.facts()):
        return choice
    again = score_at([choice.rate, rival], seed=1)
    ours, theirs = (_mean(tried[rate], second) for rate, second in zip((choice.rate, rival), again, strict=True))
    if ours is None or theirs is None or theirs <= ours:
        return choice
    return replace(choice, rate=rival, score=theirs, warnings=())


def _rival(tried: Mapping[float, float | None], best: float) -> float | None:
    """The better one of the best rate's neighbours that gave a score."""
    pairs = list(pairwise(sorted(tried)))
    beside = [low for low, high in pairs if high == best] + [high for low, high in pairs if low == best]
    scored = [(score, rate) for rate in beside if (score := tried[rate]) is not None and score > -math.inf]
    return max(scored)[1] if scored else None


def _close(one: float | None, other: float | None, facts: TrialTrain) -> bool:
    if one is None or other is None or one == -math.inf or not facts.num_eval:
        return False
    metric = METRICS.get(str(facts.metric))
    error = error_of_share if metric is None else metric.standard_error
    errors = [error(signed(facts, score), facts.num_eval) for score in (one, other)]
    return abs(one - other) <= CLOSE * math.hypot(*errors)


def _mean(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else fmean((first, second))

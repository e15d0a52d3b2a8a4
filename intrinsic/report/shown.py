"""What the figure shows, in numbers: the kinds of marks, the part of the fit that trials carry, the labelled ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from intrinsic.records import FitPoint, MeasureOutcome, MeasureResult, TrialRow
from intrinsic.search.rates import RateInUse
from intrinsic.tasks.metrics import RANGES

Mark = Literal["in use", "lower", "higher", "pilot"]
FAR = 1.5
"""Chance is left out of the axes where it lies farther from all scores than so many times their span."""
PAD = 0.07
"""Room above and below, as a share of what is shown."""
SAME = 1e-6
"""Relative difference below which two rates, or two dimensions, are one."""


def rate_in_use(result: MeasureResult) -> float | None:
    """The subspace's learning rate when the search ended: the chosen one, or the one the search went over to.

    None: nothing was searched for.
    """
    chosen = result.result.subspace_learning_rate
    return None if chosen is None else chosen * _factor_in_use(result)


def _factor_in_use(result: MeasureResult) -> float:
    use = RateInUse(result.run.spec.search.seeds)
    for point in result.result.search.points:
        use.guards(point)
    return use.factor


def mark(trial: TrialRow, rate: float | None) -> Mark:
    """How a trial of a subspace is drawn: as one of those the rate was chosen by, or by its rate against `rate`."""
    if trial.role == "subspace-rate":
        return "pilot"
    if rate is None or abs(trial.learning_rate / rate - 1) < SAME:
        return "in use"
    return "lower" if trial.learning_rate < rate else "higher"


def subspace_trials(outcome: MeasureOutcome) -> list[tuple[int, TrialRow]]:
    """(d, trial) of every trial that has a d."""
    return [(trial.d, trial) for trial in outcome.trials if trial.d is not None]


def shown_fit(result: MeasureResult) -> list[FitPoint]:
    """The fit from the smallest to the largest dimension it rests on, within the metric's range.

    It rests on the search's trials at the rate in use, but for first looks of a guard (`intrinsic.search.ledger`).
    Beyond them it is extrapolated, and it is fitted by a process that knows no range.
    """
    search, factor, look = result.result.search, _factor_in_use(result), result.run.spec.search.seeds
    behind = [p.d for p in search.points if p.rate_factor == factor and p.seed != look and not p.lost]
    if not behind:
        return []
    ends = min(behind) * (1 - SAME), max(behind) * (1 + SAME)
    lowest, highest = metric_range(result.result)

    def inside(score: float) -> float:
        return min(max(score, lowest), highest)

    return [
        FitPoint(d=p.d, mean=inside(p.mean), low=inside(p.low), high=inside(p.high))
        for p in search.fit
        if ends[0] <= p.d <= ends[1]
    ]


def metric_range(outcome: MeasureOutcome) -> tuple[float, float]:
    """Lowest and highest value of the metric; infinite where none is known."""
    return RANGES.get(outcome.metric, (-math.inf, math.inf))


def limits(outcome: MeasureOutcome) -> tuple[float, float]:
    """The ends of the score's axis: every trial's score, baseline, target, and chance unless it is FAR."""
    scores = [trial.score for _, trial in subspace_trials(outcome) if trial.score is not None]
    scores += [] if outcome.baseline is None else list(outcome.baseline.scores)
    scores += [] if outcome.target is None else [outcome.target]
    low, high = min(scores, default=outcome.chance), max(scores, default=outcome.chance)
    if max(low - outcome.chance, outcome.chance - high) <= FAR * (high - low) or low == high:
        low, high = min(low, outcome.chance), max(high, outcome.chance)
    pad = PAD * (high - low) or 0.05
    return low - pad, high + pad


def tick_labels(
    dims: Sequence[int], first: int | None, at: Callable[[int], float], width: Callable[[int], float]
) -> list[int]:
    """Those of the dimensions whose labels fit side by side: `first`, the ends, then every other one from the left.

    at: where a dimension lies on the page; width: of its label with the gap that it wants, in the same unit.
    """
    chosen: list[int] = []
    for d in dict.fromkeys([*([] if first is None else [first]), min(dims), max(dims), *sorted(dims)]):
        if all(abs(at(d) - at(other)) >= (width(d) + width(other)) / 2 for other in chosen):
            chosen.append(d)
    return sorted(chosen)

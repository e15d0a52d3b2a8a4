"""Contents of a measurement's figure, in numbers and words; nothing here draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from intrinsic.problems.metrics import range_of
from intrinsic.records import Baseline, FitPoint, MeasureOutcome, MeasureResult, TrialRow
from intrinsic.search.rates import RateInUse
from intrinsic.spec import MeasureSpec

Mark = Literal["in use", "lower", "higher", "pilot"]
"""The kind of mark that a trial gets: pilot, or by its learning rate against the one in use."""
LevelName = Literal["chance", "baseline", "target"]
"""The scores that others are held against."""
FAR = 1.5
"""Factor: chance is left out of the axes where it lies farther from all scores than FAR times their span."""
PAD = 0.07
"""Room above and below the scores, as a share of their span."""
SAME = 1e-6
"""Relative difference below which two rates, or two dimensions, are one."""


@dataclass(frozen=True)
class Level:
    """A score that others are held against, drawn as a line across."""

    name: LevelName
    """Name of the score in the figure."""
    y: float
    """The score at which the line is drawn."""
    value: str
    """The score in words, as the figure shows it."""


@dataclass(frozen=True)
class CurveMarks:
    """Marks of a measurement's figure, worked out once from its record."""

    result: MeasureResult
    """The measurement's record."""

    @property
    def spec(self) -> MeasureSpec:
        """Settings of the measurement."""
        return self.result.run.spec

    @property
    def outcome(self) -> MeasureOutcome:
        """Results of the measurement."""
        return self.result.result

    @cached_property
    def rate(self) -> float | None:
        """The learning rate in use when the search ended: see :func:`rate_in_use`."""
        return rate_in_use(self.result)

    @cached_property
    def trials(self) -> list[tuple[int, TrialRow]]:
        """Every trial in a subspace, as (d, trial)."""
        return subspace_trials(self.outcome)

    @cached_property
    def by_kind(self) -> dict[Mark, list[tuple[int, TrialRow]]]:
        """The trials with a score, as (d, trial), by their kind of mark."""
        groups: dict[Mark, list[tuple[int, TrialRow]]] = {}
        for d, trial in self.trials:
            if trial.score is not None:
                groups.setdefault(mark(trial, self.rate), []).append((d, trial))
        return groups

    @cached_property
    def without_score(self) -> list[int]:
        """Dimensions at which a trial has no score, ascending."""
        return sorted({d for d, trial in self.trials if trial.score is None})

    @cached_property
    def dims(self) -> list[int]:
        """Dimensions that were tried, ascending; where there are none, the smallest and largest allowed."""
        return sorted({d for d, _ in self.trials} or {self.spec.search.low, self.spec.search.high})

    @property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest d that the axis has to hold: the dimensions and the interval."""
        ends = [*map(float, self.dims), *(end for end in self.outcome.search.interval if end is not None)]
        return min(ends), max(ends)

    @property
    def score_range(self) -> tuple[float, float]:
        """Lowest and highest value of the metric; infinite where none is known."""
        return metric_range(self.outcome)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The ends of the score's axis, which holds every trial's score, the baseline and the target.

        It holds chance too, unless that is farther away than FAR allows.
        """
        outcome = self.outcome
        scores = [trial.score for _, trial in self.trials if trial.score is not None]
        scores += [] if outcome.baseline is None else list(outcome.baseline.scores)
        scores += [] if outcome.target is None else [outcome.target]
        low, high = min(scores, default=outcome.chance), max(scores, default=outcome.chance)
        if max(low - outcome.chance, outcome.chance - high) <= FAR * (high - low) or low == high:
            low, high = min(low, outcome.chance), max(high, outcome.chance)
        pad = PAD * (high - low) or 0.05
        return low - pad, high + pad

    @cached_property
    def fit(self) -> list[FitPoint]:
        """The fitted curve from the smallest to the largest dimension it rests on, within the metric's range.

        It rests on the search's trials at the rate in use, without first looks (:class:`intrinsic.records.Point`).
        Beyond these dimensions it is extrapolated, and the process that is fitted knows no range.
        """
        search, factor = self.outcome.search, _factor_in_use(self.result)
        behind = [p.d for p in search.points if p.rate_factor == factor and not p.first_look and not p.lost]
        if not behind:
            return []
        first, last = min(behind) * (1 - SAME), max(behind) * (1 + SAME)
        return [_within(point, *self.score_range) for point in search.fit if first <= point.d <= last]

    @cached_property
    def levels(self) -> list[Level]:
        """Chance, baseline and target, as far as they are known."""
        baseline, target = self.outcome.baseline, self.outcome.target
        levels = [Level("chance", self.outcome.chance, f"{self.outcome.chance:.3f}")]
        levels += [] if baseline is None else [Level("baseline", baseline.mean, _mean_and_spread(baseline))]
        return levels + ([] if target is None else [Level("target", target, f"{target:.3f}")])

    @property
    def baseline_band(self) -> tuple[float, float] | None:
        """The baseline's mean less and plus one standard deviation; None where there is none or one seed."""
        baseline = self.outcome.baseline
        if baseline is None or baseline.std is None:
            return None
        return baseline.mean - baseline.std, baseline.mean + baseline.std

    @property
    def has_interval(self) -> bool:
        """Whether the search claims an interval for d."""
        return self.outcome.d90 is not None or self.outcome.search.interval != (None, None)


def _within(point: FitPoint, lowest: float, highest: float) -> FitPoint:
    mean, low, high = (min(max(score, lowest), highest) for score in (point.mean, point.low, point.high))
    return FitPoint(d=point.d, mean=mean, low=low, high=high)


def _mean_and_spread(baseline: Baseline) -> str:
    if baseline.std is None:
        return f"{baseline.mean:.3f}"
    digits = 3 if baseline.std >= 5e-4 else 4
    return f"{baseline.mean:.{digits}f} ± {baseline.std:.{digits}f}"


def rate_in_use(result: MeasureResult) -> float | None:
    """The subspace's learning rate when the search ended: the pilots' choice, or the one the search went over to.

    None: nothing was searched for.
    """
    chosen = result.result.subspace_learning_rate
    return None if chosen is None else chosen * _factor_in_use(result)


def _factor_in_use(result: MeasureResult) -> float:
    use = RateInUse()
    for point in result.result.search.points:
        use.guards(point)
    return use.factor


def mark(trial: TrialRow, rate: float | None) -> Mark:
    """The kind of mark of a trial in a subspace, where `rate` is the learning rate in use."""
    if trial.role == "subspace-rate":
        return "pilot"
    if rate is None or abs(trial.learning_rate / rate - 1) < SAME:
        return "in use"
    return "lower" if trial.learning_rate < rate else "higher"


def subspace_trials(outcome: MeasureOutcome) -> list[tuple[int, TrialRow]]:
    """Every trial that has a d, as (d, trial)."""
    return [(trial.d, trial) for trial in outcome.trials if trial.d is not None]


def metric_range(outcome: MeasureOutcome) -> tuple[float, float]:
    """Lowest and highest value of the metric; infinite where none is known."""
    return range_of(outcome.metric)


def tick_labels(
    dims: Sequence[int], first: int | None, at: Callable[[int], float], width: Callable[[int], float]
) -> list[int]:
    """The dimensions whose labels fit side by side; `first` is kept before the ends, and these before the others.

    at: where a dimension lies on the page; width: how wide its label is with the gap around it, in the same unit.
    """
    chosen: list[int] = []
    for d in dict.fromkeys([*([] if first is None else [first]), min(dims), max(dims), *sorted(dims)]):
        if all(abs(at(d) - at(other)) >= (width(d) + width(other)) / 2 for other in chosen):
            chosen.append(d)
    return sorted(chosen)

"""What a running measurement or comparison tells: each trial with what it was asked for by, the target, the search.

Scores are in the metric's own unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from intrinsic.executor import Damaged, Finished, Progress, Reused, Started, Waiting
from intrinsic.measurement.planned import MeasureTrial
from intrinsic.records import Baseline

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class TrialEvent(Generic[Asked]):
    """Something happened to a trial."""

    asked: Asked
    """What the trial was asked for by: a MeasureTrial or a CompareTrial."""
    event: Started | Progress | Waiting | Finished | Reused
    reached: bool | None = None
    """Does the score of this one trial reach the target? None: it has not ended, has no score, is full
    fine-tuning's, or the target is not known."""


@dataclass(frozen=True)
class TargetKnown:
    """The baseline is complete."""

    value: float
    """The target's value."""
    baseline: Baseline | None
    """None: no trial of it gave a score, and the target is a fixed number."""


@dataclass(frozen=True)
class SearchState:
    """Where the crossing lies by the mean scores at the rate in use, so far."""

    low: int | None
    """Largest dimension below `high` that does not reach the target."""
    high: int | None
    """Smallest dimension that reaches it."""


MeasureEvent = TrialEvent[MeasureTrial] | TargetKnown | SearchState | Damaged
OnMeasureEvent = Callable[[MeasureEvent], None]

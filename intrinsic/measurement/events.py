"""Events of a running measurement or comparison: its trials, the target, the state of the search.

Scores are in the metric's own unit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from intrinsic.executor import Damaged, Finished, Progress, Reused, Started, Waiting
from intrinsic.measurement.planned import MeasureTrial
from intrinsic.records import Baseline

Asked = TypeVar("Asked", bound=Hashable)
"""The type that describes a requested trial: MeasureTrial or CompareTrial."""


@dataclass(frozen=True)
class TrialEvent(Generic[Asked]):
    """An event in the course of one trial."""

    asked: Asked
    """Description of the trial: a MeasureTrial or a CompareTrial."""
    event: Started | Progress | Waiting | Finished | Reused
    """The executor's event."""
    reached: bool | None = None
    """Whether the score of this one trial reaches the target; None if it has not ended, has no score, is full
    fine-tuning's, or the target is not known."""


@dataclass(frozen=True)
class TargetKnown:
    """The event that the baseline is complete, and the target known."""

    value: float
    """The target: the score that subspaces must reach."""
    baseline: Baseline | None
    """Scores of full fine-tuning; None if none of its trials gave a score and the target is a fixed number."""


@dataclass(frozen=True)
class SearchState:
    """The event that the range in which the crossing lies has changed, by the mean scores at the rate in use."""

    low: int | None
    """Largest dimension below `high` that does not reach the target; None if there is none yet."""
    high: int | None
    """Smallest dimension that reaches the target; None if there is none yet."""


MeasureEvent = TrialEvent[MeasureTrial] | TargetKnown | SearchState | Damaged
"""Any event of a measurement."""
OnMeasureEvent = Callable[[MeasureEvent], None]
"""A function called with every event of a measurement."""

"""What a running measurement tells: each trial with the plan it belongs to, the target, how far the search is.

Scores are in the metric's own unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from intrinsic.executor import Damaged, Finished, Progress, Reused, Started, Waiting
from intrinsic.measurement.plan import Plan
from intrinsic.records import Baseline


@dataclass(frozen=True)
class TrialNews:
    """Something happened to the trial of a plan."""

    plan: Plan
    event: Started | Progress | Waiting | Finished | Reused
    reached: bool | None = None
    """Does the score of this one trial reach the target? None: it has not ended, has no score, is full
    fine-tuning's, or the target is not known."""


@dataclass(frozen=True)
class TargetKnown:
    """The baseline is complete."""

    value: float
    baseline: Baseline | None
    """None: no trial of it gave a score, and the target is a fixed number."""


@dataclass(frozen=True)
class SearchState:
    """Where the crossing lies by the mean scores at the rate in use, so far."""

    low: int | None
    """Largest dimension below `high` that does not reach the target."""
    high: int | None
    """Smallest dimension that reaches it."""


News = TrialNews | TargetKnown | SearchState | Damaged
OnNews = Callable[[News], None]

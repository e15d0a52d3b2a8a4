"""What a running measurement has come to, told by the executor's events. State only; `live` prints it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from intrinsic.errors import SpecError
from intrinsic.executor import Damaged, Event, Finished, Progress, Reused, Started, Waiting
from intrinsic.measurement.plan import Plan
from intrinsic.records import TrialResult
from intrinsic.search import Target, make_target
from intrinsic.spec import MeasureSpec, TrialSpec


@dataclass
class Running:
    """A trial on its way; step 0 while task and model are being loaded."""

    plan: Plan
    began: float
    step: int = 0
    steps: int = 0
    loss: float | None = None


@dataclass(frozen=True)
class Line:
    """A trial that ended."""

    plan: Plan
    result: TrialResult
    stored: bool
    """The store answered; nothing was run."""


@dataclass
class Board:
    """Hears events; knows the trials that run, those that ended, the target and the bracket."""

    spec: MeasureSpec
    clock: Callable[[], float] = time.monotonic
    running: dict[str, Running] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    target: Target | None = None

    def __post_init__(self) -> None:
        self.began = self.clock()

    def hear(self, event: Event) -> list[Line | str]:
        """What is new enough to be printed: lines for trials, sentences for the rest."""
        if isinstance(event, Damaged):
            return [f"skipped a damaged file, its trial runs again: {event.path} ({event.reason})"]
        if isinstance(event, Finished | Reused):
            return self._end(event.result, isinstance(event, Reused))
        plan = plan_of(self.spec, event.spec)
        if isinstance(event, Waiting):
            return [f"another process runs {name(plan)}; its result will be used"]
        if isinstance(event, Started):
            self.running[event.spec.id] = Running(plan, self.clock())
            return self._announce_target(plan)
        if isinstance(event, Progress) and event.spec.id in self.running:
            now = self.running[event.spec.id]
            now.step, now.steps, now.loss = event.step, event.steps, event.loss
        return []

    def _end(self, result: TrialResult, stored: bool) -> list[Line | str]:
        plan = plan_of(self.spec, result.run.spec)
        self.running.pop(result.run.trial_id, None)
        news = self._announce_target(plan)
        self.lines.append(line := Line(plan, result, stored))
        told = [] if result.run.error is None else [f"  {result.run.status}: {result.run.error}"]
        return [*news, line, *told]

    def _announce_target(self, plan: Plan) -> list[Line | str]:
        """The baseline is complete once the first subspace trial is asked for."""
        if plan.d is None or self.target is not None:
            return []
        baseline = [line.result.train for line in self.lines if line.plan.role == "baseline"]
        scores = [train.score for train in baseline if train.score is not None]
        sign = -1.0 if baseline and not baseline[0].higher_is_better else 1.0
        chance = baseline[0].chance if baseline else None
        try:
            signed = [sign * score for score in scores]
            self.target = make_target(self.spec.target, signed, None if chance is None else sign * chance)
        except SpecError:  # measure() says why, in its result
            return []
        mean = f", baseline {fmean(scores):.4f}" if scores else ""
        return [f"target {sign * self.target.value:.4f}{mean}"]

    def reaches(self, line: Line) -> bool | None:
        """Does the trial reach the target? None: unknown, or not a trial of the search."""
        score = _signed(line.result)
        if self.target is None or line.plan.d is None or score is None:
            return None
        return score >= self.target.value

    def bracket(self) -> tuple[int | None, int | None]:
        """(largest dimension below, smallest dimension at or above the target, by mean score), so far."""
        if self.target is None:
            return None, None
        scores: dict[int, list[float]] = defaultdict(list)
        for line in self.lines:
            score = _signed(line.result)
            if line.plan.role == "search" and line.plan.d is not None and score is not None:
                scores[line.plan.d].append(score)
        reached = {d for d, some in scores.items() if fmean(some) >= self.target.value}
        high = min(reached, default=None)
        return max((d for d in scores.keys() - reached if high is None or d < high), default=None), high


def _signed(result: TrialResult) -> float | None:
    score = result.train.score
    return score if score is None or result.train.higher_is_better else -score


def name(plan: Plan) -> str:
    """search d=512 seed 1."""
    dimension = "" if plan.d is None else f" d={plan.d}"
    return f"{plan.role}{dimension} seed {plan.seed}"


def plan_of(spec: MeasureSpec, trial: TrialSpec) -> Plan:
    """The plan behind a trial, found by its seeds: each role and seed index derives its own."""
    for plan in _candidates(spec, trial):
        if plan.trial(spec).seeds == trial.seeds:
            return plan
    raise ValueError(f"trial {trial.id} is none of this measurement's")


def _candidates(spec: MeasureSpec, trial: TrialSpec) -> Iterator[Plan]:
    rate, d = trial.optim.learning_rate, trial.method.subspace_dim
    yield Plan("baseline-rate" if d is None else "subspace-rate", 0, rate, d)
    most = max(spec.baseline_seeds, 2 * spec.search.seeds) + len(spec.search.guard_rates) + 1
    for seed in range(most):
        yield Plan("baseline" if d is None else "search", seed, rate, d)

"""What a running measurement has come to, as it tells itself. State only; `live` prints it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from intrinsic.executor import Finished, Progress, Reused, Started, Waiting
from intrinsic.measurement import News, SearchState, TargetKnown, TrialNews
from intrinsic.measurement.plan import Plan
from intrinsic.records import TrialResult
from intrinsic.report import words


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
    reached: bool | None
    """As in TrialNews."""


@dataclass
class Board:
    """Hears what a measurement tells; knows the trials that run, those that ended, the target and the search."""

    clock: Callable[[], float] = time.monotonic
    running: dict[Plan, Running] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    target: TargetKnown | None = None
    state: SearchState | None = None

    def __post_init__(self) -> None:
        self.began = self.clock()

    def hear(self, news: News) -> list[Line | str]:
        """What of it is to be printed: a line for a trial that ended, sentences for the rest."""
        if isinstance(news, TrialNews):
            return self._trial(news)
        if isinstance(news, TargetKnown):
            self.target = news
            return [target(news)]
        if isinstance(news, SearchState):
            self.state = news
            return []
        return [f"skipped a damaged file; its trial, if one is needed, runs again: {news.path} ({news.reason})"]

    def _trial(self, news: TrialNews) -> list[Line | str]:
        plan, event = news.plan, news.event
        match event:
            case Finished() | Reused():
                self.running.pop(plan, None)
                self.lines.append(line := Line(plan, event.result, isinstance(event, Reused), news.reached))
                run = event.result.run
                return [line] if run.error is None else [line, f"  {run.status}: {run.error}"]
            case Waiting():
                return [f"another process runs {name(plan)}; its result will be used"]
            case Started():
                self.running[plan] = Running(plan, self.clock())
            case Progress() if plan in self.running:
                now = self.running[plan]
                now.step, now.steps, now.loss = event.step, event.steps, event.loss
        return []


def target(known: TargetKnown) -> str:
    """target 0.6682, baseline 0.7425 ± 0.0034 (3 seeds)."""
    text, baseline = f"target {words.score(known.value)}", known.baseline
    if baseline is None:
        return text
    return f"{text}, baseline {words.mean_and_spread(baseline.mean, baseline.std, len(baseline.scores))}"


def name(plan: Plan) -> str:
    """search d=512 seed 1 rate 0.004."""
    dimension = "" if plan.d is None else f" d={plan.d}"
    return f"{plan.role}{dimension} seed {plan.seed} rate {words.rate(plan.rate)}"

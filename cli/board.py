"""The state of a running measurement, kept from its events; `live` prints it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from intrinsic.executor import Finished, Progress, Reused, Started, Waiting
from intrinsic.measurement import MeasureEvent, SearchState, TargetKnown, TrialEvent
from intrinsic.measurement.planned import MeasureTrial
from intrinsic.records import TrialResult
from intrinsic.report import words


@dataclass
class Running:
    """A trial that is running."""

    asked: MeasureTrial
    """Description of the trial."""
    began: float
    """Time of its start, in seconds of the board's clock."""
    step: int = 0
    """Number of steps done; 0 also while task and model are being loaded."""
    steps: int = 0
    """Number of steps in all; 0 until it is known."""
    loss: float | None = None
    """Latest training loss; None until it is known."""


@dataclass(frozen=True)
class Line:
    """A trial that has ended."""

    asked: MeasureTrial
    """Description of the trial."""
    result: TrialResult
    """Record of the trial."""
    stored: bool
    """Whether the result was already stored, so that nothing was run."""
    reached: bool | None
    """Whether its score reaches the target: see :class:`intrinsic.measurement.TrialEvent`."""


@dataclass
class Board:
    """Takes a measurement's events; keeps the trials that run, those that have ended, the target and the search."""

    clock: Callable[[], float] = time.monotonic
    """A function that gives the time in seconds."""
    running: dict[MeasureTrial, Running] = field(default_factory=dict)
    """Trials that run now, by their description."""
    lines: list[Line] = field(default_factory=list)
    """Trials that have ended, in that order."""
    target: TargetKnown | None = None
    """The target; None until it is known."""
    state: SearchState | None = None
    """State of the search; None before it has begun."""

    def __post_init__(self) -> None:
        self.began = self.clock()

    def hear(self, told: MeasureEvent) -> list[Line | str]:
        """Take an event and return what is to be printed: a line for a trial that ended, sentences for the rest."""
        if isinstance(told, TrialEvent):
            return self._trial(told)
        if isinstance(told, TargetKnown):
            self.target = told
            return [target(told)]
        if isinstance(told, SearchState):
            self.state = told
            return []
        return [f"skipped a damaged file; its trial, if one is needed, runs again: {told.path} ({told.reason})"]

    def _trial(self, told: TrialEvent[MeasureTrial]) -> list[Line | str]:
        asked, event = told.asked, told.event
        match event:
            case Finished() | Reused():
                self.running.pop(asked, None)
                self.lines.append(line := Line(asked, event.result, isinstance(event, Reused), told.reached))
                run = event.result.run
                return [line] if run.error is None else [line, f"  {run.status}: {run.error}"]
            case Waiting():
                return [f"another process runs {name(asked)}; its result will be used"]
            case Started():
                self.running[asked] = Running(asked, self.clock())
            case Progress() if asked in self.running:
                now = self.running[asked]
                now.step, now.steps, now.loss = event.step, event.steps, event.loss
        return []


def target(known: TargetKnown) -> str:
    """The target and the baseline in words, as in `target 0.6682, baseline 0.7425 ± 0.0034 (3 seeds)`."""
    text, baseline = f"target {words.score(known.value)}", known.baseline
    if baseline is None:
        return text
    return f"{text}, baseline {words.mean_and_spread(baseline.mean, baseline.std, len(baseline.scores))}"


def name(asked: MeasureTrial) -> str:
    """The trial in words, as in `search d=512 seed 1 rate 0.004`."""
    dimension = "" if asked.d is None else f" d={asked.d}"
    return f"{asked.purpose}{dimension} seed {asked.seed} rate {words.rate(asked.rate)}"

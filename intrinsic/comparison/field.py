"""The trials of a comparison: which there are, and how they are run and kept."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from intrinsic.errors import IntrinsicError
from intrinsic.executor import Damaged, Event, Finished, Reused, run_trials
from intrinsic.executor.workers import Executor
from intrinsic.measurement.plan import answer
from intrinsic.records import Cost, Meta, TrialResult, TrialTrain
from intrinsic.seeds import derive
from intrinsic.spec import CompareSpec, Contender, SeedSpec, TrialSpec
from intrinsic.store import Store

Role = Literal["rate", "score", "search"]
"""For the choice of a rate; for the table; for the smallest size alone."""


@dataclass(frozen=True)
class Entry:
    """One trial of a comparison."""

    contender: Contender
    size: int | None
    rate: float
    seed: int
    """Index. Equal indices are equal seeds for every method and size, so that differences are paired."""
    role: Role = "score"

    def trial(self, spec: CompareSpec) -> TrialSpec:
        """The complete spec; a trial for the table and one of the search at the same settings are one trial."""
        base, stream = spec.base, "rate" if self.role == "rate" else "score"

        def seed(what: str) -> int:
            return derive(base.seed, "compare", stream, self.seed, what)

        in_subspace = self.contender.method.name == "subspace"
        return TrialSpec(
            task=base.task,
            model=base.model,
            method=self.contender.at(self.size),
            optim=base.optim.model_copy(update={"learning_rate": self.rate}),
            seeds=SeedSpec(
                projection=seed("projection") if in_subspace else 0,
                initialisation=seed("initialisation"),
                data_order=seed("data-order"),
            ),
        )


@dataclass(frozen=True)
class EntryNews:
    """Something happened to a trial."""

    entry: Entry
    event: Event


News = EntryNews | Damaged
OnNews = Callable[[News], None]


class Asker(ABC):
    """What a plan needs: trials, and what they say about the task."""

    @property
    @abstractmethod
    def spec(self) -> CompareSpec: ...

    @abstractmethod
    def run(self, entries: Sequence[Entry]) -> list[TrialResult]:
        """The results of the entries, in their order; what was run before is not run again."""

    @abstractmethod
    def facts(self) -> TrialTrain:
        """What the trials say about task and metric; IntrinsicError if none came far enough to know."""

    def answers(self, entries: Sequence[Entry]) -> list[float | None]:
        """Scores, signed so that higher is better; -inf for a diverged trial, None for a lost one."""
        return [answer(result) for result in self.run(entries)]


class Field(Asker):
    """Runs entries and keeps what they gave, in the order in which they were asked for."""

    def __init__(self, spec: CompareSpec, store: Store, executor: Executor, on_event: OnNews | None = None) -> None:
        self._spec = spec
        self._store, self._executor = store, executor
        self._tell = on_event or (lambda news: None)
        self._entries: dict[str, Entry] = {}
        """By the trial's id."""
        self._results: dict[str, TrialResult] = {}
        self._reused: set[str] = set()

    @property
    def spec(self) -> CompareSpec:
        return self._spec

    @property
    def slots(self) -> int:
        """Trials that run at the same time."""
        return self._executor.slots

    def run(self, entries: Sequence[Entry]) -> list[TrialResult]:
        trials = [entry.trial(self.spec) for entry in entries]
        new = {trial.id: trial for trial in trials if trial.id not in self._results}
        for entry, trial in zip(entries, trials, strict=True):
            self._entries.setdefault(trial.id, entry)
        results = run_trials(list(new.values()), self._store, executor=self._executor, on_event=self._hear)
        self._results.update((result.run.trial_id, result) for result in results)
        return [self._results[trial.id] for trial in trials]

    def _hear(self, event: Event) -> None:
        if isinstance(event, Damaged):
            self._tell(event)
            return
        trial_id = event.result.run.trial_id if isinstance(event, Finished | Reused) else event.spec.id
        if isinstance(event, Reused):
            self._reused.add(trial_id)
        self._tell(EntryNews(self._entries[trial_id], event))

    def facts(self) -> TrialTrain:
        for result in self._results.values():
            if result.train.metric is not None and result.train.chance is not None:
                return result.train
        first = next(iter(self._results.values())).run
        raise IntrinsicError(
            f"no trial came far enough to know its task's metric; the first ended as {first.status}: {first.error}"
        )

    def cost(self) -> Cost:
        results = self._results.values()
        return Cost(
            trials=len(results),
            steps=sum(result.train.steps for result in results),
            seconds=round(math.fsum(result.run.seconds for result in results), 3),
            reused=len(self._reused),
        )

    def meta(self) -> Meta:
        """The first trial's."""
        return next(iter(self._results.values())).meta

"""The trials of a measurement or a comparison: run through the store, kept in the order asked for, summed up."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Generic, final

from intrinsic.errors import IntrinsicError
from intrinsic.executor import Damaged, Event, Finished, Reused, run_trials
from intrinsic.executor.attempt import Runner
from intrinsic.executor.base import Executor, check_executor, make_executor
from intrinsic.measurement.events import Asked, TrialEvent
from intrinsic.measurement.scores import answer
from intrinsic.records import Cost, Meta, TrialResult, TrialTrain
from intrinsic.spec import TrialSpec
from intrinsic.store import Store


class Asker(ABC, Generic[Asked]):
    """Runs trials on request, and knows what they say about the task."""

    @abstractmethod
    def run(self, asked: Sequence[Asked]) -> list[TrialResult]:
        """Run trials and return their results, in the order asked for; a trial that was run before is not run again."""

    @abstractmethod
    def facts(self) -> TrialTrain:
        """Facts about task and metric, from a trial. Raises IntrinsicError if none came far enough to know them."""

    @final
    def answers(self, asked: Sequence[Asked]) -> list[float | None]:
        """The trials' scores, signed so that higher is better; -inf for a diverged trial, None for a lost one."""
        return [answer(result) for result in self.run(asked)]


@final
class Trials(Asker[Asked]):
    """Runs trials through the store and keeps their results, in the order in which they were asked for."""

    def __init__(
        self,
        spec_of: Callable[[Asked], TrialSpec],
        store: Store,
        executor: Executor,
        on_event: Callable[[TrialEvent[Asked] | Damaged], None],
    ) -> None:
        """Begin without trials. spec_of: a request's complete spec; requests with equal specs are one trial."""
        self._spec_of, self._store, self._executor, self._tell = spec_of, store, executor, on_event
        self._asked: dict[Asked, str] = {}
        """Id of the trial that each request stands for."""
        self._first: dict[str, Asked] = {}
        """The first request for each trial, by the trial's id."""
        self._results: dict[str, TrialResult] = {}
        self._reused: set[str] = set()

    @property
    def slots(self) -> int:
        """The number of trials that run at the same time."""
        return self._executor.slots

    @property
    def results(self) -> Mapping[Asked, TrialResult]:
        """Result of every requested trial that has ended, in the order asked for."""
        return {one: self._results[name] for one, name in self._asked.items() if name in self._results}

    def run(self, asked: Sequence[Asked]) -> list[TrialResult]:
        specs = [self._spec_of(one) for one in asked]
        for one, spec in zip(asked, specs, strict=True):
            self._asked.setdefault(one, spec.id)
            self._first.setdefault(spec.id, one)
        new = {spec.id: spec for spec in specs if spec.id not in self._results}
        results = run_trials(list(new.values()), self._store, executor=self._executor, on_event=self._hear)
        self._results.update((result.run.trial_id, result) for result in results)
        return [self._results[spec.id] for spec in specs]

    def _hear(self, event: Event) -> None:
        if isinstance(event, Damaged):
            self._tell(event)
            return
        trial_id = event.result.run.trial_id if isinstance(event, Finished | Reused) else event.spec.id
        if isinstance(event, Reused):
            self._reused.add(trial_id)
        self._tell(TrialEvent(self._first[trial_id], event))

    def facts(self) -> TrialTrain:
        for result in self._results.values():
            if result.train.metric is not None and result.train.chance is not None:
                return result.train
        raise IntrinsicError(f"no trial came far enough to know its task's metric; {self.how_the_first_ended()}")

    def how_the_first_ended(self, among: Callable[[Asked], bool] = lambda asked: True) -> str:
        """Half a sentence about the first trial of those `among` holds, for a user whose trials all gave no score."""
        first = next(result.run for asked, result in self.results.items() if among(asked))
        return f"the first ended as {first.status}: {first.error}"

    def cost(self) -> Cost:
        """The sums over all trials, those that were already stored included."""
        results = self._results.values()
        return Cost(
            trials=len(results),
            steps=sum(result.train.steps for result in results),
            seconds=round(math.fsum(result.run.seconds for result in results), 3),
            reused=len(self._reused),
        )

    def meta(self) -> Meta:
        """The first trial's metadata, with only those hashes that all trials share."""
        results = list(self._results.values())
        first = results[0].meta
        others = [result.meta.hashes for result in results if result.meta.hashes]
        shared = {k: v for k, v in first.hashes.items() if all(hashes.get(k) == v for hashes in others)}
        return first.model_copy(update={"hashes": shared})


@contextmanager
def opened(executor: str | Executor | None, jobs: int, runner: Runner | None) -> Iterator[Executor]:
    """Yield the executor of this name (None: the usual one for so many jobs), and close it at the end.

    An executor that is given as an object stays open. Raises what make_executor and check_executor of
    `intrinsic.executor.base` raise.
    """
    if executor is not None and not isinstance(executor, str):
        yield check_executor(executor, jobs, runner)
        return
    made = make_executor(executor, jobs, runner)
    try:
        yield made
    finally:
        made.close()

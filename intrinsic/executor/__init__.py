"""Running trials: what is stored answers, what another process runs is waited for, the rest runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from intrinsic.errors import StoreError
from intrinsic.executor.attempt import OnProgress, Runner
from intrinsic.executor.base import EXECUTORS, Executor, ExecutorInfo, make_executor
from intrinsic.records import TrialResult
from intrinsic.spec import TrialSpec
from intrinsic.store import Store
from intrinsic.store.claims import Claim

__all__ = [
    "EXECUTORS",
    "Damaged",
    "Event",
    "Executor",
    "ExecutorInfo",
    "Finished",
    "OnEvent",
    "OnProgress",
    "Progress",
    "Reused",
    "Runner",
    "Started",
    "Waiting",
    "make_executor",
    "run_trials",
]

POLL_SECONDS = 0.2
"""Seconds between two looks at a trial that another process runs."""


@dataclass(frozen=True)
class Started:
    """The event that a trial begins to run."""

    spec: TrialSpec


@dataclass(frozen=True)
class Progress:
    """The event that a running trial has come to a step."""

    spec: TrialSpec
    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    loss: float | None
    """Latest training loss, if there is one yet."""


@dataclass(frozen=True)
class Waiting:
    """The event that another process runs a trial, whose result will be used."""

    spec: TrialSpec


@dataclass(frozen=True)
class Finished:
    """The event that a trial has ended, whatever its status, and is stored."""

    result: TrialResult


@dataclass(frozen=True)
class Reused:
    """The event that the store has answered for a trial."""

    result: TrialResult


@dataclass(frozen=True)
class Damaged:
    """The event that a file in the store holds no usable record and is skipped."""

    path: Path
    reason: str


Event = Started | Progress | Waiting | Finished | Reused | Damaged
"""Any event of run_trials."""
OnEvent = Callable[[Event], None]
"""A function called with each event, in the thread that runs run_trials."""


def run_trials(
    specs: Sequence[TrialSpec],
    store: Store,
    *,
    jobs: int = 1,
    on_event: OnEvent | None = None,
    runner: Runner | None = None,
    executor: Executor | None = None,
) -> list[TrialResult]:
    """Run trials and give their results, in the order of `specs`; a spec given twice runs once.

    A trial runs at most once, however many processes ask for it: one of them claims it, the others wait for
    its result (a `failed` one that they saw happen is a result too). jobs > 1 runs trials in worker processes;
    `executor` replaces jobs and runner and stays open.

    On Ctrl-C, or any other error, finished trials are kept, running ones are recorded as `interrupted`, and
    the exception goes on. Raises StoreError if the store cannot be used, and what the runner raises on
    purpose (IntrinsicError); everything else that goes wrong in a trial is a result with status `failed`.
    """
    place = make_executor(None, jobs, runner) if executor is None else executor
    schedule = _Schedule(specs, store, place, on_event or (lambda event: None))
    try:
        return schedule.run()
    finally:
        if executor is None:
            place.close()


class _Schedule:
    """One call of run_trials."""

    def __init__(self, specs: Sequence[TrialSpec], store: Store, executor: Executor, on_event: OnEvent) -> None:
        self._order = [spec.id for spec in specs]
        self._todo = {spec.id: spec for spec in specs}
        self._store = store
        self._executor = executor
        self._tell = on_event
        self._claims: dict[str, Claim] = {}
        self._seen: dict[str, TrialResult | None] = {}
        """Trials found claimed elsewhere, with what was stored of them at that time."""
        self._results: dict[str, TrialResult] = {}

    def run(self) -> list[TrialResult]:
        try:
            while self._todo or self._claims:
                blocked = self._start()
                if self._claims or blocked:
                    self._keep(self._executor.poll(POLL_SECONDS))
        except BaseException:
            self._abort()
            raise
        return [self._results[trial_id] for trial_id in self._order]

    def _start(self) -> bool:
        """Answer or start what can be; is there something only another process can give?"""
        blocked = False
        for trial_id, spec in list(self._todo.items()):
            if self._reuse(trial_id):
                continue
            if len(self._claims) >= self._executor.slots:
                break
            claim = self._store.claim(trial_id)
            if claim is None:
                blocked = True
                self._wait_for(spec)
            else:
                self._claims[trial_id] = claim
                if self._reuse(trial_id):  # it was finished between our look and our claim
                    self._claims.pop(trial_id).release()
                else:
                    self._launch(spec)
        return blocked

    def _launch(self, spec: TrialSpec) -> None:
        del self._todo[spec.id]
        self._tell(Started(spec))
        self._executor.start(spec, lambda *news: self._tell(Progress(spec, *news)))

    def _wait_for(self, spec: TrialSpec) -> None:
        if spec.id not in self._seen:
            self._seen[spec.id] = self._store.get(spec.id)
            self._tell(Waiting(spec))

    def _reuse(self, trial_id: str) -> bool:
        result = self._store.answer(trial_id) or self._failed_elsewhere(trial_id)
        for damage in self._store.new_damage():
            self._tell(Damaged(damage.path, damage.reason))
        if result is None:
            return False
        del self._todo[trial_id]
        self._results[trial_id] = result
        self._tell(Reused(result))
        return True

    def _failed_elsewhere(self, trial_id: str) -> TrialResult | None:
        """A failure that came while we waited for it is as good as one of our own."""
        if trial_id not in self._seen:
            return None
        result = self._store.get(trial_id)
        fresh = result is not None and result.run.status == "failed" and result != self._seen[trial_id]
        return result if fresh else None

    def _keep(self, results: list[TrialResult]) -> None:
        """Store what ended; Ctrl-C in the middle of it loses nothing."""
        left = list(results)
        try:
            while left:
                self._finish(left[0])
                left.pop(0)
        except KeyboardInterrupt:
            for result in left:
                self._store.put(result)
            raise

    def _finish(self, result: TrialResult) -> None:
        trial_id = result.run.trial_id
        self._store.put(result)
        self._claims.pop(trial_id).release()
        self._results[trial_id] = result
        self._tell(Finished(result))

    def _abort(self) -> None:
        for result in self._executor.abort():
            # The error that brought us here is the one to report.
            with suppress(StoreError):
                self._store.put(result)
        for claim in self._claims.values():
            claim.release()
        self._claims.clear()

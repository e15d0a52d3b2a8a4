"""From specs to results: what is stored answers, what is claimed elsewhere is waited for, the rest runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from intrinsic.errors import StoreError
from intrinsic.executor.attempt import Runner
from intrinsic.executor.workers import Executor, make_executor
from intrinsic.records import TrialResult
from intrinsic.spec import TrialSpec
from intrinsic.store import Store
from intrinsic.store.claims import Claim

POLL_SECONDS = 0.2
"""How often a trial that another process runs is looked after."""


@dataclass(frozen=True)
class Started:
    """A trial begins to run."""

    spec: TrialSpec


@dataclass(frozen=True)
class Progress:
    """A running trial tells how far it is."""

    spec: TrialSpec
    step: int
    steps: int
    loss: float | None


@dataclass(frozen=True)
class Waiting:
    """Another process runs this trial; its result will be used."""

    spec: TrialSpec


@dataclass(frozen=True)
class Finished:
    """A trial ended, whatever its status, and is stored."""

    result: TrialResult


@dataclass(frozen=True)
class Reused:
    """The store answered."""

    result: TrialResult


@dataclass(frozen=True)
class Damaged:
    """A file in the store holds no usable record and is skipped."""

    path: Path
    reason: str


Event = Started | Progress | Waiting | Finished | Reused | Damaged
OnEvent = Callable[[Event], None]


def run_trials(
    specs: Sequence[TrialSpec],
    store: Store,
    *,
    jobs: int = 1,
    on_event: OnEvent | None = None,
    runner: Runner | None = None,
    executor: Executor | None = None,
) -> list[TrialResult]:
    """The results of `specs`, in their order; a spec given twice runs once.

    A trial runs at most once, however many processes ask for it: one of them claims it, the others wait for
    its result (a `failed` one that they saw happen is a result too). jobs > 1 runs trials in worker processes;
    `executor` replaces jobs and runner and stays open.

    On Ctrl-C, or any other error, finished trials are kept, running ones are recorded as `interrupted`, and
    the exception goes on. Raises StoreError if the store cannot be used, and what the runner raises on
    purpose (IntrinsicError); everything else that goes wrong in a trial is a result with status `failed`.
    """
    place = make_executor(jobs, runner) if executor is None else executor
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

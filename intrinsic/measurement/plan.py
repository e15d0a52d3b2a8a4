"""The trials a measurement is made of: which they are, and the running list of what they gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from intrinsic.errors import IntrinsicError
from intrinsic.executor import Event, OnEvent, Reused, run_trials
from intrinsic.executor.workers import Executor
from intrinsic.records import Cost, Meta, SearchResult, TrialResult, TrialRow, TrialTrain
from intrinsic.seeds import derive
from intrinsic.spec import MeasureSpec, MethodSpec, SeedSpec, TrialSpec
from intrinsic.store import Store

Role = Literal["baseline-rate", "baseline", "subspace-rate", "search"]


@dataclass(frozen=True)
class Plan:
    """One trial of a measurement; d None is full fine-tuning."""

    role: Role
    seed: int
    """Index of the seed within (role, d)."""
    rate: float
    d: int | None = None

    def trial(self, spec: MeasureSpec) -> TrialSpec:
        """The complete spec: all that the plan does not say comes from the measurement's."""
        return TrialSpec(
            task=spec.task,
            model=spec.model,
            method=self._method(spec),
            optim=spec.optim.model_copy(update={"learning_rate": self.rate}),
            seeds=self._seeds(spec.seed),
        )

    def _method(self, spec: MeasureSpec) -> MethodSpec:
        if self.d is None:
            return MethodSpec(name="full")
        return MethodSpec(
            name="subspace",
            subspace_dim=self.d,
            projection=spec.projection,
            structure_aware=spec.structure_aware,
            lambdas=spec.lambdas,
            head=spec.head,
            parameters=spec.parameters,
        )

    def _seeds(self, root: int) -> SeedSpec:
        where = (self.role, *(() if self.d is None else (self.d,)), self.seed)
        return SeedSpec(
            projection=0 if self.d is None else derive(root, *where, "projection"),
            initialisation=derive(root, *where, "initialisation"),
            data_order=derive(root, *where, "data-order"),
        )


class Campaign:
    """Runs plans and keeps what they gave, in the order in which they were asked for."""

    def __init__(self, spec: MeasureSpec, store: Store, executor: Executor, on_event: OnEvent | None = None) -> None:
        self.spec = spec
        self._store = store
        self._executor = executor
        self._on_event = on_event
        self._results: dict[Plan, TrialResult] = {}
        self._reused: set[str] = set()

    def run(self, plans: Sequence[Plan]) -> list[TrialResult]:
        """The results of the plans, in their order; a plan that was run before is not run again."""
        new = [plan for plan in dict.fromkeys(plans) if plan not in self._results]
        trials = [plan.trial(self.spec) for plan in new]
        results = run_trials(trials, self._store, executor=self._executor, on_event=self._hear)
        self._results.update(zip(new, results, strict=True))
        return [self._results[plan] for plan in plans]

    def scores(self, plans: Sequence[Plan]) -> list[float | None]:
        """The plans' scores, signed so that higher is better; None for a trial that did not end well."""
        return [signed_score(result) for result in self.run(plans)]

    def _hear(self, event: Event) -> None:
        if isinstance(event, Reused):
            self._reused.add(event.result.run.trial_id)
        if self._on_event is not None:
            self._on_event(event)

    @property
    def results(self) -> list[TrialResult]:
        return list(self._results.values())

    def facts(self) -> TrialTrain:
        """What the trials say about task and metric; IntrinsicError if none came far enough to know."""
        for result in self.results:
            if result.train.metric is not None and result.train.chance is not None:
                return result.train
        first = self.results[0].run
        raise IntrinsicError(
            f"no trial came far enough to know its task's metric; the first ended as {first.status}: {first.error}"
        )

    def rows(self) -> tuple[TrialRow, ...]:
        return tuple(_row(plan, result) for plan, result in self._results.items())

    def cost(self) -> Cost:
        trials = {result.run.trial_id: result for result in self.results}.values()
        return Cost(
            trials=len(trials),
            steps=sum(result.train.steps for result in trials),
            seconds=round(sum(result.run.seconds for result in trials), 3),
            reused=len(self._reused),
        )

    def meta(self) -> Meta:
        """The first trial's, with the hashes that all trials share."""
        first = self.results[0].meta
        others = [result.meta.hashes for result in self.results if result.meta.hashes]
        shared = {k: v for k, v in first.hashes.items() if all(hashes.get(k) == v for hashes in others)}
        return first.model_copy(update={"hashes": shared})


def signed_score(result: TrialResult) -> float | None:
    """The score, signed so that higher is better; None unless the trial ended `ok`."""
    if result.run.status != "ok" or result.train.score is None:
        return None
    return signed(result.train, result.train.score)


def signed(facts: TrialTrain, score: float) -> float:
    """Negated where lower is better, and back."""
    return score if facts.higher_is_better else -score


def unsigned(found: SearchResult, facts: TrialTrain) -> SearchResult:
    """A search over signed scores in the metric's own unit."""
    if facts.higher_is_better:
        return found
    points = [p.model_copy(update={"score": None if p.score is None else -p.score}) for p in found.points]
    fit = [f.model_copy(update={"mean": -f.mean, "low": -f.high, "high": -f.low}) for f in found.fit]
    return found.model_copy(update={"target": -found.target, "points": tuple(points), "fit": tuple(fit)})


def _row(plan: Plan, result: TrialResult) -> TrialRow:
    return TrialRow(
        trial_id=result.run.trial_id,
        role=plan.role,
        d=plan.d,
        seed=plan.seed,
        learning_rate=plan.rate,
        status=result.run.status,
        score=result.train.score,
        steps=result.train.steps,
        seconds=result.run.seconds,
    )

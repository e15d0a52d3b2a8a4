"""The trials a measurement is made of: what each is for, and how its spec and its seeds follow from that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from intrinsic.records import SearchResult, TrialResult, TrialRow, TrialTrain
from intrinsic.seeds import derive
from intrinsic.spec import MeasureSpec, MethodSpec, SeedSpec, TrialSpec

Stream = Literal["baseline-rate", "baseline", "subspace-rate", "search"]
Role = Stream | Literal["guard"]
"""guard: a trial of the search at a rate that is not in use, to see whether a dimension fails for its rate."""


@dataclass(frozen=True)
class Plan:
    """One trial of a measurement; d None is full fine-tuning."""

    role: Role
    seed: int
    """Index of the seed within (stream, d)."""
    rate: float
    d: int | None = None
    rate_factor: float = 1.0
    """rate, in units of the rate that was chosen for subspaces."""

    @property
    def stream(self) -> Stream:
        """What the seeds are derived under: a guard's go on from the search's own."""
        return "search" if self.role == "guard" else self.role

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
            of=None if spec.of is None else spec.of.name,
            options=() if spec.of is None else spec.of.options,
        )

    def _seeds(self, root: int) -> SeedSpec:
        where = (self.stream, *(() if self.d is None else (self.d,)), self.seed)
        return SeedSpec(
            projection=0 if self.d is None else derive(root, *where, "projection"),
            initialisation=derive(root, *where, "initialisation"),
            data_order=derive(root, *where, "data-order"),
        )


def signed_score(result: TrialResult) -> float | None:
    """The score, signed so that higher is better; None unless the trial ended `ok`."""
    if result.run.status != "ok" or result.train.score is None:
        return None
    return signed(result.train, result.train.score)


def answer(result: TrialResult) -> float | None:
    """What a search is told (`intrinsic.search.ledger.Evaluate`): -inf for a diverged trial, None for a lost one."""
    return -math.inf if result.run.status == "diverged" else signed_score(result)


def signed(facts: TrialTrain, score: float) -> float:
    """Negated where lower is better, and back."""
    return score if facts.higher_is_better else -score


def unsigned(found: SearchResult, facts: TrialTrain) -> SearchResult:
    """A search over signed scores in the metric's own unit."""
    if facts.higher_is_better:
        return found
    points = [p.model_copy(update={"score": None if p.score is None else -p.score}) for p in found.points]
    fit = [f.model_copy(update={"mean": -f.mean, "low": -f.high, "high": -f.low}) for f in found.fit]
    target = None if found.target is None else -found.target
    return found.model_copy(update={"target": target, "points": tuple(points), "fit": tuple(fit)})


def row(plan: Plan, result: TrialResult) -> TrialRow:
    """The trial as the measurement lists it."""
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

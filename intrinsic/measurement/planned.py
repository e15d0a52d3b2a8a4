"""The trials that a measurement is made of: the purpose of each, and the spec and seeds that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from intrinsic.records import TrialResult, TrialRow
from intrinsic.seeds import derive
from intrinsic.spec import FULL, MeasureSpec, MethodSpec, SeedSpec, TrialSpec

Stream = Literal["baseline-rate", "baseline", "subspace-rate", "search"]
"""The role under which the seeds of a trial are derived."""
Purpose = Stream | Literal["guard"]
"""The purpose of a trial. `guard`: a trial of the search at another rate than the one in use, to see whether a
dimension fails because of its rate."""


@dataclass(frozen=True)
class MeasureTrial:
    """One trial of a measurement."""

    purpose: Purpose
    seed: int
    """Index of the seed within (stream, d), from 0."""
    rate: float
    """The learning rate."""
    d: int | None = None
    """Dimension of the subspace; None: full fine-tuning."""
    rate_factor: float = 1.0
    """Learning rate divided by the one that was chosen for subspaces."""
    first_look: bool = False
    """Whether it is a guard's first look at another rate: see :class:`intrinsic.records.Point`."""

    @property
    def stream(self) -> Stream:
        """The role under which the seeds are derived; guards share the search's, and use indices beyond it."""
        return "search" if self.purpose == "guard" else self.purpose

    def trial_spec(self, spec: MeasureSpec) -> TrialSpec:
        """The complete spec of the trial; what this trial does not say comes from the measurement's spec."""
        return TrialSpec(
            task=spec.task,
            model=spec.model,
            method=self._method(spec),
            optim=spec.optim.model_copy(update={"learning_rate": self.rate}),
            seeds=self._seeds(spec.seed),
        )

    def _method(self, spec: MeasureSpec) -> MethodSpec:
        if self.d is None:
            return MethodSpec(name=FULL)
        return MethodSpec(
            name="subspace",
            subspace=spec.at(self.d),
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


def row(asked: MeasureTrial, result: TrialResult) -> TrialRow:
    """The trial as the measurement's result lists it."""
    return TrialRow(
        trial_id=result.run.trial_id,
        role=asked.purpose,
        d=asked.d,
        seed=asked.seed,
        learning_rate=asked.rate,
        first_look=asked.first_look,
        status=result.run.status,
        score=result.train.score,
        steps=result.train.steps,
        seconds=result.run.seconds,
    )

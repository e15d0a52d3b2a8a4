"""The trials that a comparison is made of: what each is for, and how its spec and its seeds follow from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from intrinsic.executor import Damaged
from intrinsic.measurement.events import TrialEvent
from intrinsic.seeds import derive
from intrinsic.spec import CompareSpec, Contender, SeedSpec, TrialSpec

ComparePurpose = Literal["rate", "score", "search"]
"""What a trial is for: the choice of a rate, the table, or the smallest size alone."""


@dataclass(frozen=True)
class CompareTrial:
    """One trial of a comparison."""

    contender: Contender
    size: int | None
    rate: float
    """The learning rate."""
    seed: int
    """Index. Equal indices are equal seeds for every method and size, so that differences are paired."""
    purpose: ComparePurpose = "score"

    def spec(self, spec: CompareSpec) -> TrialSpec:
        """The complete spec; a trial for the table and one of the search at the same settings are one trial."""
        base, stream = spec.base, "rate" if self.purpose == "rate" else "score"
        method = self.contender.at(self.size)

        def seed(what: str) -> int:
            return derive(base.seed, "compare", stream, self.seed, what)

        return TrialSpec(
            task=base.task,
            model=base.model,
            method=method,
            optim=base.optim.model_copy(update={"learning_rate": self.rate}),
            seeds=SeedSpec(
                projection=0 if method.subspace is None else seed("projection"),
                initialisation=seed("initialisation"),
                data_order=seed("data-order"),
            ),
        )


CompareEvent = TrialEvent[CompareTrial] | Damaged
OnCompareEvent = Callable[[CompareEvent], None]

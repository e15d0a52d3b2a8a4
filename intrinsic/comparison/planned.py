"""The trials that a comparison is made of: the purpose of each, and the spec and seeds that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from intrinsic.executor import Damaged
from intrinsic.measurement.events import TrialEvent
from intrinsic.seeds import derive
from intrinsic.spec import CompareSpec, Contender, SeedSpec, TrialSpec

ComparePurpose = Literal["rate", "score", "search"]
"""The purpose of a trial: to choose a rate, to fill the table, or to find the smallest size."""


@dataclass(frozen=True)
class CompareTrial:
    """One trial of a comparison."""

    contender: Contender
    """The method, with all its sizes and rates."""
    size: int | None
    """Size of the method; None if it has only one."""
    rate: float
    """The learning rate."""
    seed: int
    """Index of the seed, from 0. Equal indices mean equal seeds for every method and size, so that differences are
    paired."""
    purpose: ComparePurpose = "score"

    def trial_spec(self, spec: CompareSpec) -> TrialSpec:
        """The complete spec of the trial; the table's and a search's at the same settings are one trial."""
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
"""Any event of a comparison."""
OnCompareEvent = Callable[[CompareEvent], None]
"""A function called with every event of a comparison."""

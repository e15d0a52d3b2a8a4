"""The record of a measurement, `result.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from intrinsic.records.looks import mark_first_looks
from intrinsic.records.search import SearchResult
from intrinsic.records.trial import Meta, TrialStatus
from intrinsic.spec import Frozen, MeasureSpec


class TrialRow(Frozen):
    """One trial in a measurement's list."""

    trial_id: str
    role: Literal["baseline-rate", "baseline", "subspace-rate", "search", "guard"]
    """Purpose of the trial: :data:`intrinsic.measurement.planned.Purpose`."""
    d: int | None
    """Dimension of the subspace; None for full fine-tuning."""
    seed: int
    """Index of the seed, from 0, among the trials of the same role and d; guards go on from the search's."""
    learning_rate: float
    status: TrialStatus
    score: float | None
    steps: int
    """Number of optimiser steps done."""
    seconds: float
    """Wall-clock time of the trial in seconds."""
    first_look: bool = False
    """Whether this is a guard's first look: see :class:`Point`."""


class Baseline(Frozen):
    """Scores of full fine-tuning at its best learning rate, over fresh seeds."""

    learning_rate: float
    scores: tuple[float, ...]
    """Scores of the seeds whose trials gave one."""
    mean: float
    std: float | None
    """Sample standard deviation over seeds; None for one seed."""


class Cost(Frozen):
    """Effort of all trials, those that were already stored included."""

    trials: int
    """Number of trials."""
    steps: int
    """Number of optimiser steps."""
    seconds: float
    """Sum of the trials' own wall-clock seconds."""
    reused: int = 0
    """Number of trials that were already stored and not run again."""


class MeasureOutcome(Frozen):
    """Findings of a measurement, and the trials behind them."""

    metric: str
    higher_is_better: bool
    chance: float
    """Score of the best constant answer."""
    num_train: int
    """m, the number of training examples used."""
    num_eval: int
    """Number of evaluation examples used."""
    full_dim: int
    """D, the number of weights that the subspaces lie in; 0 if no trial came far enough to know."""
    baseline: Baseline | None
    """Scores of full fine-tuning; None if none of its trials gave one."""
    target: float | None
    """Score that subspaces must reach; None without a baseline to derive it from."""
    subspace_learning_rate: float | None
    """Learning rate that was chosen for all dimensions; None if nothing was searched for."""
    search: SearchResult
    d90: int | None
    """The smallest dimension found to reach the target, also where its fraction is not 0.9; None if none was found."""
    share: float | None
    """Ratio d90 / D; None without a d90."""
    artefact_bytes: int | None
    """Size in bytes of the artefact of a trial at d90; None without one."""
    warnings: tuple[str, ...] = ()
    """Sentences about what may be wrong with the result."""
    cost: Cost
    trials: tuple[TrialRow, ...]
    """All trials, in the order asked for."""


class MeasureRun(Frozen):
    """The measurement that was run, and how to run it again."""

    measure_id: str
    """Id of the spec: :attr:`intrinsic.spec.MeasureSpec.id`."""
    spec: MeasureSpec
    command: str
    """Command line, or call in Python, that gives this result again."""
    started: str
    """Time of the start, ISO 8601, UTC."""


class MeasureResult(Frozen):
    """Contents of a measurement's `result.json`."""

    run: MeasureRun
    result: MeasureOutcome
    meta: Meta = Field(default_factory=Meta)
    """Origin of the trials: the first one's, with the hashes that all share."""

    @model_validator(mode="before")
    @classmethod
    def _first_looks(cls, given: Any) -> Any:
        """Mark the first looks in a record that was written before they were marked."""
        if isinstance(given, dict):
            mark_first_looks(given, ("run", "spec", "search", "seeds"), ("result", "search", "points"))
            mark_first_looks(given, ("run", "spec", "search", "seeds"), ("result", "trials"))
        return given

    def _repr_html_(self) -> str:
        """The table and the figure, as a notebook shows them."""
        from intrinsic.report.notebook import measurement  # the one import upward: a record shows itself

        return measurement(self)

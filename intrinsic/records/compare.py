"""The record of a comparison, `comparison.json`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from intrinsic.records.looks import mark_first_looks, value_at
from intrinsic.records.measure import Cost
from intrinsic.records.search import SearchResult
from intrinsic.records.trial import Meta
from intrinsic.spec import CompareSpec, Frozen, MethodSpec


class Latency(Frozen):
    """Milliseconds of a forward pass in eval mode, the least of interleaved runs in one process."""

    batch_size: int
    """Number of examples in the pass."""
    full: float
    """Milliseconds of the model at theta_0, without the method."""
    unmerged: float
    """Milliseconds of the model with the method attached."""
    merged: float | None
    """Milliseconds of the model with the method merged into it; None if it cannot be merged, or is full fine-tuning."""


class Profile(Frozen):
    """Costs of a method besides its trials' seconds; measured apart from them, on weights at their start."""

    peak_bytes: int
    """Most memory in tensors alive at once over two training steps, theta_0 and the optimiser's state included."""
    latencies: tuple[Latency, ...]


class CompareRow(Frozen):
    """A method at one size. Counts and bytes are those of its first trial that has them."""

    label: str
    """Name and settings as the user wrote them: :attr:`intrinsic.spec.Contender.label`."""
    size_name: str | None
    """Name of the setting that makes the method larger; None if it has one size."""
    size: int | None
    """Value of that setting."""
    method: MethodSpec
    learning_rate: float
    scores: tuple[float, ...]
    """Scores in the order of their seeds, of those trials that gave one."""
    seeds: tuple[int, ...] | None = None
    """Index of each score's seed; equal ones mean equal seeds in every row. None in records that did not keep them."""
    mean: float | None
    std: float | None
    """Sample standard deviation over seeds; None for fewer than two."""
    failed: int
    """Number of trials without a score."""
    parameters_trained: int | None
    """Number of scalars that the optimiser moves."""
    parameters_stored: int | None
    """Number of scalars to keep beside theta_0 and the code, to have the trained model back."""
    head_parameters: int | None
    """Number of trained scalars that are the task head's own entries."""
    artefact_bytes: int | None
    """Size of the saved method on disk, in bytes."""
    seconds_per_step: float | None
    """Median over the trials of their seconds per step."""
    train_loss: float | None
    """Mean over the trials of the loss at the end of training."""
    optimisation_gap: float | None
    """Loss of full fine-tuning minus loss of the method, mean over the seeds that both have."""
    gaps: tuple[float, ...] = ()
    """Difference of these losses for each such seed; empty in records that did not keep them."""
    profile: Profile | None = None
    """Memory and latency; None if no trial gave a score."""


class SmallestSize(Frozen):
    """The smallest size at which a method reaches the target, found as d90 is."""

    label: str
    """Name and settings of the method, as the user wrote them."""
    size_name: str
    """Name of the setting that makes the method larger."""
    learning_rate: float
    """Learning rate at which the search began."""
    search: SearchResult
    """Result of the search, whose `d` is the size."""
    parameters_trained: int | None
    """Number of scalars that the method trains at the size found; None if none was found."""


class CompareOutcome(Frozen):
    """Findings of a comparison."""

    metric: str
    higher_is_better: bool
    chance: float
    """Score of the best constant answer."""
    num_train: int
    num_eval: int
    rows: tuple[CompareRow, ...]
    """Every method at every size, in the order of the contenders; then the smallest sizes that were found."""
    target: float | None = None
    """Score that the smallest sizes must reach; None if they were not searched for."""
    smallest: tuple[SmallestSize, ...] = ()
    """The smallest size of each method that has sizes; empty if they were not searched for."""
    warnings: tuple[str, ...] = ()
    """Sentences about what may be wrong with the result."""
    cost: Cost


class CompareRun(Frozen):
    """The comparison that was run, and how to run it again."""

    compare_id: str
    """Id of the spec: :attr:`intrinsic.spec.CompareSpec.id`."""
    spec: CompareSpec
    command: str
    """Command line, or call in Python, that gives this result again."""
    started: str
    """Time of the start, ISO 8601, UTC."""


class CompareResult(Frozen):
    """Contents of a comparison's `comparison.json`."""

    run: CompareRun
    result: CompareOutcome
    meta: Meta = Field(default_factory=Meta)
    """Origin of the trials: the first one's, with the hashes that all share."""

    @model_validator(mode="before")
    @classmethod
    def _first_looks(cls, given: Any) -> Any:
        """Mark the first looks in a record that was written before they were marked."""
        searches = value_at(given, ("result", "smallest"))
        for found in searches if isinstance(searches, list | tuple) else ():
            shared = {"seeds": value_at(given, ("run", "spec", "base", "search", "seeds")), "found": found}
            mark_first_looks(shared, ("seeds",), ("found", "search", "points"))
        return given

    def _repr_html_(self) -> str:
        """The tables and the figure, as a notebook shows them."""
        from intrinsic.report.notebook import comparison  # the one import upward: a record shows itself

        return comparison(self)

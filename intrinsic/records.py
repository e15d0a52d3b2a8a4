"""Records: the results of trials, measurements and comparisons as they are stored on disk. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, model_validator

from intrinsic.plugins import named
from intrinsic.spec import CompareSpec, Frozen, MeasureSpec, MethodSpec, TrialSpec

SCHEMA_VERSION = 1
"""Version of the records' fields."""

TrialStatus = Literal["ok", "diverged", "out-of-memory", "failed", "interrupted"]
"""The end of a trial; `failed` stands for exceptions other than divergence, lack of memory and interruption."""
SearchStatus = Literal["found", "met-at-lowest", "never-met", "not-monotone", "no-baseline"]
"""The end of a search. `met-at-lowest`: the lowest dimension reaches the target already; `never-met`: none does;
`not-monotone`: scores fall through the target as d grows; `no-baseline`: nothing was searched for."""


class Meta(Frozen):
    """Origin of a record: versions, device, and hashes of what went in."""

    schema_version: int = SCHEMA_VERSION
    versions: dict[str, str] = {}
    """Version of each package by its name, and of `python`."""
    device: str = "cpu"
    """Device that trained, as in `cpu (AMD EPYC)`."""
    threads: int = 1
    """Number of torch's threads."""
    hashes: dict[str, str] = {}
    """Hash of the task's examples as `data`, and of theta_0 as `weights`."""


class TrialRun(Frozen):
    """The run of a trial: its spec, how it ended, and when."""

    trial_id: str
    """Id of the spec: :attr:`intrinsic.spec.TrialSpec.id`."""
    spec: TrialSpec
    status: TrialStatus
    error: str | None = None
    """Sentence that says what went wrong; None if the status is ok."""
    started: str
    """Time of the start, ISO 8601, UTC."""
    seconds: float
    """Wall-clock time of the trial in seconds, with loading and evaluation."""


class HistoryPoint(Frozen):
    """One evaluation in the course of training."""

    step: int
    """Number of optimiser steps done before it."""
    train_loss: float | None = None
    """Mean training loss over the steps since the last evaluation."""
    score: float
    """Score on the evaluation split, by the task's primary metric."""


class TrialTrain(Frozen):
    """Results of the training. A field is None only if the trial ended before its value was known."""

    metric: str | None = None
    """Name of the task's primary metric, which all scores here are by."""
    higher_is_better: bool = True
    score: float | None = None
    """Score on the evaluation split, of the checkpoint that the policy names."""
    last_score: float | None = None
    """Score after the last step."""
    best_score: float | None = None
    """Best score of all evaluations."""
    best_step: int | None = None
    """The step after which the best score was reached first."""
    scores: dict[str, float] = {}
    """All of the task's metrics for the checkpoint that the policy names."""
    train_loss: float | None = None
    """Mean training loss over the last tenth of the steps."""
    chance: float | None = None
    """Score of the best constant answer."""
    num_train: int | None = None
    """m, the number of training examples used."""
    num_eval: int | None = None
    """Number of evaluation examples used."""
    num_labels: int | None = None
    """Number of the model's outputs for an example: of the classes, or 1 for regression."""
    history: tuple[HistoryPoint, ...] = ()
    """All evaluations, in order."""
    steps: int = 0
    """Number of optimiser steps done."""
    seconds_per_step: float | None = None
    """Median seconds of a step, evaluations left out."""
    parameters_trained: int | None = None
    """Number of scalars that the optimiser moves."""
    parameters_stored: int | None = None
    """Number of scalars to keep beside theta_0 and the code, to have the trained model back."""
    head_parameters: int | None = None
    """Number of trained scalars that are the task head's own entries, as those of a free head are."""
    full_dim: int | None = None
    """D, the number of weights that the method's subspace lies in; for full fine-tuning those trained."""
    artefact_bytes: int | None = None
    """Size of the saved method on disk, in bytes."""


class TrialResult(Frozen):
    """Contents of a trial's JSON file."""

    run: TrialRun
    train: TrialTrain = TrialTrain()
    meta: Meta = Meta()


class Point(Frozen):
    """One trial as the search sees it: a dimension, a seed and a rate, and the score there."""

    d: int
    """Dimension of the subspace; in a comparison the size of the method."""
    seed: int
    """Index of the seed, from 0."""
    rate_factor: float = 1.0
    """Learning rate divided by the one that was chosen before the search."""
    score: float | None
    """Score of the trial; None if it diverged, which counts as not reaching the target, or was lost."""
    lost: bool = False
    """Whether there is no score for a reason outside of training (an exception, lack of memory); the trial then counts
    for nothing."""
    first_look: bool = False
    """Whether this is a guard's first look at another rate. The search follows it up only if its score is high, so the
    score is biased upwards and enters no mean and no fit."""


class FitPoint(Frozen):
    """A point of the fitted curve, with a band at the search's confidence."""

    d: float
    """Dimension, not necessarily one of the grid."""
    mean: float
    """Posterior mean of the expected score."""
    low: float
    """Lower end of the band."""
    high: float
    """Upper end of the band."""


class SearchResult(Frozen):
    """The result of a search. A search that finds nothing is a result with another status, never an exception."""

    status: SearchStatus
    d: int | None
    """The smallest dimension of the grid that is enough; None unless the status is found or met-at-lowest (then the
    lowest d)."""
    interval: tuple[float | None, float | None]
    """Interval that holds the true crossing with `confidence`; None at an end that lies outside the bracket."""
    confidence: float
    """Probability that belongs to `interval` and to the band of `fit`."""
    target: float | None
    """Score that was to be reached; None without a baseline to derive it from."""
    points: tuple[Point, ...]
    """Every trial of the search, in the order asked for."""
    fit: tuple[FitPoint, ...]
    """The fitted curve; empty if no trial gave a score."""
    message: str
    """Sentence that says what was found, and what to do where that is not enough."""


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
            _mark_first_looks(given, ("run", "spec", "search", "seeds"), ("result", "search", "points"))
            _mark_first_looks(given, ("run", "spec", "search", "seeds"), ("result", "trials"))
        return given

    def _repr_html_(self) -> str:
        """The table and the figure, as a notebook shows them."""
        shown: str = named("intrinsic.report.notebook:measurement")(self)
        return shown


def _mark_first_looks(record: dict[str, Any], seeds: tuple[str, ...], places: tuple[str, ...]) -> None:
    """Set `first_look`, in place, in the points or rows of a record that do not have it.

    The index of a first look's seed is one that no other trial has: the number of seeds at one dimension.
    """
    index, rows = _at(record, seeds), _at(record, places)
    for row in rows if isinstance(rows, list | tuple) else ():
        if isinstance(row, dict) and "first_look" not in row:
            row["first_look"] = row.get("seed") == index and row.get("role", "guard") in ("guard", "search")


def _at(tree: Any, path: Iterable[str]) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


class ErrorCount(Frozen):
    """Numbers of errors of one network: a trial's, with its coordinates rounded to so many bits each."""

    bits: int
    """Bits of a coordinate; 32: float32, as trained."""
    train_errors: int
    """Number of wrong answers on the training split."""
    eval_errors: int
    """Number of wrong answers on the evaluation split."""


class TrialErrors(Frozen):
    """Numbers that bounds on the risk need and a trial does not record, counted on the trial trained again."""

    trial_id: str
    """Id of the trial that was trained again."""
    spec: TrialSpec
    random_labels: bool = False
    """Whether the training labels were shuffled, as a check of the bounds."""
    num_train: int
    num_eval: int
    coordinates: int
    """Number of scalars that training moved: d, and a free head's entries."""
    tensors: int
    """Number of tensors in which they lie; each is rounded by a scale of its own."""
    counts: tuple[ErrorCount, ...]
    """Errors at each width, the widest first."""
    learned_buffers: tuple[str, ...] = ()
    """Names of what training changed beside the coordinates (batch norm's statistics), which no bound here pays for."""
    score: float
    """Score on the evaluation split, as a trial reports it."""
    seconds: float
    """Wall-clock time in seconds, of training and counting."""
    meta: Meta = Meta()


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
        searches = _at(given, ("result", "smallest"))
        for found in searches if isinstance(searches, list | tuple) else ():
            shared = {"seeds": _at(given, ("run", "spec", "base", "search", "seeds")), "found": found}
            _mark_first_looks(shared, ("seeds",), ("found", "search", "points"))
        return given

    def _repr_html_(self) -> str:
        """The tables and the figure, as a notebook shows them."""
        shown: str = named("intrinsic.report.notebook:comparison")(self)
        return shown

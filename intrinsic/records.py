"""What came out, as stored on disk: one schema for a trial and one for a measurement. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Literal

from pydantic import Field, model_validator

from intrinsic.spec import CompareSpec, Frozen, MeasureSpec, MethodSpec, TrialSpec

SCHEMA_VERSION = 1

TrialStatus = Literal["ok", "diverged", "out-of-memory", "failed", "interrupted"]
SearchStatus = Literal["found", "met-at-lowest", "never-met", "not-monotone", "no-baseline"]


class Meta(Frozen):
    """Where and with what a record was made."""

    schema_version: int = SCHEMA_VERSION
    versions: dict[str, str] = {}
    """python, intrinsic, torch, transformers, numpy, numba ..."""
    device: str = "cpu"
    threads: int = 1
    hashes: dict[str, str] = {}
    """`data`: the task's examples; `weights`: theta_0."""


class TrialRun(Frozen):
    trial_id: str
    spec: TrialSpec
    status: TrialStatus
    error: str | None = None
    """One sentence when status is not ok."""
    started: str
    """ISO 8601, UTC."""
    seconds: float


class HistoryPoint(Frozen):
    step: int
    train_loss: float | None = None
    """Mean over the steps since the last point."""
    score: float


class TrialTrain(Frozen):
    """What training gave; every number is None only if the trial ended before it was known."""

    metric: str | None = None
    higher_is_better: bool = True
    score: float | None = None
    """On the evaluation split, of the checkpoint the policy names."""
    last_score: float | None = None
    best_score: float | None = None
    best_step: int | None = None
    scores: dict[str, float] = {}
    """All of the task's metrics for that checkpoint."""
    train_loss: float | None = None
    """Mean over the last tenth of the steps."""
    chance: float | None = None
    """Score of the best constant answer."""
    num_train: int | None = None
    """m, training examples used."""
    num_eval: int | None = None
    num_labels: int | None = None
    history: tuple[HistoryPoint, ...] = ()
    steps: int = 0
    seconds_per_step: float | None = None
    parameters_trained: int | None = None
    parameters_stored: int | None = None
    head_parameters: int | None = None
    full_dim: int | None = None
    """D: what the method's subspace lies in; for full fine-tuning the parameters trained."""
    artefact_bytes: int | None = None


class TrialResult(Frozen):
    """One trial's JSON file."""

    run: TrialRun
    train: TrialTrain = TrialTrain()
    meta: Meta = Meta()


class Point(Frozen):
    """One evaluated (d, seed, rate) as the search sees it."""

    d: int
    seed: int
    rate_factor: float = 1.0
    score: float | None
    """None: the trial diverged, and counts as not reaching the target; or it was lost."""
    lost: bool = False
    """No score for a reason outside of training (an exception, lack of memory): the trial counts for nothing."""
    first_look: bool = False
    """Whether this is a guard's first look at another rate. It is gone on with only if its score is high, so the score is
    biased upwards and enters no mean and no fit."""


class FitPoint(Frozen):
    """The fitted curve at d: posterior mean and band at the search's confidence."""

    d: float
    mean: float
    low: float
    high: float


class SearchResult(Frozen):
    """What the search found; a failed search is a value with a status, never an exception."""

    status: SearchStatus
    d: int | None
    """The estimate on the grid; None unless status is found or met-at-lowest (then the lowest d)."""
    interval: tuple[float | None, float | None]
    """Confidence interval for d; None at an end that lies outside the bracket."""
    confidence: float
    target: float | None
    """None: there was no baseline to derive it from."""
    points: tuple[Point, ...]
    fit: tuple[FitPoint, ...]
    message: str
    """One sentence a person can act on."""


class TrialRow(Frozen):
    """A trial as the measurement lists it."""

    trial_id: str
    role: Literal["baseline-rate", "baseline", "subspace-rate", "search", "guard"]
    d: int | None
    seed: int
    learning_rate: float
    status: TrialStatus
    score: float | None
    steps: int
    seconds: float
    first_look: bool = False
    """Whether this is a guard's first look: see :class:`Point`."""


class Baseline(Frozen):
    learning_rate: float
    scores: tuple[float, ...]
    mean: float
    std: float | None
    """Sample standard deviation over seeds; None for one seed."""


class Cost(Frozen):
    trials: int
    steps: int
    seconds: float
    """Sum of the trials' own wall-clock seconds."""
    reused: int = 0
    """Trials answered by the store, without being run again."""


class MeasureOutcome(Frozen):
    metric: str
    higher_is_better: bool
    chance: float
    num_train: int
    num_eval: int
    full_dim: int
    """D, the parameters the subspace lies in."""
    baseline: Baseline | None
    target: float | None
    subspace_learning_rate: float | None
    search: SearchResult
    d90: int | None
    share: float | None
    """d90 / D."""
    artefact_bytes: int | None
    warnings: tuple[str, ...] = ()
    cost: Cost
    trials: tuple[TrialRow, ...]


class MeasureRun(Frozen):
    measure_id: str
    spec: MeasureSpec
    command: str
    """The command line that gives this result again."""
    started: str


class MeasureResult(Frozen):
    """`result.json`."""

    run: MeasureRun
    result: MeasureOutcome
    meta: Meta = Field(default_factory=Meta)

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
        shown: str = import_module("intrinsic.report.notebook").measurement(self)
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
    """Errors of one network: a trial's, with its coordinates rounded to so many bits each."""

    bits: int
    """A coordinate; 32: float32, as trained."""
    train_errors: int
    eval_errors: int


class TrialErrors(Frozen):
    """What bounds on the risk need and a trial does not record, counted on the trial trained again."""

    trial_id: str
    spec: TrialSpec
    random_labels: bool = False
    """The training labels were shuffled: for the sanity line."""
    num_train: int
    num_eval: int
    coordinates: int
    """Scalars that training moved: d, and a free head's entries."""
    tensors: int
    """In which they lie; each is rounded by a scale of its own."""
    counts: tuple[ErrorCount, ...]
    learned_buffers: tuple[str, ...] = ()
    """What training changed beside the coordinates (batch norm's statistics): no bound here pays for it."""
    score: float
    """On the evaluation split, as a trial reports it."""
    seconds: float
    meta: Meta = Meta()


class Latency(Frozen):
    """Milliseconds of a forward pass in eval mode, the least of interleaved runs in one process."""

    batch_size: int
    full: float
    unmerged: float
    merged: float | None
    """None: the method cannot be merged."""


class Profile(Frozen):
    """What a method costs besides its trials' seconds; measured apart from them, on weights at their start."""

    peak_bytes: int
    """Most memory in tensors alive at once over two training steps, theta_0 and the optimiser's state included."""
    latencies: tuple[Latency, ...]


class CompareRow(Frozen):
    """A method at one size. Counts and bytes are those of its first trial that has them."""

    label: str
    size_name: str | None
    size: int | None
    method: MethodSpec
    learning_rate: float
    scores: tuple[float, ...]
    """By seed index, of the trials that gave one."""
    seeds: tuple[int, ...] | None = None
    """The index of each score; equal indices are equal seeds in every row. None in records that did not keep them."""
    mean: float | None
    std: float | None
    """Sample standard deviation over seeds; None for fewer than two."""
    failed: int
    """Trials without a score."""
    parameters_trained: int | None
    parameters_stored: int | None
    head_parameters: int | None
    artefact_bytes: int | None
    seconds_per_step: float | None
    """Median over its trials."""
    train_loss: float | None
    """Mean over its trials of the loss at the end of training."""
    optimisation_gap: float | None
    """Loss of full fine-tuning less loss of the method, mean over the seeds that both have."""
    gaps: tuple[float, ...] = ()
    """Of these seeds, each; none in records that did not keep them."""
    profile: Profile | None = None


class SmallestSize(Frozen):
    """The smallest size at which a method reaches the target, found as d90 is."""

    label: str
    size_name: str
    learning_rate: float
    search: SearchResult
    """Its `d` is the size."""
    parameters_trained: int | None
    """At that size."""


class CompareOutcome(Frozen):
    metric: str
    higher_is_better: bool
    chance: float
    num_train: int
    num_eval: int
    rows: tuple[CompareRow, ...]
    target: float | None = None
    """Of the search for the smallest sizes."""
    smallest: tuple[SmallestSize, ...] = ()
    warnings: tuple[str, ...] = ()
    cost: Cost


class CompareRun(Frozen):
    compare_id: str
    spec: CompareSpec
    command: str
    started: str


class CompareResult(Frozen):
    """`comparison.json`."""

    run: CompareRun
    result: CompareOutcome
    meta: Meta = Field(default_factory=Meta)

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
        shown: str = import_module("intrinsic.report.notebook").comparison(self)
        return shown

"""The record of one training run."""

from __future__ import annotations

from typing import Literal

from intrinsic.spec import Frozen, TrialSpec

SCHEMA_VERSION = 1
"""Version of the records' fields."""


TrialStatus = Literal["ok", "diverged", "out-of-memory", "failed", "interrupted"]
"""The end of a trial; `failed` stands for exceptions other than divergence, lack of memory and interruption."""


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

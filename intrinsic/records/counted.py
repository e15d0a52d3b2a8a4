"""The record of errors that were counted on a trial trained again."""

from __future__ import annotations

from intrinsic.records.trial import Meta
from intrinsic.spec import Frozen, TrialSpec


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

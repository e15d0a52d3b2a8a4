"""A task after its data are read: two splits of raw examples, a metric, a fingerprint.

Importing this module does not import torch; calling `Task.prepare` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from intrinsic.errors import DataError
from intrinsic.problems import METRICS, PROBLEMS, Problem, Targets
from intrinsic.spec import Inputs, TaskSpec
from intrinsic.tasks.catalogue import Pixels, TaskInfo

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Dataset

_LIMIT_KEY = 0x5EED_0001
"""Philox key of the shuffle whose first examples `limit` and `eval_limit` keep."""


@dataclass(frozen=True, eq=False)
class TextExamples:
    """One split of texts: one or two columns of strings, and the labels [n]."""

    columns: tuple[tuple[str, ...], ...]
    """One or two columns, each of n texts."""
    labels: Targets
    groups: tuple[str, ...] | None = None
    """Name of each example's group, [n], whose examples are judged together (MultiRC: the question it answers)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.int64]) -> TextExamples:
        """The examples at these positions, in this order."""
        columns = tuple(tuple(column[i] for i in index) for column in self.columns)
        groups = None if self.groups is None else tuple(self.groups[i] for i in index)
        return TextExamples(columns, self.labels[index], groups)

    def digest(self) -> bytes:
        """SHA-256 over every string, each preceded by its length in bytes, and the labels."""
        sha = hashlib.sha256()
        for column in (*self.columns, self.groups or ()):
            sha.update(b"column")
            for text in column:
                data = text.encode()
                sha.update(len(data).to_bytes(8, "little") + data)
        sha.update(_label_bytes(self.labels))
        return sha.digest()


@dataclass(frozen=True, eq=False)
class ImageExamples:
    """One split of images: uint8 [n, C, H, W] as stored, and the labels [n]."""

    pixels: NDArray[np.uint8]
    labels: Targets
    groups: None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.int64]) -> ImageExamples:
        """The examples at these positions, in this order."""
        return ImageExamples(self.pixels[index], self.labels[index])

    def digest(self) -> bytes:
        """SHA-256 over shape, pixels and labels."""
        sha = hashlib.sha256(repr(self.pixels.shape).encode())
        sha.update(np.ascontiguousarray(self.pixels).tobytes())
        sha.update(_label_bytes(self.labels))
        return sha.digest()


def _label_bytes(labels: Targets) -> bytes:
    little_endian: Targets = labels.astype(labels.dtype.newbyteorder("<"))
    return labels.dtype.name.encode() + little_endian.tobytes()


Examples = TextExamples | ImageExamples


@dataclass(frozen=True)
class Loaded:
    """The result of a loader: both splits before they are cut to the limits."""

    train: Examples
    eval: Examples
    label_names: tuple[str, ...]
    """Names of the classes in the order of their ids; () for a problem without classes."""
    origin: str
    """Phrase for the task's description: where the data come from and how they were split."""


class Prepared(Protocol):
    """The two splits encoded for a model; items are dicts of tensors, and `collate` makes a batch of them."""

    train: Dataset[dict[str, Tensor]]
    eval: Dataset[dict[str, Tensor]]
    collate: Callable[[list[dict[str, Tensor]]], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Task:
    """Data, labels and metric of one task, cut to the spec's limits."""

    name: str
    kind: Inputs
    problem: Problem
    label_names: tuple[str, ...]
    metrics: tuple[str, ...]
    """Names of the metrics that `score` returns, the primary one first."""
    train: Examples
    eval: Examples
    description: str
    max_length: int
    pixels: Pixels | None = None

    @property
    def num_labels(self) -> int:
        """The number of the head's outputs: one per class, or 1 for regression."""
        return self.problem.num_outputs(self.label_names)

    @property
    def metric(self) -> str:
        """The name of the primary metric."""
        return self.metrics[0]

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger score by the primary metric is better."""
        return METRICS[self.metric].higher_is_better

    @property
    def num_train(self) -> int:
        """The number m of training examples used."""
        return len(self.train)

    @property
    def num_eval(self) -> int:
        """The number of evaluation examples used."""
        return len(self.eval)

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """The images' shape (C, H, W); None for text."""
        if isinstance(self.train, TextExamples):
            return None
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    @cached_property
    def chance(self) -> float:
        """The score of the best constant answer on the evaluation split, by the primary metric.

        Accuracy: the share of the majority class. Matthews and Pearson: 0, as they are defined here.
        F1: the score of always answering class 1. Mean squared error: the variance of the targets.
        """
        return self.problem.chance(self.metric, self.eval.labels, self.eval.groups, self.label_names)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the raw examples used, training split first."""
        return hashlib.sha256(self.train.digest() + self.eval.digest()).hexdigest()

    def first(self, count: int) -> Task:
        """The task with only the first `count` examples of each split."""
        some = np.arange(count)
        train, evaluation = (part.take(some[: len(part)]) for part in (self.train, self.eval))
        return replace(self, train=train, eval=evaluation)

    def prepare(self, preprocessor: Any) -> Prepared:
        """Encode both splits for a model: tokenise the texts once, or set up the images' transform.

        `preprocessor`: a tokenizer for text; for vision None (reference nets: pixels normalised with the
        catalogue's statistics) or a Hugging Face image processor.
        Raises SpecError if the preprocessor does not fit the kind of task.
        """
        prepared: Prepared = import_module(f"intrinsic.tasks.encode_{self.kind}").prepare(self, preprocessor)
        return prepared

    def score(self, logits: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
        """The scores of the model's outputs against labels [n], by name of metric, for all of the task's metrics.

        logits: [n, num_labels]; for regression also [n].
        `exact_match` (MultiRC) needs to know which answers share a question: it is computed only if `labels` are those
        of the whole evaluation split in its order, and left out otherwise.
        Raises SpecError for shapes that do not fit, Diverged for logits that are not finite.
        """
        groups = self.eval.groups if np.array_equal(labels, self.eval.labels) else None
        return self.problem.score(self.metrics, logits, labels, groups, self.num_labels)


def build_task(info: TaskInfo, spec: TaskSpec, loaded: Loaded) -> Task:
    """Make the task from the loaded splits: cut to the limits, with a description of what is left.

    Raises DataError for a split without examples, and for training targets from which nothing can be learned.
    """
    if not len(loaded.train) or not len(loaded.eval):
        raise DataError(
            f"task {info.name!r} has {len(loaded.train)} training and {len(loaded.eval)} evaluation examples"
        )
    train, train_note = _limit(loaded.train, spec.limit, "training")
    evaluation, eval_note = _limit(loaded.eval, spec.eval_limit, "evaluation")
    problem = PROBLEMS[info.problem]
    problem.check_targets(train.labels, info.name)
    return Task(
        name=info.name,
        kind=info.kind,
        problem=problem,
        label_names=loaded.label_names,
        metrics=info.metrics,
        train=train,
        eval=evaluation,
        description="; ".join((info.description, loaded.origin, train_note, eval_note)).replace("?;", "?"),
        max_length=spec.max_length,
        pixels=info.pixels,
    )


def shuffled(count: int, key: int) -> NDArray[np.int64]:
    """A permutation of range(count) that is the same on every platform and numpy version.

    It sorts `count` raw 64-bit outputs of Philox4x64 with this key: numpy guarantees the stream of a bit
    generator, but not that of `Generator.permutation`.
    """
    order: NDArray[np.int64] = np.argsort(np.random.Philox(key=key).random_raw(count), kind="stable")
    return order


def _limit(examples: Examples, limit: int | None, role: str) -> tuple[Examples, str]:
    total = len(examples)
    if limit is None:
        return examples, f"{total} {role} examples"
    if limit >= total:
        return examples, f"all {total} {role} examples (the limit is {limit})"
    return examples.take(shuffled(total, _LIMIT_KEY)[:limit]), (
        f"the first {limit} of a fixed shuffle of {total} {role} examples"
    )

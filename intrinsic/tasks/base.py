"""What a task is once its data are read: two splits of raw examples, a metric, a fingerprint.

Nothing here imports torch; `Task.prepare` does, when it is called.
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
"""Philox key of the shuffle that `limit` and `eval_limit` take the first so many of."""


@dataclass(frozen=True, eq=False)
class TextExamples:
    """One split of texts: one or two columns of strings, and the labels."""

    columns: tuple[tuple[str, ...], ...]
    labels: Targets
    groups: tuple[str, ...] | None = None
    """For each example the name of those it is judged with (MultiRC: of the question that it answers)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.int64]) -> TextExamples:
        columns = tuple(tuple(column[i] for i in index) for column in self.columns)
        groups = None if self.groups is None else tuple(self.groups[i] for i in index)
        return TextExamples(columns, self.labels[index], groups)

    def digest(self) -> bytes:
        """SHA-256 over every string, each preceded by its length, and the labels."""
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
    """What a loader hands over, before limits."""

    train: Examples
    eval: Examples
    label_names: tuple[str, ...]
    """The classes in the order of their ids; () for a problem without classes."""
    origin: str
    """A phrase for the task's description: where the data came from and how they were split."""


class Prepared(Protocol):
    """The two splits ready for a model; items are dicts of tensors, `collate` makes a batch of them."""

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
    """The metrics that `score` returns, the primary one first."""
    train: Examples
    eval: Examples
    description: str
    max_length: int
    pixels: Pixels | None = None

    @property
    def num_labels(self) -> int:
        """The number of the head's outputs: one a class, or 1 for regression."""
        return self.problem.num_outputs(self.label_names)

    @property
    def metric(self) -> str:
        """The primary metric's name."""
        return self.metrics[0]

    @property
    def higher_is_better(self) -> bool:
        """The direction of the primary metric."""
        return METRICS[self.metric].higher_is_better

    @property
    def num_train(self) -> int:
        """m: training examples used."""
        return len(self.train)

    @property
    def num_eval(self) -> int:
        return len(self.eval)

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) for vision, None for text."""
        if isinstance(self.train, TextExamples):
            return None
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    @cached_property
    def chance(self) -> float:
        """Score of the best constant answer on the evaluation split, by the primary metric.

        Accuracy: the share of the majority class. Matthews and Pearson: 0, by definition here.
        F1: that of always answering class 1. Mean squared error: the targets' variance.
        """
        return self.problem.chance(self.metric, self.eval.labels, self.eval.groups, self.label_names)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the raw examples used, training split first."""
        return hashlib.sha256(self.train.digest() + self.eval.digest()).hexdigest()

    def first(self, count: int) -> Task:
        """The task with no more than so many examples in each split."""
        some = np.arange(count)
        train, evaluation = (part.take(some[: len(part)]) for part in (self.train, self.eval))
        return replace(self, train=train, eval=evaluation)

    def prepare(self, preprocessor: Any) -> Prepared:
        """Tokenise once, or set up the images' transform.

        `preprocessor`: a tokenizer for text; for vision None (reference nets: pixels normalised with the
        catalogue's statistics) or a Hugging Face image processor.
        Raises SpecError if it does not fit the kind of task.
        """
        prepared: Prepared = import_module(f"intrinsic.tasks.encode_{self.kind}").prepare(self, preprocessor)
        return prepared

    def score(self, logits: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
        """All the task's metrics of the model's outputs (logits [n, num_labels]; regression also [n]) against labels [n].

        Raises SpecError for shapes that do not fit, Diverged for logits that are not finite.
        `exact_match` (MultiRC) needs to know which answers share a question: it is computed when
        `labels` are the whole evaluation split's in its order, and for anything else left out.
        """
        groups = self.eval.groups if np.array_equal(labels, self.eval.labels) else None
        return self.problem.score(self.metrics, logits, labels, groups, self.num_labels)


def build_task(info: TaskInfo, spec: TaskSpec, loaded: Loaded) -> Task:
    """Cut the loaded splits to the limits and describe what is left."""
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

    The order of `count` raw 64-bit outputs of Philox4x64 with this key: numpy promises the stream of a bit
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

"""The examples of each step, in an order that depends on the data seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from intrinsic.errors import DataError
from intrinsic.seeds import derive
from intrinsic.spec import OptimSpec
from intrinsic.tasks.base import shuffled

Batch = dict[str, Tensor]
"""Tensors by the names of the model's inputs, and `labels`; of one example or of several stacked ones."""
Collate = Callable[[list[Batch]], Batch]
"""A function that makes a batch of single examples."""
Indices = NDArray[np.int64]
"""Positions of examples in a split, int64 [n]."""


@dataclass(frozen=True)
class Share:
    """One process's part of every batch: examples rank, rank + world, rank + 2 world, ... of it."""

    rank: int = 0
    """Index of the process, from 0."""
    world: int = 1
    """Number of processes."""


@dataclass(frozen=True)
class Micro:
    """One forward and backward pass. The step's loss is the sum of weight * mean loss over its passes."""

    batch: Batch
    """This process's examples."""
    weight: float
    """Share of the step's examples (of all processes) that are in this pass; 0 for a pass that only fills in."""


def epoch_order(data_seed: int, epoch: int, count: int) -> Indices:
    """The permutation of the training examples in an epoch, counted from 0: positions [count].

    A pure function of its arguments: the same on every device, for every number of processes and threads, and whatever
    the global generators have been used for.
    """
    return shuffled(count, derive(data_seed, "order", epoch))


def step_indices(optim: OptimSpec, data_seed: int, count: int) -> Iterator[Indices]:
    """The positions of each step's examples, up to batch_size * accumulate; no step straddles two epochs."""
    size, per_epoch = optim.batch_size * optim.accumulate, optim.steps_per_epoch(count)
    order = np.empty(0, dtype=np.int64)
    for step in range(optim.total_steps(count)):
        epoch, position = divmod(step, per_epoch)
        if position == 0:
            order = epoch_order(data_seed, epoch, count)
        yield order[position * size : (position + 1) * size]


class TrainBatches:
    """The steps of a run, each a list of micro-batches.

    A step's examples do not depend on how they are divided: batch_size 16 accumulated twice, batch_size 32, and two
    processes with 16 each take the same gradient, that of the mean loss over the 32, but for rounding.

    Raises DataError for a split without examples.
    """

    def __init__(
        self, dataset: Dataset[Batch], collate: Collate, optim: OptimSpec, data_seed: int, share: Share
    ) -> None:
        self.count = length(dataset)
        if self.count == 0:
            raise DataError("the training split is empty; there is nothing to train on")
        self.total = optim.total_steps(self.count)
        self._dataset, self._collate, self._share = dataset, collate, share
        self._optim, self._data_seed = optim, data_seed

    def __iter__(self) -> Iterator[list[Micro]]:
        for indices in step_indices(self._optim, self._data_seed, self.count):
            size = self._optim.batch_size
            chunks = [indices[start : start + size] for start in range(0, len(indices), size)]
            yield [self._micro(chunk, len(indices)) for chunk in chunks]

    def _micro(self, chunk: Indices, step_size: int) -> Micro:
        mine = chunk[self._share.rank :: self._share.world]
        weight = len(mine) / step_size
        if len(mine) == 0:  # every process must take part in every pass
            mine = chunk[:1]
        return Micro(gather_batch(self._dataset, self._collate, mine), weight)


def gather_batch(dataset: Dataset[Batch], collate: Collate, indices: Indices) -> Batch:
    """The batch of the examples at the given positions."""
    return collate([dataset[i] for i in indices.tolist()])


def length(dataset: Dataset[Batch]) -> int:
    """Number of examples in a map-style dataset."""
    sized: Any = dataset  # torch's Dataset promises no __len__, map-style ones have it
    return len(sized)


def by_length(dataset: Dataset[Batch], batch_size: int) -> list[Indices]:
    """Positions of batches of examples of like length, the longest first, so that little is padded.

    The length of a text is that of its input_ids; images all have one length and keep their order.
    """
    count = length(dataset)
    text = count > 0 and "input_ids" in dataset[0]
    lengths = [len(dataset[i]["input_ids"]) for i in range(count)] if text else [0] * count
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]

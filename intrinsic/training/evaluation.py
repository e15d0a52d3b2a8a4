"""A method's answers on a split, got in one way for scores and counted errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from intrinsic.errors import DataError
from intrinsic.methods.base import Forward, Trainable
from intrinsic.problems import Problem, Targets
from intrinsic.tasks.base import Prepared
from intrinsic.training.batches import Batch, Indices, Share, by_length, gather_batch, length

Answers = tuple[NDArray[Any], Targets]
"""Outputs [n, ...] and targets [n] of a split, in its own order."""


@contextmanager
def keep_modes(model: nn.Module) -> Iterator[None]:
    """Give every submodule its own train/eval flag back at the end."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def training_batches(prepared: Prepared, batch_size: int) -> Iterator[Batch]:
    """The training examples in their own order, labels included, as :meth:`Trainable.prepare_answers` gets them."""
    for start in range(0, length(prepared.train), batch_size):
        indices = np.arange(start, min(start + batch_size, length(prepared.train)))
        yield gather_batch(prepared.train, prepared.collate, indices)


class Evaluator:
    """Computes a method's answers on a split, in batches of like length."""

    def __init__(
        self, prepared: Prepared, problem: Problem, batch_size: int, share: Share, split: Dataset[Batch] | None = None
    ) -> None:
        """Evaluate on `split`; None: the evaluation split. Raises DataError for a split without examples."""
        self._prepared, self._problem, self._batch_size, self._share = prepared, problem, batch_size, share
        self._split = prepared.eval if split is None else split
        self._batches = by_length(self._split, batch_size)
        if not self._batches:
            name = "evaluation split" if split is None else "split to evaluate on"
            raise DataError(f"the {name} is empty; there is nothing to score on")

    def __call__(
        self, trainable: Trainable, forward: Forward, gather: Callable[[list[Any]], list[Any]] = lambda parts: parts
    ) -> Answers:
        """The outputs [n, ...] and the targets [n], with the model in eval mode and without gradients.

        Outputs of any floating type come as float32.

        forward: a batch without labels -> outputs; gather: the processes' lists -> one list, on every process.
        """
        mine = self._batches[self._share.rank :: self._share.world]
        with keep_modes(trainable.model):
            trainable.model.eval()
            trainable.prepare_answers(training_batches(self._prepared, self._batch_size))
            parts = [self._batch(indices, trainable, forward) for indices in mine]
        # the transfer to the host waits for the device, so it comes once all work is queued
        done = gather([(indices, outputs.cpu().numpy(), labels) for indices, outputs, labels in parts])
        order = np.argsort(np.concatenate([indices for indices, _, _ in done]), kind="stable")
        outputs = self._problem.joined([part for _, part, _ in done])
        return outputs[order], np.concatenate([labels for _, _, labels in done])[order]

    def _batch(self, indices: Indices, trainable: Trainable, forward: Forward) -> tuple[Indices, Tensor, Targets]:
        batch = dict(gather_batch(self._split, self._prepared.collate, indices))
        labels = batch.pop("labels").numpy()
        outputs = trainable.answer(forward, batch)
        return indices, outputs.float() if torch.is_floating_point(outputs) else outputs, labels

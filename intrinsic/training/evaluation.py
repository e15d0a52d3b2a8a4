"""A model's answers on a split."""

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
from intrinsic.training.batches import Batch, Collate, Share, by_length, gather_batch

Answers = tuple[NDArray[Any], NDArray[Any]]


@contextmanager
def keep_modes(model: nn.Module) -> Iterator[None]:
    """Give every submodule its own train/eval flag back at the end."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class Evaluator:
    """Computes logits on a split, in batches of like length; the answers come in the split's own order."""

    def __init__(self, dataset: Dataset[Batch], collate: Collate, batch_size: int, share: Share) -> None:
        self._dataset, self._collate, self._share = dataset, collate, share
        self._batches = by_length(dataset, batch_size)
        if not self._batches:
            raise DataError("the evaluation split is empty; there is nothing to score on")

    def __call__(
        self, model: nn.Module, forward: Callable[[Batch], Tensor], gather: Callable[[list[Any]], list[Any]]
    ) -> Answers:
        """Logits [n, num_labels] float32 and labels [n], with the model in eval mode and without gradients.

        forward: a batch without labels -> logits; gather: the processes' lists -> one list, on every process.
        """
        mine = self._batches[self._share.rank :: self._share.world]
        with keep_modes(model), torch.no_grad():
            model.eval()
            parts = [self._batch(indices, forward) for indices in mine]
        # the transfer to the host waits for the device, so it comes once all work is queued
        done = gather([(indices, logits.cpu().numpy(), labels) for indices, logits, labels in parts])
        order = np.argsort(np.concatenate([indices for indices, _, _ in done]), kind="stable")
        return np.concatenate([x for _, x, _ in done])[order], np.concatenate([y for _, _, y in done])[order]

    def _batch(
        self, indices: NDArray[np.int64], forward: Callable[[Batch], Tensor]
    ) -> tuple[NDArray[np.int64], Tensor, NDArray[Any]]:
        batch = dict(gather_batch(self._dataset, self._collate, indices))
        labels = batch.pop("labels").numpy()
        return indices, forward(batch).float(), labels

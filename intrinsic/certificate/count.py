"""Errors, counted in integers: an answer that a rounding could turn is an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from intrinsic.certificate.networks import Network, batches
from intrinsic.training.batches import Batch, gather_batch, length
from intrinsic.training.evaluation import keep_modes

MARGIN = 1e-4
"""The margin by which the right class's logit must exceed every other one, in float32, or the example is an error: so
a certificate says, and so `verify` counts. It is absolute, so that a message with small values has more errors."""
MARGIN_OF_CERTIFY = 2 * MARGIN
"""The margin that `certify` asks for: what is right by this here is right by MARGIN where rounding differs."""


@dataclass(frozen=True)
class Counts:
    """The errors of a network on a split."""

    errors: int
    narrow: int
    """The errors that are right answers, but by too little in one pass or both."""
    samples: int


def count_errors(network: Network, split: str, margin: float = MARGIN) -> Counts:
    """Count the errors of the model, in eval mode and float32, on the split `train` or `eval`.

    An example is an error if in either of two passes, at other batch sizes and in other orders, its margin is not at
    least `margin`. A logit that is not finite is an error.
    """
    margins = [_margins(network, getattr(network.prepared[number], split), number) for number in (0, 1)]
    least = np.minimum(*margins)
    wrong = int((~(least >= margin)).sum())
    narrow = int(((least > 0) & (least < margin)).sum())
    return Counts(wrong, narrow, len(least))


def _margins(network: Network, split: Dataset[Batch], number: int) -> NDArray[Any]:
    """The right class's logit minus the largest other one, [n]; -inf where a logit is not finite."""
    model, collate = network.loaded.model, network.prepared[number].collate
    found = np.empty(length(split), dtype=np.float64)
    with keep_modes(model), torch.no_grad():
        model.eval()
        for indices in batches(split, number):
            found[indices] = _batch_margins(model, dict(gather_batch(split, collate, indices)))
    return found


def _batch_margins(model: nn.Module, batch: Batch) -> NDArray[Any]:
    labels = batch.pop("labels")[:, None]
    logits = model(**batch).logits.float()
    right = logits.gather(1, labels)[:, 0]
    others = logits.scatter(1, labels, -torch.inf).amax(dim=1)
    margins = torch.where(torch.isfinite(logits).all(dim=1), right - others, -torch.inf)
    made: NDArray[Any] = margins.double().numpy()
    return made

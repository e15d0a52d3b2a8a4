"""The projection `pairs`: two signed entries a row."""

from __future__ import annotations

from functools import partial
from math import sqrt
from typing import ClassVar, final

import torch
from torch import Tensor

from intrinsic.kernels.reference import hashed_parts, words
from intrinsic.projections import Projection


@final
class PairsProjection(Projection):
    """Row r is (sigma e_h + tau e_k) / sqrt 2, with h, k, sigma, tau independent: E||row||^2 = 1, cost O(n).

    Randomness: as in `hashed`, h and sigma from word r of stream 0, k and tau from word r of stream 1.
    """

    description: ClassVar[str] = "two signed entries a row"

    def _forward(self, theta: Tensor, key: int, n: int) -> Tensor:
        columns, signs = self._parts(theta, key, n)
        return (signs * theta[columns]).sum(0) / sqrt(2)

    def _adjoint(self, grad: Tensor, key: int) -> Tensor:
        columns, signs = self._parts(grad, key, grad.numel())
        total = torch.zeros(self.dim, dtype=torch.float64, device=grad.device)
        total.index_add_(0, columns.flatten(), (signs * grad).double().flatten())
        return (total / sqrt(2)).to(grad.dtype)

    def _parts(self, like: Tensor, key: int, n: int) -> tuple[Tensor, ...]:
        """Columns [2, n] int64 and signs [2, n]."""
        return self._cached((key, n, like.device, like.dtype), partial(self._drawn, like, key, n))

    def _drawn(self, like: Tensor, key: int, n: int) -> tuple[Tensor, ...]:
        first = hashed_parts(self.seed, key, self.dim, n, like.device, like.dtype)
        word = words(self.seed, key, 1, 0, n, like.device)
        second = (((word & 0x7FFFFFFF) * self.dim) >> 31, (1 - 2 * (word >> 31)).to(like.dtype))
        return torch.stack((first[0], second[0])), torch.stack((first[1], second[1]))

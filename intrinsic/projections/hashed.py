"""Hashed: one signed entry a row."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor

from intrinsic.kernels import reference
from intrinsic.projections.base import Projection


@final
class HashedProjection(Projection):
    """One signed entry a row, P_{r, h(r)} = sigma(r): every weight copies one coordinate of theta, with a sign.

    The count-sketch matrix (Charikar, Chen and Farach-Colton 2002), and, scaled by 1/sqrt(n_j) a column,
    the isometric map of Uni-LoRA (2025): P^T P is diagonal with the column counts n_j ~ n/d.
    Rows have length exactly 1. Cost O(n), independent of d.

    Randomness: row r takes the word on lane r mod 4 of counter r div 4 of stream 0.
    Bit 31 set: sigma = -1.  h = floor((w mod 2^31) d / 2^31), uniform up to d / 2^31.
    """

    kernel: ClassVar[str | None] = "hashed"

    def _forward(self, theta: Tensor, key: int, n: int) -> Tensor:
        column, sign = self._parts(theta, key, n)
        return sign * theta[column]

    def _adjoint(self, grad: Tensor, key: int) -> Tensor:
        column, sign = self._parts(grad, key, grad.numel())
        total = torch.zeros(self.dim, dtype=torch.float64, device=grad.device)
        return total.index_add_(0, column, (sign * grad).double()).to(grad.dtype)

    def _parts(self, like: Tensor, key: int, n: int) -> tuple[Tensor, ...]:
        build = partial(reference.hashed_parts, self.seed, key, self.dim, n, like.device, like.dtype)
        return self._cached((key, n, like.device, like.dtype), build)

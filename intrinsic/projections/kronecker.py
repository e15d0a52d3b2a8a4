"""Kronecker: two small gaussian factors, O(n sqrt(d))."""

from __future__ import annotations

from functools import partial
from math import isqrt
from typing import final

import torch
from torch import Tensor

from intrinsic.kernels import gaussian_matrix
from intrinsic.projections.base import Projection
from intrinsic.projections.sums import transposed_product


@final
class KroneckerProjection(Projection):
    """The Kronecker product P = (Q_1 (x) Q_2) / sqrt(d), cut to n rows and d columns (Lotfi et al. 2022, P_(x)).

    With a = ceil(sqrt(n)), b = ceil(n/a), d_1 = ceil(sqrt(d)), d_2 = ceil(d/d_1): Q_1 [a, d_1], Q_2 [b, d_2]
    standard gaussian, and P theta the first n entries, row by row, of Q_1 Theta Q_2^T / sqrt(d), Theta [d_1, d_2]
    being theta row by row, filled up with zeros. E||P_r||^2 = 1.

    Randomness: Q_1 on stream 0, Q_2 on stream 1, entries numbered row by row and read as in
    `intrinsic.projections.dense`. Deviations from the paper: sizes that are not squares are cut, not
    padded, and rows rather than columns have unit expected norm.
    """

    def _forward(self, theta: Tensor, key: int, n: int) -> Tensor:
        left, right = self._factors(theta, key, n)
        filled = theta.new_zeros(left.shape[1] * right.shape[1])
        filled[: self.dim] = theta
        return (left @ filled.view(left.shape[1], -1) @ right.T).flatten()[:n]

    def _adjoint(self, grad: Tensor, key: int) -> Tensor:
        left, right = self._factors(grad, key, grad.numel())
        filled = grad.new_zeros(len(left) * len(right))
        filled[: grad.numel()] = grad
        pulled = transposed_product(left, filled.view(len(left), -1)) @ right.double()
        return pulled.flatten()[: self.dim].to(grad.dtype)

    def _factors(self, like: Tensor, key: int, n: int) -> tuple[Tensor, ...]:
        return self._cached((key, n, like.device, like.dtype), partial(self._build, like, key, n))

    def _build(self, like: Tensor, key: int, n: int) -> tuple[Tensor, Tensor]:
        a, d1 = _ceil_sqrt(n), _ceil_sqrt(self.dim)
        b, d2 = -(-n // a), -(-self.dim // d1)
        left = gaussian_matrix(self.seed, key, 0, 0, (a, d1), like.device, like.dtype)
        right = gaussian_matrix(self.seed, key, 1, 0, (b, d2), like.device, like.dtype)
        scale = torch.tensor(self.dim, dtype=torch.float64).pow(-0.25).item()
        return left * scale, right * scale


def _ceil_sqrt(x: int) -> int:
    return isqrt(x - 1) + 1

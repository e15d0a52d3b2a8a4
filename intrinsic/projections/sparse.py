"""Sparse: few signed entries of equal size a row, O(n d density)."""

from __future__ import annotations

from functools import partial
from math import sqrt
from typing import ClassVar, final

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from intrinsic.errors import SpecError
from intrinsic.kernels import words
from intrinsic.projections.base import DEFAULT_CACHE_BYTES, Projection

ROWS_PER_TILE = 1 << 18
"""Rows of P made at a time."""


@final
class SparseProjection(Projection):
    """Very sparse random projection (Li, Hastie and Church 2006), the `sparse` of Li et al. (2018).

    Row r is the sum of k_r signed unit vectors +-e_c / sqrt(q d), k_r ~ Binomial(d, q), columns c uniform,
    q the density; q = 1/sqrt(D) by default, D the full dimension, as in both papers. E||P_r||^2 = 1.

    Randomness: k_r from word r of stream 0 (word m is lane m mod 4 of counter m div 4): the number of thresholds
    floor(2^32 F(k)), k = 0, 1, ..., that are at most the word, F the binomial distribution function.
    Entry e < k_r takes word r K + e of stream 1, K the number of thresholds below 2^32 - 1:
    bit 31 set: minus; column floor((w mod 2^31) d / 2^31).

    Raises SpecError for a density outside (0, 1].

    Deviations: columns are drawn with replacement, so that two entries may add up or cancel (a share of
    about k_r / 2d of them; the expected norm is unchanged); columns are not normalised afterwards.
    """

    kernel: ClassVar[str | None] = "sparse"

    def __init__(self, dim: int, seed: int, *, density: float, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        super().__init__(dim, seed, cache_bytes=cache_bytes)
        if not 0 < density <= 1:
            raise SpecError(f"density must lie in (0, 1], got {density!r}; the papers take 1/sqrt(D)")
        self.density = density
        k = np.arange(min(dim, int(dim * density + 12 * sqrt(dim * density) + 40)))
        thresholds = np.floor(2.0**32 * stats.binom.cdf(k, dim, density)).astype(np.int64)
        self._thresholds = torch.from_numpy(thresholds[thresholds < 2**32 - 1])

    @classmethod
    def defaults(cls, full_dim: int | None, dim: int) -> dict[str, float]:
        """The density of the papers, 1/sqrt(D); 1/sqrt(d) where D is not known."""
        return {"density": 1 / sqrt(full_dim or dim)}

    @property
    def options(self) -> dict[str, float | int | str]:
        """The density."""
        return {"density": self.density}

    def _kernel_options(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return self._thresholds, self._magnitude(like)

    def _magnitude(self, like: Tensor) -> Tensor:
        """The size of an entry, 1 / sqrt(q d): one number in like's precision."""
        return like.new_ones(()) / sqrt(self.density * self.dim)

    def _forward(self, theta: Tensor, key: int, n: int) -> Tensor:
        out = theta.new_zeros(n)
        for row, column, sign in self._tiles(theta, key, n):
            out.index_add_(0, row, sign * theta[column])
        return out

    def _adjoint(self, grad: Tensor, key: int) -> Tensor:
        total = torch.zeros(self.dim, dtype=torch.float64, device=grad.device)
        for row, column, sign in self._tiles(grad, key, grad.numel()):
            total.index_add_(0, column, (sign * grad[row]).double())
        return total.to(grad.dtype)

    def _tiles(self, like: Tensor, key: int, n: int) -> list[tuple[Tensor, ...]]:
        return [
            self._cached(
                (key, n, start, like.device, like.dtype),
                partial(self._tile, like, key, start, min(ROWS_PER_TILE, n - start)),
            )
            for start in range(0, n, ROWS_PER_TILE)
        ]

    def _tile(self, like: Tensor, key: int, start: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """The row, column and value of every entry of rows start ... start + rows - 1."""
        thresholds, d = self._thresholds.to(like.device), self.dim
        count = torch.searchsorted(thresholds, words(self.seed, key, 0, start, rows, like.device), right=True)
        row = torch.arange(rows, device=like.device).repeat_interleave(count)
        order = torch.arange(len(row), device=like.device) - (count.cumsum(0) - count).repeat_interleave(count)
        w = self._entry_words(key, (start + row) * len(thresholds) + order)
        sign = (1 - 2 * (w >> 31)).to(like.dtype) * self._magnitude(like)
        return start + row, ((w & 0x7FFFFFFF) * d) >> 31, sign

    def _entry_words(self, key: int, index: Tensor) -> Tensor:
        from intrinsic.kernels.reference import philox

        lanes = torch.stack(philox(index // 4, self.seed, key, 1), dim=-1)
        return lanes.gather(-1, (index % 4).unsqueeze(-1)).squeeze(-1)

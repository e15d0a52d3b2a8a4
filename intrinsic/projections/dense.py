"""Dense gaussian: the plain definition, O(n d)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import sqrt
from typing import final

import torch
from torch import Tensor

from intrinsic.kernels import gaussian_matrix
from intrinsic.projections.base import Projection
from intrinsic.projections.sums import transposed_product

TILE_ENTRIES = 1 << 22
"""Entries of P made at a time on a GPU."""
CPU_TILE_ENTRIES = 1 << 20
"""Entries of P made at a time on the CPU, 4 MiB of float32: larger tiles get fresh pages from the system each time,
which cost more than their numbers."""


@final
class DenseProjection(Projection):
    """Independent gaussian entries P_{ri} ~ N(0, 1/d) (Li et al. 2018, without their normalisation of columns).

    Randomness: entry (r, i) is number e = r d + i; it takes half e mod 2 (0: bits 0-15, 1: bits 16-31) of word
    e div 2 of stream 0 (word m is lane m mod 4 of counter m div 4) as an index into the 65536 gaussian
    quantiles of `intrinsic.kernels.tables`.

    P is made in tiles of rows, 2^22 entries each, 2^20 on the CPU; a tile that fits the cache is kept. Deviation
    from the ideal law: 65536 levels, no value beyond 4.33 standard deviations.
    """

    def _forward(self, theta: Tensor, key: int, n: int) -> Tensor:
        return torch.cat([transposed_product(tile.T, theta).to(theta.dtype) for _, tile in self._tiles(theta, key, n)])

    def _adjoint(self, grad: Tensor, key: int) -> Tensor:
        total = torch.zeros(self.dim, dtype=torch.float64, device=grad.device)
        for start, tile in self._tiles(grad, key, grad.numel()):
            total += transposed_product(tile, grad[start : start + len(tile)])
        return total.to(grad.dtype)

    def _tiles(self, like: Tensor, key: int, n: int) -> Iterator[tuple[int, Tensor]]:
        entries = CPU_TILE_ENTRIES if like.device.type == "cpu" else TILE_ENTRIES
        height = max(1, entries // self.dim)
        for start in range(0, n, height):
            build = partial(self._tile, like, key, start, min(height, n - start))
            yield start, self._cached((key, n, start, like.device, like.dtype), build)[0]

    def _tile(self, like: Tensor, key: int, start: int, rows: int) -> tuple[Tensor]:
        d = self.dim
        entries = gaussian_matrix(self.seed, key, 0, start * d, (rows, d), like.device, like.dtype)
        return (entries.div_(sqrt(d)),)

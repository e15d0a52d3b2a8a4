"""The launches of Fastfood on a GPU.

Each program of the adjoint adds the blocks it meets, in order, into one row of p numbers, and a second kernel adds
a tensor's rows, in order. How many rows there are depends on (n, p) alone, so the same gradient gives the same bits
on every device and in every company.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from intrinsic.kernels import tables
from intrinsic.kernels.gpu import fastfood_kernels, wide
from intrinsic.kernels.gpu.access import TYPES
from intrinsic.kernels.gpu.groups import Group, finished, groups, pulled, room
from intrinsic.kernels.gpu.launch import COLUMNS, Task, addresses, by_fours, launch_table, on_device
from intrinsic.kernels.gpu.tile import LARGEST, tile_shape
from intrinsic.kernels.pieces import Piece
from intrinsic.kernels.reference import block_size

SMALLEST = 16
"""The shortest block p that fills a program; shorter ones and those above LARGEST take several passes."""

_MOST_ROWS = 1584
"""The most rows of a tensor's partial sums: twelve programs for each of the 132 multiprocessors of an H100 or H200. A
constant, not the device's own number: the order of a sum must not depend on where it is made."""
_LEAST_ROWS = 64
"""The least rows of them, as far as there are tiles: a layer of a few million weights must still fill the device."""
_BLOCKS_A_ROW = 16
"""The least blocks that a row stands for otherwise: 1/16 of the gradient's traffic to write, and to read."""


def forward(theta: Tensor, seed: int, pieces: Sequence[Piece]) -> list[Tensor]:
    """W of each piece, bit for bit as the reference.  theta [d] float32, contiguous."""
    d, device = theta.numel(), theta.device
    if not SMALLEST <= block_size(d) <= LARGEST:
        return [piece.moved(wide.forward(theta, seed, piece.key, piece.n)) for piece in pieces]
    padded = torch.nn.functional.pad(theta, (0, block_size(d) - d))
    made = room(pieces, device)
    with on_device(device):
        for group in groups(pieces, made):
            _forward(padded, d, seed, group)
    return [finished(piece, out) for piece, out in zip(pieces, made, strict=True)]


def _forward(padded: Tensor, d: int, seed: int, group: Group) -> None:
    K, R, W = tile_shape(padded.numel())
    tasks = [Task(piece.key, piece.n, -(-piece.n // (128 << (R + W)))) for piece in group.pieces]
    launch = launch_table(seed, tuple(tasks), padded.device)
    fastfood_kernels.forward[(len(launch.row_of),)](
        padded, group.data, launch.table, launch.row_of, *_tables(1 << K, padded.device), d,
        DTYPE=TYPES[group.out[0].dtype], START=group.start is not None, FOURS=group.fours,
        K=K, R=R, W=W, num_warps=1 << W, enable_fp_fusion=False,
    )  # fmt: skip


def adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """P(key)^T g of each contiguous gradient.  -> [len(grads), dim] float32"""
    device = grads[0].device
    if not SMALLEST <= block_size(dim) <= LARGEST:
        return torch.stack([wide.adjoint(grad, seed, key, dim) for grad, key in zip(grads, keys, strict=True)])
    with on_device(device):
        return pulled(grads, lambda group: _adjoint([grads[i] for i in group], seed, [keys[i] for i in group], dim))


def _adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """As `adjoint`, for gradients of one dtype."""
    device, p = grads[0].device, block_size(dim)
    K, R, W = tile_shape(p)
    tasks = [Task(key, grad.numel(), rows_of(grad.numel(), p)) for grad, key in zip(grads, keys, strict=True)]
    launch = launch_table(seed, tuple(tasks), device)
    partial = torch.empty(len(launch.row_of), p, dtype=torch.float32, device=device)
    sums = torch.empty(len(grads), dim, dtype=torch.float32, device=device)
    fastfood_kernels.adjoint[(len(launch.row_of),)](
        addresses(grads), partial, launch.table, launch.row_of, *_tables(p, device), dim,
        DTYPE=TYPES[grads[0].dtype], FOURS=by_fours(grads), K=K, R=R, W=W, num_warps=1 << W, num_stages=1,
    )  # fmt: skip
    fastfood_kernels.add_rows[(-(-dim // 32), len(grads))](
        partial, sums, launch.table, dim, K=K, TABLE_COLUMNS=COLUMNS, COLUMNS=32, ROWS=64, num_warps=4
    )
    return sums


def rows_of(n: int, p: int) -> int:
    """The number of programs, and so of rows of partial sums, for a gradient of n elements in blocks of p."""
    _, R, W = tile_shape(p)
    tiles = -(-n // (128 << (R + W)))
    return min(tiles, _MOST_ROWS, max(_LEAST_ROWS, -(-n // (_BLOCKS_A_ROW * p))))


def _tables(p: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    return gauss_fixed(device), tables.chi_tensor(p, device, torch.float32), _iota(device)


@cache
def gauss_fixed(device: torch.device) -> Tensor:
    """The gaussian quantiles in units of 2^-16.  -> [4096] int32"""
    return torch.from_numpy(tables.gaussian(12)).to(device, torch.int32)


@cache
def _iota(device: torch.device) -> Tensor:
    return torch.arange(2048, dtype=torch.int32, device=device)

"""Hashed on a GPU: W = W_0 + lambda P theta in one launch for a layer, and its adjoint.

Adjoint: every element adds to the one column that its row's hash names. Floating-point sums would depend on the
order in which the device happens to add, so numbers are added as 64-bit integers: each gradient is rounded to a
multiple of 2^-b of the tensor's largest, b about 60 - log2(n/d) bits. Integer sums are the same in any order, and the
bits lost lie below float32's for sums of up to about 2^36 elements a column. To find the largest costs a second
read of the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from intrinsic.kernels.gpu import hashed_kernels
from intrinsic.kernels.gpu.access import TYPES
from intrinsic.kernels.gpu.groups import Group, finished, groups, pulled, room
from intrinsic.kernels.gpu.launch import LaunchTable, Task, addresses, by_fours, launch_table, on_device
from intrinsic.kernels.pieces import Piece
from intrinsic.kernels.reference import block_size

TILE = 4096
"""Elements that a program works on."""
_IN_SHARED = 4096
"""The longest theta that is looked up in shared memory, where random reads meet few conflicts, and not in the cache."""
_MOST_SUMS = 1 << 18
"""The most numbers that copies of the sums may take: with many copies, few programs meet at one address."""


def forward(theta: Tensor, seed: int, pieces: Sequence[Piece]) -> list[Tensor]:
    """W of each piece, bit for bit as the reference.  theta [d] float32, contiguous."""
    made = room(pieces, theta.device)
    with on_device(theta.device):
        for group in groups(pieces, made):
            _forward(theta, seed, group)
    return [finished(piece, out) for piece, out in zip(pieces, made, strict=True)]


def _forward(theta: Tensor, seed: int, group: Group) -> None:
    d, device = theta.numel(), theta.device
    shared = max(16, block_size(d)) if d <= _IN_SHARED else 0
    source = torch.nn.functional.pad(theta, (0, max(0, shared - d)))
    launch = _tiles([(piece.key, piece.n) for piece in group.pieces], seed, device)
    hashed_kernels.forward[(len(launch.row_of),)](
        source, group.data, launch.table, launch.row_of, d,
        DTYPE=TYPES[group.out[0].dtype], START=group.start is not None, FOURS=group.fours,
        SHARED=shared, SIZE=TILE, enable_fp_fusion=False,
    )  # fmt: skip


def adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """P(key)^T g of each contiguous gradient; NaN in the columns that a number which is not finite reaches.

    -> [len(grads), dim] float32
    """
    with on_device(grads[0].device):
        return pulled(grads, lambda group: _adjoint([grads[i] for i in group], seed, [keys[i] for i in group], dim))


def _adjoint(grads: Sequence[Tensor], seed: int, keys: Sequence[int], dim: int) -> Tensor:
    """As `adjoint`, for gradients of one dtype."""
    device, count = grads[0].device, len(grads)
    launch = _tiles([(key, grad.numel()) for grad, key in zip(grads, keys, strict=True)], seed, device)
    data, programs = addresses(grads), (len(launch.row_of),)
    read = {"DTYPE": TYPES[grads[0].dtype], "FOURS": by_fours(grads), "SIZE": TILE}
    largest = torch.zeros(count, dtype=torch.int32, device=device)
    hashed_kernels.largest[programs](data, largest, launch.table, launch.row_of, **read)
    exponent = torch.frexp(largest.view(torch.float32)).exponent.long() - _room(
        tuple(map(Tensor.numel, grads)), dim, device
    )
    copies = max(1, min(64, _MOST_SUMS // (count * dim)))
    sums = torch.zeros(count, copies, dim, dtype=torch.int64, device=device)
    spoiled = torch.zeros(count, dim, device=device)
    hashed_kernels.adjoint[programs](
        data, sums, spoiled, _power_of_two(-exponent), launch.table, launch.row_of, dim, copies, num_warps=8, **read
    )
    return (sums.sum(1).double() * _power_of_two(exponent)[:, None]).float() + spoiled


def _tiles(tensors: Sequence[tuple[int, int]], seed: int, device: torch.device) -> LaunchTable:
    """The table of a launch; tensors: (key, n) of each."""
    return launch_table(seed, tuple(Task(key, n, -(-n // TILE)) for key, n in tensors), device)


@lru_cache(maxsize=4096)
def _room(sizes: tuple[int, ...], d: int, device: torch.device) -> Tensor:
    """The bits that a tensor's largest number may take, so that no sum overflows.

    A column takes n/d elements; four times that, and 64 more, happens to no seed.
    """
    return torch.tensor([62 - (4 * (n // d) + 64).bit_length() for n in sizes]).to(device)


def _power_of_two(exponent: Tensor) -> Tensor:
    """2^e exactly, for int64 e from -1022 to 1023.  -> float64"""
    return ((exponent + 1023) << 52).view(torch.float64)

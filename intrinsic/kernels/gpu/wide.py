"""Fastfood in several passes, for the blocks that one program cannot hold (p > 32768) or fill (p < 16).

Words and permutation are written out for a slice of blocks at a time, and the rest is left to torch and `fwht`:
about fifteen times the traffic of the single pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from intrinsic.kernels import tables
from intrinsic.kernels.gpu.draw import write_parts
from intrinsic.kernels.gpu.launch import on_device, signed
from intrinsic.kernels.gpu.transform import fwht_
from intrinsic.kernels.reference import block_size

SLICE = 1 << 22
"""The elements made at a time, if a block is not longer."""
TILE = 1024
"""The elements that a program of `write_parts` makes."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The matrices B, G, S (block's scale included) and pi of some blocks, each [blocks, p]."""

    sign: Tensor
    gauss: Tensor
    spread: Tensor
    pi: Tensor


def _slices(seed: int, key: int, d: int, n: int, device: torch.device) -> Iterator[tuple[int, Parts]]:
    """Pairs (first element, parts) of one slice of blocks after the other."""
    p = block_size(d)
    blocks = -(-n // p)
    step = max(1, SLICE // p)
    for first in range(0, blocks, step):
        yield first * p, _parts(seed, key, d, (first, min(step, blocks - first)), device)


def _parts(seed: int, key: int, d: int, blocks: tuple[int, int], device: torch.device) -> Parts:
    """The parts of some blocks; blocks: the first, and how many."""
    p = block_size(d)
    first, many = blocks
    words = torch.empty(many, p, dtype=torch.int32, device=device)
    pi = torch.empty(many, p, dtype=torch.int64, device=device)
    names = torch.tensor([signed(seed), signed(key)]).to(device)
    with on_device(device):
        write_parts[(-(-words.numel() // TILE),)](
            words, pi, names, first, words.numel(), K=p.bit_length() - 1, SIZE=TILE
        )
    gauss = tables.gaussian_tensor(12, device, torch.float32)[words & 0xFFF]
    fixed = (gauss * tables.FIXED_POINT).long()
    norm = (fixed * fixed).sum(1, keepdim=True).double().sqrt() / tables.FIXED_POINT  # the sum is exact
    spread = tables.chi_tensor(p, device, torch.float32)[(words >> 12) & 0xFFF] * (1 / (norm * sqrt(d))).float()
    return Parts(torch.where(words < 0, -1.0, 1.0), gauss, spread, pi)


def forward(theta: Tensor, seed: int, key: int, n: int) -> Tensor:
    """P(key) theta.  theta [d] float32 -> [n]."""
    d, out = theta.numel(), torch.empty(n, dtype=theta.dtype, device=theta.device)
    padded = torch.nn.functional.pad(theta, (0, block_size(d) - d))
    for start, parts in _slices(seed, key, d, n, theta.device):
        u = fwht_(parts.sign * padded).gather(1, parts.pi)
        made = (parts.spread * fwht_(parts.gauss * u)).flatten()
        out[start : start + made.numel()] = made[: n - start]
    return out


def adjoint(grad: Tensor, seed: int, key: int, d: int) -> Tensor:
    """P(key)^T grad, blocks summed in float64.  grad [n] -> [d] float32."""
    total = torch.zeros(block_size(d), dtype=torch.float64, device=grad.device)
    for start, parts in _slices(seed, key, d, grad.numel(), grad.device):
        held = grad[start : start + parts.pi.numel()].float()
        padded = torch.nn.functional.pad(held, (0, parts.pi.numel() - held.numel())).view(parts.pi.shape)
        v = parts.gauss * fwht_(parts.spread * padded)
        u = torch.empty_like(v).scatter_(1, parts.pi, v)
        total += (parts.sign * fwht_(u)).double().sum(0)
    return total[:d].float()

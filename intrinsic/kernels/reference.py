"""The kernels in plain torch: slow, on every device, and the oracle that the fast ones are held against."""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
from torch import Tensor

from intrinsic.kernels import tables
from intrinsic.seeds import M0, M1, MASK32, ROUNDS, W0, W1

VALUES, PERMUTATION = 0, 1
"""The streams of Fastfood's words and of its permutations."""


def philox(index: Tensor, seed: int, key: int, stream: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four lanes of Philox4x32-10 for each counter index.  index [...] int64 -> four [...] int64 < 2^32.

    int64 products wrap modulo 2^64, which leaves both halves right once the sign is masked off.
    """
    c0, c1 = index & MASK32, (index >> 32) | (stream << 16)
    c2, c3 = torch.full_like(index, key & MASK32), torch.full_like(index, key >> 32)
    k0, k1 = seed & MASK32, seed >> 32
    for _ in range(ROUNDS):
        p0, p1 = c0 * M0, c2 * M1
        c0, c1, c2, c3 = (
            ((p1 >> 32) & MASK32) ^ c1 ^ k0,
            p1 & MASK32,
            ((p0 >> 32) & MASK32) ^ c3 ^ k1,
            p0 & MASK32,
        )
        k0, k1 = (k0 + W0) & MASK32, (k1 + W1) & MASK32
    return c0, c1, c2, c3


def words(seed: int, key: int, stream: int, start: int, count: int, device: torch.device) -> Tensor:
    """The words start ... start + count - 1 of a stream (word i: lane i mod 4 of counter i div 4).  -> [count] int64"""
    first, last = start // 4, (start + count - 1) // 4
    index = torch.arange(first, last + 1, device=device)
    flat = torch.stack(philox(index, seed, key, stream), dim=-1).flatten()
    return flat[start - 4 * first :][:count]


def fwht(x: Tensor) -> Tensor:
    """The Walsh-Hadamard transform of each row, not normalised.  x [rows, p], p a power of two -> [rows, p].

    Stages run from neighbours outwards (h = 1, 2, 4, ...): the fast kernels keep this order, so that they
    agree with this one to the last bit.
    """
    rows, p = x.shape
    h = 1
    while h < p:
        pair = x.view(rows, p // (2 * h), 2, h)
        x = torch.stack((pair[:, :, 0] + pair[:, :, 1], pair[:, :, 0] - pair[:, :, 1]), dim=2).view(rows, p)
        h *= 2
    return x


def block_size(dim: int) -> int:
    """The length p = 2^ceil(log2 d) of Fastfood's blocks, d = dim."""
    return 1 << (dim - 1).bit_length()


def fastfood_words(seed: int, key: int, p: int, blocks: int, device: torch.device) -> Tensor:
    """The words of Fastfood, one an element.  -> [blocks, p] int64

    That of element i of block j is lane i div q of counter j q + i mod q, q = max(1, p/4).
    """
    q = max(1, p // 4)
    index = torch.arange(blocks * q, device=device)
    lanes = torch.stack(philox(index, seed, key, VALUES), dim=0).view(4, blocks, q)
    return lanes[: min(4, p)].permute(1, 0, 2).reshape(blocks, p)


def permutation_rounds(p: int) -> int:
    """The rounds after which pairs (pi(i), pi(j)) pass chi-square tests over 20000 blocks: small p mix slower."""
    return 4 if p >= 128 else 8


def permutations(seed: int, key: int, p: int, blocks: int, device: torch.device) -> Tensor:
    """The permutation pi of each block, [blocks, p] int64: see `intrinsic.projections.fastfood`."""
    k = p.bit_length() - 1
    shift = max(1, (k + 1) // 2)
    w = words(seed, key, PERMUTATION, 0, 16 * blocks, device).view(blocks, 16, 1)
    x = torch.arange(p, device=device).expand(blocks, p)
    for r in range(permutation_rounds(p)):
        x = (x * (w[:, 2 * r] | 1) + w[:, 2 * r + 1]) & (p - 1)
        x = x ^ (x >> shift)
    return x


def fastfood_parts(seed: int, key: int, d: int, n: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """The parts (B, G, S, pi) of all blocks, each [blocks, p]; the block's scale is inside S."""
    p = block_size(d)
    blocks = -(-n // p)
    w = fastfood_words(seed, key, p, blocks, device)
    sign = (1 - 2 * (w >> 31)).to(dtype)
    fixed = torch.from_numpy(tables.gaussian(12)).to(device)[w & 0xFFF]
    gauss = (fixed.double() / tables.FIXED_POINT).to(dtype)
    # numpy, because its square root is correctly rounded and torch's is not: P must not depend on the build
    frobenius = np.sqrt((fixed * fixed).sum(dim=1, keepdim=True).cpu().numpy().astype(np.float64))
    scale = torch.from_numpy(1.0 / (frobenius / tables.FIXED_POINT * sqrt(d))).to(device, dtype)
    spread = tables.chi_tensor(p, device, dtype)[(w >> 12) & 0xFFF]
    return sign, gauss, spread * scale, permutations(seed, key, p, blocks, device)


def fastfood_forward(theta: Tensor, parts: tuple[Tensor, ...], n: int) -> Tensor:
    """The product S H G Pi H B theta.  theta [d] -> [n]."""
    sign, gauss, spread, pi = parts
    padded = torch.nn.functional.pad(theta, (0, sign.shape[1] - theta.numel()))
    u = fwht(sign * padded).gather(1, pi)
    return (spread * fwht(gauss * u)).flatten()[:n]


def fastfood_adjoint(grad: Tensor, parts: tuple[Tensor, ...], d: int) -> Tensor:
    """The product B H Pi^T G H S grad, summed over the blocks in float64.  grad [n] -> [d]."""
    sign, gauss, spread, pi = parts
    padded = torch.nn.functional.pad(grad, (0, sign.numel() - grad.numel())).view_as(sign)
    v = gauss * fwht(spread * padded)
    u = torch.zeros_like(v).scatter_(1, pi, v)
    return (sign * fwht(u)).double().sum(dim=0)[:d].to(grad.dtype)


def hashed_parts(
    seed: int, key: int, d: int, n: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The column [n] int64 and sign [n] of the one entry of each row: see `intrinsic.projections.hashed`."""
    w = words(seed, key, VALUES, 0, n, device)
    return ((w & 0x7FFFFFFF) * d) >> 31, (1 - 2 * (w >> 31)).to(dtype)

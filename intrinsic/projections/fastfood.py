"""Fastfood: O(n log d) time, nothing stored."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, final

from torch import Tensor

from intrinsic.kernels import reference
from intrinsic.projections.base import Projection


@final
class FastfoodProjection(Projection):
    """Stacked Fastfood blocks (Le, Sarlos and Smola, ICML 2013).

    With p = 2^ceil(log2 d), block j gives rows j p ... j p + p - 1 as the first d columns of

        V_j = S H G Pi H B  in R^{p x p},        P_{ri} = (V_j)_{ri},

    H the Walsh-Hadamard matrix with entries +-1 (natural order), B = diag(+-1), Pi a permutation,
    (Pi x)_i = x_{pi(i)}, G = diag(g_i), and S_ii = s_i / (||g|| sqrt(d)) with s_i sqrt(p) ~ chi(p).
    Over all p columns a row has length s_i sqrt(p/d), so E||P_r||^2 = 1 over the first d.
    The last block is cut where the n rows are filled.

    Randomness (streams as in `intrinsic.seeds`; word bits counted from the least significant):
    element i of block j takes the word on lane i div q of counter j q + i mod q of stream 0, q = max(1, p/4).
    Bit 31 set: B_ii = -1. Bits 0-11: index into the 4096 gaussian quantiles for g_i. Bits 12-23: index
    into the 4096 chi(p) / sqrt(p) quantiles for s_i (tables in `intrinsic.kernels.tables`).
    pi: with k = log2 p, t = max(1, ceil(k/2)), and words w_0 ... w_15 those from 16 j on of stream 1
    (word m is lane m mod 4 of counter m div 4): x <- i, then for r = 0 ... R - 1, R = 4 if p >= 128 else 8:
        x <- (x (w_{2r} or 1) + w_{2r+1}) mod p;    x <- x xor floor(x / 2^t).

    Deviations from the paper: p is cut to d columns; gaussians and chi variates take 4096 values;
    Pi is drawn from this keyed family of bijections instead of from all p! permutations.
    """

    kernel: ClassVar[str | None] = "fastfood"

    def _forward(self, theta: Tensor, key: int, n: int) -> Tensor:
        return reference.fastfood_forward(theta, self._parts(theta, key, n), n)

    def _adjoint(self, grad: Tensor, key: int) -> Tensor:
        parts = self._parts(grad, key, grad.numel())
        return reference.fastfood_adjoint(grad, parts, self.dim)

    def _parts(self, like: Tensor, key: int, n: int) -> tuple[Tensor, ...]:
        build = partial(reference.fastfood_parts, self.seed, key, self.dim, n, like.device, like.dtype)
        return self._cached((key, n, like.device, like.dtype), build)

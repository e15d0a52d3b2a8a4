"""Fixed features of images: the moduli of Gabor wavelets at two scales, averaged over a coarse grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

ORIENTATIONS = 8
CELLS = 7


@dataclass(frozen=True)
class Scale:
    """A scale of filters: waves under Gaussians."""

    side: int
    """The filters' width and height in pixels."""
    sigma: float
    """The Gaussian's standard deviation across the crests, in pixels."""
    frequency: float
    """The wave's frequency in radians a pixel."""


SCALES = (Scale(7, 1.2, 2.3), Scale(11, 2.2, 1.15))
ELONGATION = 2.0
"""The Gaussian's width along the wave's crests, in widths across them."""


def gabor_features(pixels: Tensor) -> Tensor:
    """Features of images, [B, C, H, W] -> [B, C 833]: means over 7 x 7 cells of |x * psi|, 16 filters psi, and of x.

    psi(u, v) = exp(-(u^2 + v^2 / 4) / (2 sigma^2)) (exp(i w u) - c), u across and v along the crests, c so that its
    mean is 0 and divided by the Gaussian's sum (a Morlet wavelet, as in the scattering transform of Bruna and Mallat
    2013, first order). Each image is first brought to the range 0..1 by its own extremes, square roots are taken,
    and each example's features brought to mean 0 and variance 1: nothing is learned from other examples.
    """
    low, high = pixels.amin((1, 2, 3), keepdim=True), pixels.amax((1, 2, 3), keepdim=True)
    flat = ((pixels - low) / (high - low).clamp_min(1e-6)).flatten(0, 1)[:, None]
    maps = [flat, *(_moduli(flat, scale) for scale in SCALES)]
    pooled = torch.cat([functional.adaptive_avg_pool2d(part, CELLS).flatten(1) for part in maps], dim=1)
    features = pooled.clamp_min(0).sqrt().reshape(len(pixels), -1)
    return functional.layer_norm(features, features.shape[-1:])


def _moduli(images: Tensor, scale: Scale) -> Tensor:
    """The moduli |x * psi|, [N, 1, H, W] -> [N, ORIENTATIONS, H, W]."""
    margin = scale.side // 2
    padded = functional.pad(images, (margin,) * 4, mode="reflect" if min(images.shape[2:]) > margin else "replicate")
    both = functional.conv2d(padded, _bank(scale))
    moduli: Tensor = (both[:, :ORIENTATIONS].square() + both[:, ORIENTATIONS:].square() + 1e-12).sqrt()
    return moduli


@cache
def _bank(scale: Scale) -> Tensor:
    """The filters, real parts before imaginary ones: [2 ORIENTATIONS, 1, side, side]."""
    ticks = torch.arange(scale.side, dtype=torch.float64) - scale.side // 2
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    parts: list[tuple[Tensor, Tensor]] = []
    for i in range(ORIENTATIONS):
        angle = math.pi * i / ORIENTATIONS
        across = x * math.cos(angle) + y * math.sin(angle)
        along = y * math.cos(angle) - x * math.sin(angle)
        window = torch.exp(-(across**2 + (along / ELONGATION) ** 2) / (2 * scale.sigma**2))
        wave = torch.cos(scale.frequency * across)
        even = window * (wave - (window * wave).sum() / window.sum())
        parts.append((even / window.sum(), window * torch.sin(scale.frequency * across) / window.sum()))
    return torch.stack([even for even, _ in parts] + [odd for _, odd in parts])[:, None].float()

"""The pieces that a projection hands to its kernels: tensors that one theta moves, several at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Piece:
    """One tensor of n entries to be made: W = W_0 + lambda P(key) theta.

    W_0 is `start` (None: zeros), lambda `scale` (None: 1). Products and sums are rounded one by one, in theta's
    precision, and W once more to that of W_0.
    """

    key: int
    n: int
    start: Tensor | None = None
    """W_0, on theta's device."""
    scale: Tensor | None = None
    """lambda: one number, on theta's device."""

    def moved(self, shift: Tensor) -> Tensor:
        """W made of shift = P theta [n], which is written over."""
        if self.scale is not None:
            shift.mul_(self.scale)
        if self.start is None:
            return shift
        flat = self.start.detach().reshape(-1)
        return shift.add_(flat.to(shift.dtype)).to(self.start.dtype).view(self.start.shape)

    def fused(self, dtype: torch.dtype) -> bool:
        """Whether a kernel can read W_0 where it lies and write W in one pass."""
        held = self.start
        return held is None or (held.dtype == dtype and held.is_contiguous() and not held.is_neg())

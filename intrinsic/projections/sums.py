"""Products summed over many rows: in the tensors' precision within a part, in float64 from part to part."""

from __future__ import annotations

import torch
from torch import Tensor

ADDED_AT_ONCE = 512
"""The terms of a part, added up in the tensors' precision; the parts' sums are added in float64. With all rows at once
BLAS may add them one by one: in float32 a million terms were wrong by 3e-5 of the gradient's norm."""


def transposed_product(matrix: Tensor, grad: Tensor) -> Tensor:
    """The product matrix^T grad, its sum over rows in float64 from one part to the next.

    matrix [rows, d], grad [rows] or [rows, columns]  ->  [d] or [d, columns], float64.
    """
    total = torch.zeros(matrix.shape[1], *grad.shape[1:], dtype=torch.float64, device=grad.device)
    for weights, part in zip(torch.split(matrix, ADDED_AT_ONCE), torch.split(grad, ADDED_AT_ONCE), strict=True):
        total += weights.T @ part
    return total

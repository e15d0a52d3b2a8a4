"""The Walsh-Hadamard transform of rows on a GPU: one read, one write up to p = 32768."""

from __future__ import annotations

from torch import Tensor

from intrinsic.kernels import reference
from intrinsic.kernels.gpu import transform_kernels
from intrinsic.kernels.gpu.launch import on_device
from intrinsic.kernels.gpu.tile import LARGEST, tile_shape

_CHUNK = 512
_STAGES = 4
"""The most stages that a program of `transform_kernels.columns` applies, to 2^_STAGES rows of _CHUNK neighbours: 64
numbers a thread."""


def fwht_(x: Tensor) -> Tensor:
    """Apply the Walsh-Hadamard transform to each row, in place, not normalised, bit for bit as `reference.fwht`.

    x [rows, p] float32, contiguous, p a power of two -> x. Above p = 32768 the remaining stages follow, up to four
    a pass over memory.
    """
    p = x.shape[1]
    if p <= 2:
        return x.copy_(reference.fwht(x))
    K, R, W = tile_shape(min(p, LARGEST))
    done, stages = K, p.bit_length() - 1
    with on_device(x.device):
        if x.numel():
            transform_kernels.rows[(-(-x.numel() // (128 << (R + W))),)](x, x.numel(), K=K, R=R, W=W, num_warps=1 << W)
        while done < stages and x.numel():
            S = min(_STAGES, stages - done)
            transform_kernels.columns[(x.numel() // (_CHUNK << S),)](x, H=done, S=S, CHUNK=_CHUNK, num_warps=4)
            done += S
    return x

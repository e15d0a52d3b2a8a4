"""The kernels on a GPU in Triton, float32: one read of W_0 and one write of W, one read of a gradient, nothing stored.

A CPU's tensors are served too where TRITON_INTERPRET=1 stands in the environment before the first import: slowly, and
to the same bits, so that the kernels can be tested without a device. Older versions of Triton than 3.6 lack
what the kernels are written in; there, as where Triton is not installed, the reference serves.
"""

from __future__ import annotations

import os

import torch
import triton

OPERATIONS = ("fastfood_forward", "fastfood_adjoint", "hashed_forward", "hashed_adjoint", "fwht_")
RECENT = tuple(int(part) for part in triton.__version__.split(".")[:2]) >= (3, 6)
_DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"

if RECENT:
    from intrinsic.kernels.gpu.fastfood import adjoint as fastfood_adjoint
    from intrinsic.kernels.gpu.fastfood import forward as fastfood_forward
    from intrinsic.kernels.gpu.hashed import adjoint as hashed_adjoint
    from intrinsic.kernels.gpu.hashed import forward as hashed_forward
    from intrinsic.kernels.gpu.transform import fwht_


def serves(operation: str, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this backend has `operation` for tensors of this device and dtype."""
    return RECENT and operation in OPERATIONS and device.type == _DEVICE and dtype == torch.float32


__all__ = ["fastfood_adjoint", "fastfood_forward", "fwht_", "hashed_adjoint", "hashed_forward", "serves"]

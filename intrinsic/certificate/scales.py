"""How far a unit of theta_d moves each tensor: a scale from theta_0 alone, so that it costs no bits."""

from __future__ import annotations

import torch
from torch import Tensor

from intrinsic.certificate.codes import shorten
from intrinsic.subspace.core import Core
from intrinsic.subspace.weights import Target

DIGITS = 8
"""Rounded to so many binary digits, so that no machine's way of summing shows in it."""


def base_scales(core: Core) -> Tensor:
    """[tensors], in the order of the lambdas: sqrt(1 / fan_in), the size of a weight that keeps its input's scale.

    fan_in is the number of entries of one output's weights, of a bias that of the weight beside it. A vector alone (a
    norm's) has fan_in 1 and starts at 1: its scale is 1/8.
    """
    targets = sorted((t for layer in core.layers for t in layer.targets), key=_place)
    fans = {t.name.rpartition(".")[0]: t.base[0].numel() for t in targets if t.base.ndim >= 2}
    return torch.tensor([_scale(target, fans) for target in targets])


def _place(target: Target) -> int:
    assert target.scale is not None
    return target.scale


def _scale(target: Target, fans: dict[str, int]) -> float:
    fan = fans.get(target.name.rpartition(".")[0], 64)
    return shorten(fan**-0.5, DIGITS)

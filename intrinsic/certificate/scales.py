"""Scales of the tensors: how far a unit of theta_d moves each. They follow from theta_0 alone, so they cost no bits."""

from __future__ import annotations

import torch
from torch import Tensor

from intrinsic.certificate.codes import shorten
from intrinsic.subspace.core import Core
from intrinsic.subspace.weights import MovedTensor

DIGITS = 8
"""The binary digits that a scale is rounded to, so that no machine's rounding shows in it."""


def base_scales(core: Core) -> Tensor:
    """The scales sqrt(1 / fan_in), [tensors] in the lambdas' order: weights of that size keep their input's scale.

    fan_in is the number of entries of one output's weights, of a bias that of the weight beside it. A vector alone (a
    norm's) has fan_in 1 and starts at 1: its scale is 1/8.
    """
    targets = sorted((t for layer in core.layers for t in layer.tensors), key=_place)
    fans = {t.name.rpartition(".")[0]: t.base[0].numel() for t in targets if t.base.ndim >= 2}
    return torch.tensor([_scale(target, fans) for target in targets])


def _place(target: MovedTensor) -> int:
    assert target.scale is not None
    return target.scale


def _scale(target: MovedTensor, fans: dict[str, int]) -> float:
    fan = fans.get(target.name.rpartition(".")[0], 64)
    return shorten(fan**-0.5, DIGITS)

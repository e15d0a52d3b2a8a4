"""A subspace whose coordinates take few values: quantisation-aware training with the code's length in the objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, final

import torch
from torch import Tensor, nn

from intrinsic.certificate.codes import shorten
from intrinsic.certificate.scales import base_scales
from intrinsic.methods.base import Trainable
from intrinsic.subspace.core import CORE, Core

SOFTNESS = 0.15
"""The width of the soft assignment to levels, in distances between neighbouring levels."""
SLOWER = 4.0
"""The divisor of theta_d's learning rate for values and factors, as thousands of weights follow each of them."""
LLOYD_STEPS = 30
MODULE = "intrinsic_levels"
"""The name of the latents among the model's modules."""


@dataclass(frozen=True)
class Coarse:
    """The settings of the quantisation."""

    kinds: int
    """The number of levels; the middle one of an odd number is 0 and stays there."""
    bit_weight: float
    """The weight of the code's length in the loss, in nats a bit."""
    start: float
    """The share of the steps after which theta_d is quantised."""
    digits: int
    """The binary digits of values and factors after the first."""


class Latents(nn.Module):
    """The parameters that are trained in place of theta_d: theta before rounding, drifts of the values and factors."""

    def __init__(self, theta: Tensor, kinds: int, scales: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(theta.detach().clone())
        self.values = nn.Parameter(theta.new_zeros(kinds))
        self.factors = nn.Parameter(theta.new_zeros(scales))


@final
class CoarseSubspace(Trainable):
    """A subspace of few values: W_t = W0_t + c_t f_t P_t q(theta_d), c_t from theta_0 alone, q(x) the nearest value.

    Trained through by straight-through: the gradient of q(theta_d) is given to theta_d as it is (Bengio et al. 2013),
    a value receives the sum over the coordinates that took it. The objective is the loss plus bit_weight * bits, where
    bits = dim H(p) and p is the mean soft assignment of coordinates to levels, which is what the levels' code costs but
    for its counts. For the first `start` of the steps q is the identity; then the values start at the fixed point of
    Lloyd's algorithm on theta_d. Values and factors are rounded to `digits` binary digits in every forward pass, so
    that what is coded is what was trained. The factors f_t stay 1 unless `structure_aware`.

    inner: a subspace with a lambda a tensor, which carry c_t f_t.
    """

    def __init__(self, inner: Trainable, coarse: Coarse, *, structure_aware: bool) -> None:
        self._inner, self._coarse, self._structure_aware = inner, coarse, structure_aware
        self.model, self.full_dim = inner.model, inner.full_dim
        self.is_coarse = False
        core = self._core
        self._scales = base_scales(core)
        self._anchors = core.theta.new_zeros(coarse.kinds)
        scales = len(self._scales) if structure_aware else 0
        self.latents = Latents(core.theta, coarse.kinds, scales)
        self.model.add_module(MODULE, self.latents)
        self._adopt()

    @property
    def _core(self) -> Core:
        return cast(Core, getattr(self.model, CORE))

    def _adopt(self) -> None:
        """Catch the gradients of what the weights are made from; they belong to the latents."""
        core = self._core
        assert core.lambdas is not None
        core.theta.register_post_accumulate_grad_hook(self._pass_theta)  # type: ignore[no-untyped-call]
        core.lambdas.requires_grad_(self._structure_aware)
        if self._structure_aware:
            core.lambdas.register_post_accumulate_grad_hook(self._pass_lambdas)  # type: ignore[no-untyped-call]
        self._write()

    # ------------------------------------------------------------------ what is coded

    def values(self) -> tuple[float, ...]:
        """The values of the levels, as they are coded."""
        moved = self._anchors * (1 + self.latents.values.detach() / SLOWER)
        return tuple(shorten(float(value), self._coarse.digits) for value in moved)

    def factors(self) -> tuple[float, ...]:
        """The factors of the tensors, as they are coded; () without structure."""
        moved = 1 + self.latents.factors.detach() / SLOWER
        return tuple(shorten(float(factor), self._coarse.digits) for factor in moved)

    def levels(self) -> Tensor:
        """The index of the nearest value, int64 [dim]."""
        values = torch.tensor(self.values(), device=self.latents.theta.device)
        return (self.latents.theta.detach()[:, None] - values).abs().argmin(dim=1)

    # ------------------------------------------------------------------ training

    def penalty(self) -> Tensor | float:
        if not self.is_coarse or not self._coarse.bit_weight:
            return 0.0
        theta = self.latents.theta
        values = torch.tensor(self.values(), device=theta.device)
        width = SOFTNESS * float(values.max() - values.min()) / (len(values) - 1)
        if not width:
            return 0.0
        shares = torch.softmax(-((theta[:, None] - values) ** 2) / (2 * width**2), dim=1).mean(dim=0)
        return -self._coarse.bit_weight * len(theta) * (shares * shares.clamp_min(1e-12).log2()).sum()

    def after_step(self, step: int, total: int) -> None:
        if not self.is_coarse and step >= self._coarse.start * total:
            self.is_coarse = True
            self._anchors = lloyd(self.latents.theta.detach(), self._coarse.kinds)
        self._write()

    def _write(self) -> None:
        """Put the present point where the weights are made from."""
        core = self._core
        with torch.no_grad():
            if self.is_coarse:
                values = torch.tensor(self.values(), dtype=core.theta.dtype, device=core.theta.device)
                core.theta.copy_(values[self.levels()])
            else:
                core.theta.copy_(self.latents.theta)
            assert core.lambdas is not None
            factors = torch.tensor(self.factors() or (1.0,), dtype=core.lambdas.dtype, device=core.lambdas.device)
            core.lambdas.copy_(self._scales.to(core.lambdas) * factors)

    def _pass_theta(self, theta: Tensor) -> None:
        grad, theta.grad = theta.grad, None
        assert grad is not None
        _add(self.latents.theta, grad)
        if self.is_coarse:
            summed = torch.zeros_like(self._anchors).index_add_(0, self.levels(), grad)
            _add(self.latents.values, summed * self._anchors / SLOWER)

    def _pass_lambdas(self, lambdas: Tensor) -> None:
        grad, lambdas.grad = lambdas.grad, None
        assert grad is not None
        _add(self.latents.factors, grad * self._scales.to(grad) / SLOWER)

    # ------------------------------------------------------------------ the contract's rest

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((f"{MODULE}.{name}", p) for name, p in self.latents.named_parameters() if p.numel())

    def state_dict(self) -> dict[str, Tensor]:
        return {**self._inner.state_dict(), **{f"{MODULE}.{n}": t for n, t in self.latents.state_dict().items()}}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        own = {name: tensor for name, tensor in state.items() if not name.startswith(MODULE)}
        self._inner.load_state_dict(own)
        self.latents.load_state_dict({n.removeprefix(f"{MODULE}."): t for n, t in state.items() if n not in own})

    def merge(self) -> nn.Module:
        del self.model._modules[MODULE]
        return self._inner.merge()

    def save(self, folder: str | Path) -> None:
        self._inner.save(folder)

    def load(self, folder: str | Path) -> None:
        """Load the point as theta before rounding."""
        del self.model._modules[MODULE]  # the artefact knows nothing of it
        try:
            self._inner.load(folder)
            with torch.no_grad():
                self.latents.theta.copy_(self._core.theta)
        finally:
            self.model.add_module(MODULE, self.latents)
            self._adopt()

    @property
    def head_parameters(self) -> int:
        return self._inner.head_parameters


def lloyd(theta: Tensor, kinds: int) -> Tensor:
    """Find [kinds] values, ascending, by Lloyd's algorithm in one dimension, from evenly spread ones; a middle is 0."""
    reach = 1.5 * theta.square().mean().sqrt().clamp_min(1e-6)
    values = torch.linspace(-1, 1, kinds, dtype=theta.dtype, device=theta.device) * reach
    for _ in range(LLOYD_STEPS):
        nearest = (theta[:, None] - values).abs().argmin(dim=1)
        counts = torch.bincount(nearest, minlength=kinds)
        means = torch.zeros_like(values).index_add_(0, nearest, theta) / counts.clamp_min(1)
        values = torch.where(counts > 0, means, values)
        if kinds % 2:
            values[kinds // 2] = 0.0
    return values


def _add(parameter: nn.Parameter, grad: Tensor) -> None:
    parameter.grad = grad.clone() if parameter.grad is None else parameter.grad + grad


__all__ = ["Coarse", "CoarseSubspace", "lloyd"]

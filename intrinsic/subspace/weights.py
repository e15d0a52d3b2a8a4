"""How a weight is made from theta_d, and how its gradient goes back: one autograd node a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from intrinsic.kernels.pieces import Piece
from intrinsic.projections import Projection
from intrinsic.projections.base import full_precision


@dataclass(frozen=True, eq=False)
class Target:
    """A tensor that lies in the subspace."""

    name: str
    key: int
    """Names its P: :func:`intrinsic.seeds.name_key` of the canonical name."""
    base: nn.Parameter
    """theta_0: the parameter taken off the model, frozen."""
    scale: int | None
    """Index of its lambda; None without structure."""
    requires_grad: bool
    """What it said before it was taken off."""


@dataclass(frozen=True, eq=False)
class Layer:
    name: str
    targets: tuple[Target, ...]


@dataclass(eq=False)
class Point:
    """The values of theta_d and the lambdas that the weights in the model were made from.

    A copy (d numbers): a backward pass that comes after theta_d has moved still gives the gradient at
    the point of its own forward pass.
    """

    theta: Tensor
    lambdas: Tensor | None
    touched: bool = False
    """A gradient has passed through since this was last compared with the parameters."""

    def weights(self, layer: Layer, projection: Projection) -> list[Tensor]:
        """W = W_0 + lambda P theta of each target, in theta's precision, rounded once to that of W_0."""
        return projection.weights(self.theta, [self._piece(target) for target in layer.targets])

    def weight(self, target: Target, projection: Projection) -> Tensor:
        """The same of one target, bit for bit."""
        return projection.weights(self.theta, [self._piece(target)])[0]

    def _piece(self, target: Target) -> Piece:
        scale = None if self.lambdas is None or target.scale is None else self.lambdas[target.scale]
        return Piece(target.key, target.base.numel(), target.base.detach(), scale)


class LayerWeights(torch.autograd.Function):
    """(theta, lambdas) -> the weights of one layer.

    Backward turns each weight's gradient g_t straight into P_t^T g_t [d] and keeps no other trace of it:

        dL/dtheta  = sum_t lambda_t P_t^T g_t,
        dL/dlambda = sum_t <P_t theta, g_t> = <theta, sum_t P_t^T g_t>,

    the last by the adjoint identity, so P theta is neither kept nor made again. Nothing is saved through
    autograd: the node may be run backward any number of times (micro-batches, reentrant checkpoints),
    with the gradients of any of its weights missing.
    """

    @staticmethod
    def forward(
        ctx: Any, theta: Tensor, lambdas: Tensor | None, layer: Layer, projection: Projection, point: Point
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.layer, ctx.projection, ctx.point = layer, projection, point
        return tuple(point.weights(layer, projection))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        point: Point = ctx.point
        point.touched = True
        d_theta = torch.zeros_like(point.theta)
        d_lambdas = None if point.lambdas is None else torch.zeros_like(point.lambdas)
        found = [(target, grad) for target, grad in zip(ctx.layer.targets, grads, strict=True) if grad is not None]
        if not found:
            return d_theta, d_lambdas, None, None, None
        with full_precision(point.theta):
            flat = [_flat(grad, point.theta) for _, grad in found]
            pulled = ctx.projection.adjoints(flat, [target.key for target, _ in found])
            for (target, _), row in zip(found, pulled, strict=True):
                _add(row, target.scale, point, d_theta, d_lambdas)
        return d_theta, d_lambdas, None, None, None


def _add(pulled: Tensor, scale: int | None, point: Point, d_theta: Tensor, d_lambdas: Tensor | None) -> None:
    if scale is None or d_lambdas is None or point.lambdas is None:
        d_theta += pulled
    else:
        d_theta.addcmul_(pulled, point.lambdas[scale])
        d_lambdas[scale] += point.theta @ pulled


def _flat(grad: Tensor, like: Tensor) -> Tensor:
    dense = grad.to_dense() if grad.is_sparse else grad
    return dense.reshape(-1).to(like.dtype)

"""Making weights from theta_d, and taking their gradients back to it: one autograd node a layer."""

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
class MovedTensor:
    """A tensor that lies in the subspace."""

    name: str
    """The canonical name."""
    key: int
    """The name of its P: :func:`intrinsic.seeds.name_key` of the canonical name."""
    base: nn.Parameter
    """theta_0: the parameter taken off the model, frozen."""
    scale: int | None
    """Index of its lambda; None without structure."""
    requires_grad: bool
    """Whether it required a gradient before it was taken off."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The moved tensors of one layer, whose weights are made together."""

    name: str
    tensors: tuple[MovedTensor, ...]
    """The layer's tensors, in the order of their names."""


@dataclass(eq=False)
class Coordinates:
    """The values of theta_d and the lambdas that the weights in the model were made from.

    A copy (d numbers): a backward pass that comes after theta_d has moved still gives the gradient at
    the point of its own forward pass.
    """

    theta: Tensor
    """theta_d [dim]."""
    lambdas: Tensor | None
    """The lambdas [L]; None without structure."""
    touched: bool = False
    """Whether a gradient has passed through since this was last compared with the parameters."""

    def weights(self, layer: Layer, projection: Projection) -> list[Tensor]:
        """The weights W = W_0 + lambda P theta of each tensor, in theta's precision, rounded once to that of W_0."""
        return projection.weights(self.theta, [self._piece(moved) for moved in layer.tensors])

    def weight(self, moved: MovedTensor, projection: Projection) -> Tensor:
        """W of one tensor, bit for bit as :meth:`weights` makes it."""
        return projection.weights(self.theta, [self._piece(moved)])[0]

    def _piece(self, moved: MovedTensor) -> Piece:
        scale = None if self.lambdas is None or moved.scale is None else self.lambdas[moved.scale]
        return Piece(moved.key, moved.base.numel(), moved.base.detach(), scale)


class LayerWeights(torch.autograd.Function):
    """The autograd function (theta, lambdas) -> the weights of one layer.

    Backward turns each weight's gradient g_t straight into P_t^T g_t [d] and keeps no other trace of it:

        dL/dtheta  = sum_t lambda_t P_t^T g_t,
        dL/dlambda = sum_t <P_t theta, g_t> = <theta, sum_t P_t^T g_t>,

    the last by the adjoint identity, so P theta is neither kept nor made again. Nothing is saved through
    autograd: the node may be run backward any number of times (micro-batches, reentrant checkpoints),
    with the gradients of any of its weights missing.
    """

    @staticmethod
    def forward(
        ctx: Any, theta: Tensor, lambdas: Tensor | None, layer: Layer, projection: Projection, coordinates: Coordinates
    ) -> tuple[Tensor, ...]:
        """The weights of the layer, made from the coordinates."""
        ctx.set_materialize_grads(False)
        ctx.layer, ctx.projection, ctx.coordinates = layer, projection, coordinates
        return tuple(coordinates.weights(layer, projection))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of theta and the lambdas."""
        coordinates: Coordinates = ctx.coordinates
        coordinates.touched = True
        d_theta = torch.zeros_like(coordinates.theta)
        d_lambdas = None if coordinates.lambdas is None else torch.zeros_like(coordinates.lambdas)
        found = [(moved, grad) for moved, grad in zip(ctx.layer.tensors, grads, strict=True) if grad is not None]
        if not found:
            return d_theta, d_lambdas, None, None, None
        with full_precision(coordinates.theta):
            flat = [_flat(grad, coordinates.theta) for _, grad in found]
            pulled = ctx.projection.adjoints(flat, [moved.key for moved, _ in found])
            for (moved, _), row in zip(found, pulled, strict=True):
                _add(row, moved.scale, coordinates, d_theta, d_lambdas)
        return d_theta, d_lambdas, None, None, None


def _add(
    pulled: Tensor, scale: int | None, coordinates: Coordinates, d_theta: Tensor, d_lambdas: Tensor | None
) -> None:
    if scale is None or d_lambdas is None or coordinates.lambdas is None:
        d_theta += pulled
    else:
        d_theta.addcmul_(pulled, coordinates.lambdas[scale])
        d_lambdas[scale] += coordinates.theta @ pulled


def _flat(grad: Tensor, like: Tensor) -> Tensor:
    dense = grad.to_dense() if grad.is_sparse else grad
    return dense.reshape(-1).to(like.dtype)

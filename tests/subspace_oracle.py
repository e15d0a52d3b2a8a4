"""Gradients of theta_d and the lambdas by plain autograd: dense P, float64, whole model rebuilt by substitution."""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
from models_tiny import loss_of
from torch import Tensor, nn
from torch.func import functional_call

from intrinsic.projections import make_projection
from intrinsic.seeds import name_key


def names_of(model: nn.Module) -> dict[str, list[str]]:
    """The names of every parameter, by the alphabetically first of them."""
    by_id: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        by_id.setdefault(id(parameter), []).append(name)
    return {min(names): sorted(names) for names in by_id.values()}


def layer(names: list[str]) -> str:
    numbered = re.match(r"((?:[^.]+\.)*?\d+)\.", names[0])
    if numbered:
        return numbered.group(1)
    if any(re.search(r"embed|(^|\.)w[tp]e\.", name, re.IGNORECASE) for name in names):
        return "embeddings"
    return names[0].split(".")[0] if "." in names[0] else "root"


def scale_index(model: nn.Module, mode: str | None, chosen: list[str]) -> tuple[dict[str, int], int]:
    """The index of each parameter's lambda by its canonical name, and the number of lambdas; mode None: no lambdas."""
    if mode is None:
        return {}, 0
    names = names_of(model)
    label = {name: layer(names[name]) for name in chosen}
    if mode == "layer":
        order = sorted(set(label.values()))
        return {name: order.index(label[name]) for name in chosen}, len(order)
    ordered = sorted(chosen, key=lambda name: (label[name], name))
    return {name: ordered.index(name) for name in chosen}, len(ordered)


def reference(
    plain: nn.Module,
    batch: dict[str, Any],
    theta: Tensor,
    lambdas: Tensor | None,
    *,
    projection: str,
    seed: int,
    mode: str | None,
    chosen: list[str] | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The logits, dL/dtheta and dL/dlambdas of the plain model, in float64."""
    model = copy.deepcopy(plain).double().train(plain.training)
    names, held = names_of(model), dict(model.named_parameters(remove_duplicate=False))
    chosen = sorted(names) if chosen is None else chosen
    index, _ = scale_index(model, mode, chosen)
    x = theta.detach().double().requires_grad_()
    lam = None if lambdas is None else lambdas.detach().double().requires_grad_()
    full_dim = sum(held[name].numel() for name in chosen)
    p = make_projection(projection, theta.numel(), seed, full_dim=full_dim)
    weights = {}
    for name in chosen:
        base = held[name].detach()
        shift = (p.to_dense(name_key(name), base.numel()) @ x).view(base.shape)
        weight = base + (shift if lam is None else lam[index[name]] * shift)
        weights.update(dict.fromkeys(names[name], weight))
    inputs = {k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
    out = functional_call(model, weights, (), inputs)
    out = out if isinstance(out, Tensor) else out.logits
    wanted = [x] if lam is None else [x, lam]
    grads = torch.autograd.grad(loss_of(out), wanted)
    return out.detach(), grads[0], grads[1] if lam is not None else None

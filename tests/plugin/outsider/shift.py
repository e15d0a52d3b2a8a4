"""The method `shift`, BitFit with shared numbers: unit j of a layer gets scale * v[j mod groups], and v is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intrinsic.errors import SpecError
from intrinsic.methods.base import Pretrained
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.spec import MethodSpec, SeedSpec
from intrinsic.subspace.layout import is_under
from outsider import ShiftOptions

NAME = "outsider_shift"
KINDS: dict[str, type[nn.Module]] = {"linear": nn.Linear, "norm": nn.LayerNorm, "conv": nn.Conv2d}


class Shift(nn.Module):
    """v, and how it is laid over a layer's bias."""

    def __init__(self, bias: Tensor, options: ShiftOptions) -> None:
        super().__init__()
        self.width, self.scale = len(bias), options.scale
        self.values = nn.Parameter(torch.zeros_like(bias[: options.groups]))

    def forward(self) -> Tensor:
        times = -(-self.width // len(self.values))
        return self.scale * self.values.repeat(times)[: self.width]


def attach(loaded: Pretrained, spec: MethodSpec, options: ShiftOptions, seeds: SeedSpec) -> PartialFineTuning:
    """Every layer of the kinds asked for, outside the head, that has a bias. Raises SpecError if there is none."""
    check(loaded, spec, options)

    def extend(model: nn.Module) -> Extension:
        layers = _layers(loaded, options)
        shifts = [Shift(layer.get_parameter("bias").detach(), options) for layer in layers]
        for layer, shift in zip(layers, shifts, strict=True):
            layer.add_module(NAME, shift)
        handles = [layer.register_forward_hook(_shifted) for layer in layers]

        def fold() -> None:
            for layer, handle in zip(layers, handles, strict=True):
                with torch.no_grad():
                    layer.get_parameter("bias").add_(layer.get_submodule(NAME)())
                delattr(layer, NAME)
                handle.remove()

        return Extension(tuple(shift.values for shift in shifts), fold)

    return PartialFineTuning(loaded, Identity(method=spec, seeds=seeds), extend)


def check(loaded: Pretrained, spec: MethodSpec, options: ShiftOptions) -> None:
    """Raise SpecError for a model without such layers; no weight is read."""
    if not _layers(loaded, options):
        raise SpecError(
            f"method {spec.name!r} finds no layer of the kinds {'+'.join(options.kinds)} with a bias in "
            f"{type(loaded.model).__name__}: give other kinds"
        )


def _layers(loaded: Pretrained, options: ShiftOptions) -> list[nn.Module]:
    wanted = tuple(KINDS[kind] for kind in options.kinds)
    return [
        module
        for name, module in loaded.model.named_modules()
        if isinstance(module, wanted) and module.bias is not None and not is_under(name, loaded.head_names)
    ]


def _shifted(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    shift: Tensor = layer.get_submodule(NAME)()
    return output + (shift[:, None, None] if isinstance(layer, nn.Conv2d) else shift)

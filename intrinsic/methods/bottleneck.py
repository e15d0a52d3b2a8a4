"""Bottleneck adapters along the four axes of He et al. (2022, arXiv:2110.04366); see BottleneckOptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from intrinsic.errors import SpecError
from intrinsic.methods.architecture import Attention, Block, Sublayer, blocks_of, shape_of, width_of
from intrinsic.methods.base import Pretrained, generator_of
from intrinsic.methods.options import BottleneckOptions
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.spec import MethodSpec, SeedSpec

FORMS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "linear": lambda x: x}
"""Nonlinearities f by the name of the option `form`."""
SHUT = -3.0
"""Initial bias of a gate, at which it lets 5 % of dh through."""


class Bottleneck(nn.Module):
    """Adapter dh = W_up f(W_down x + b_down) + b_up, composed with h.

    W_down [r, d] starts at U(-1/sqrt(d), 1/sqrt(d)), all else at 0, so that at first h is unchanged (with a gate, which
    starts at 5 %, it is multiplied by 0.95). There are 2rd + r + d parameters, one more for a learned scale, d + 1 more
    for a gate. The module is called by hooks of the modules around it, so that no module of the model is renamed.
    """

    def __init__(self, shape: tuple[int, int], options: BottleneckOptions, like: Tensor) -> None:
        super().__init__()
        inputs, outputs = shape
        self.down = _linear(inputs, options.bottleneck, like)
        self.up = _linear(options.bottleneck, outputs, like)
        self.composition, self.form = options.composition, options.form
        self.fixed = options.scale
        if self.composition == "learned":
            self.scale = nn.Parameter(like.new_ones(()))
        if self.composition == "gated":
            self.gate = _linear(inputs, 1, like)
        self._kept: Tensor | None = None

    @torch.no_grad()
    def start(self, generator: torch.Generator) -> None:
        """Set the initial values; W_down is drawn on the CPU, so that it is the same on every device."""
        drawn = torch.empty(self.down.weight.shape)
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
        self.down.weight.copy_(drawn)
        for tensor in (self.down.bias, self.up.weight, self.up.bias):
            tensor.zero_()
        if self.composition == "gated":
            self.gate.weight.zero_()
            self.gate.bias.fill_(SHUT)

    def forward(self, x: Tensor) -> Tensor:
        """The change dh [..., outputs] for x [..., inputs]."""
        dh: Tensor = self.up(FORMS[self.form](self.down(x)))
        return dh

    def compose(self, h: Tensor, x: Tensor) -> Tensor:
        """The composition of h [..., outputs] and dh(x), x [..., inputs]; see `composition` in BottleneckOptions."""
        dh: Tensor = self(x)
        if self.composition == "gated":
            gate: Tensor = torch.sigmoid(self.gate(x))
            return (1 - gate) * h + gate * dh
        if self.composition == "add":
            return h + dh
        scaled: Tensor = (self.scale if self.composition == "learned" else self.fixed) * dh
        return h + scaled

    # -------------------------------------------------- hooks: bound methods, so that a copied model has its own

    def keep(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hook before the sublayer: keep x, its first input."""
        self._kept = args[0] if args else kwargs["hidden_states"]

    def sequential(self, module: nn.Module, args: tuple[Any, ...], h: Tensor) -> Tensor:
        """Hook behind the branch: the adapter reads its output h."""
        return self.compose(h, h)

    def parallel(self, module: nn.Module, args: tuple[Any, ...], h: Tensor) -> Tensor:
        """Hook behind the branch: the adapter reads the x that :meth:`keep` kept."""
        return self.compose(h, self._take())

    def heads(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Hook before attention's output map: h is the concatenated heads, the adapter reads the kept x."""
        return (self.compose(args[0], self._take()), *args[1:])

    def behind_norm(self, norm: nn.Module, args: tuple[Any, ...], normed: Tensor) -> Tensor:
        """Hook behind a post-norm: norm(residual + h + dh(norm(residual + h)))."""
        answer: Tensor = norm.forward(args[0] + self(normed))
        return answer

    def _take(self) -> Tensor:
        x, self._kept = self._kept, None
        assert x is not None  # the sublayer's entry runs before its exit
        return x


def _linear(inputs: int, outputs: int, like: Tensor) -> nn.Linear:
    """A linear map without values yet, so that nothing is drawn from the global generator."""
    made: nn.Linear = skip_init(nn.Linear, inputs, outputs, dtype=like.dtype, device=like.device)  # type: ignore[no-untyped-call]
    return made


def attach(loaded: Pretrained, spec: MethodSpec, options: BottleneckOptions, seeds: SeedSpec) -> PartialFineTuning:
    """Attach adapters to every block. Raises SpecError if the model lacks the place that the options name."""
    identity = Identity(method=spec, seeds=seeds)
    return PartialFineTuning(loaded, identity, lambda model: lay(model, spec.name, options, seeds))


def lay(model: nn.Module, method: str, options: BottleneckOptions, seeds: SeedSpec) -> Extension:
    """Add an adapter to every sublayer that the options name, in every block. `method` is named in errors."""
    trained: list[nn.Parameter] = []
    for block in blocks_of(model, method):
        for name, place in _places(block, options):
            adapter = _adapter(model, place, options)
            adapter.start(generator_of(seeds, "bottleneck", f"{block.name}.{name}"))
            model.get_submodule(block.name).add_module(f"intrinsic_{name}", adapter)
            _hang(model, adapter, place, options)
            trained += adapter.parameters()
        if options.norms:
            trained += [p for s in block.sublayers for p in model.get_submodule(s.norm).parameters()]
    return Extension(tuple(trained), plain=False)


def _places(block: Block, options: BottleneckOptions) -> Iterator[tuple[str, Attention | Sublayer]]:
    """Names of the adapters and their places; an encoder-decoder's cross-attention counts as attention."""
    for attention in block.attentions if options.place != "ffn" else ():
        name = "cross" if attention.role == "cross" else "attention"
        yield name, attention if options.place == "head-attention" else attention.sublayer
    if options.place in ("ffn", "both"):
        yield "ffn", block.ffn.sublayer


def _adapter(model: nn.Module, place: Attention | Sublayer, options: BottleneckOptions) -> Bottleneck:
    width = width_of(model)
    heads = shape_of(model.get_submodule(place.output))[0] if isinstance(place, Attention) else width
    return Bottleneck((width, heads), options, next(model.parameters()))


def _hang(model: nn.Module, adapter: Bottleneck, place: Attention | Sublayer, options: BottleneckOptions) -> None:
    sublayer = place.sublayer if isinstance(place, Attention) else place
    if options.insertion == "parallel":
        model.get_submodule(sublayer.entry).register_forward_pre_hook(adapter.keep, with_kwargs=True)
    if isinstance(place, Attention):
        model.get_submodule(place.output).register_forward_pre_hook(adapter.heads)
    elif options.after_norm:
        _hang_behind(model, adapter, sublayer)
    else:
        hook = adapter.parallel if options.insertion == "parallel" else adapter.sequential
        model.get_submodule(sublayer.exit).register_forward_hook(hook)


def _hang_behind(model: nn.Module, adapter: Bottleneck, sublayer: Sublayer) -> None:
    if sublayer.post_norm:
        model.get_submodule(sublayer.norm).register_forward_hook(adapter.behind_norm)
    elif sublayer.total is not None:
        model.get_submodule(sublayer.total).register_forward_hook(adapter.sequential)
    else:
        raise SpecError(
            f"after_norm reads residual + branch, which no module returns behind {sublayer.exit!r} (norms come first "
            "there): set place to 'ffn'"
        )

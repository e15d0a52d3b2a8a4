"""Prefix tuning: trained keys and values before those of every attention (Li and Liang 2021, arXiv:2101.00190).

With P_k, P_v [l, kv] the trained prefixes, a head computes softmax(q [P_k; K]^T) [P_v; V]. He et al. (2022) write
the same as (1 - g(x)) softmax(q K^T) V + g(x) softmax(q P_k^T) P_v, where g(x) is the share of the attention's
mass that falls on the prefix.

The prefix enters inside attention, after positions have been dealt with: tokens keep their position ids and all
of the model's positions are theirs; no key of the prefix has a position (no rotation, no relative bias). It is in
no cache. In an encoder-decoder it stands in the encoder's, the decoder's and the cross-attention.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from intrinsic.errors import SpecError
from intrinsic.methods.architecture import Attention, blocks_of, shape_of, width_of
from intrinsic.methods.base import Pretrained, generator_of
from intrinsic.methods.options import PrefixOptions
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.spec import MethodSpec, SeedSpec

NAME = "intrinsic_prefix"
"""Of the child module of an attention, and of our attention function in transformers' register."""
STD = 0.02
"""Of prefixes that are trained themselves, at their start."""
SERVED = ("eager", "sdpa")


class Trunk(nn.Module):
    """tanh(W_1 E + b_1) [l, m]: what the prefixes of a group of attentions share in training."""

    def __init__(self, length: int, width: int, hidden: int, like: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Parameter(like.new_empty(length, width))
        self.hidden = skip_init(nn.Linear, width, hidden, dtype=like.dtype, device=like.device)  # type: ignore[no-untyped-call]

    def forward(self) -> Tensor:
        return torch.tanh(self.hidden(self.embedding))


class Prefix(nn.Module):
    """The keys and values of one attention: parameters [l, kv], or made by the group's trunk and a map of its own.

    W_2, which Li and Liang hold in one piece, is divided among the attentions: each makes only its own rows.
    """

    key: nn.Parameter
    value: nn.Parameter

    def __init__(self, length: int, width: int, config: Any, like: Tensor) -> None:
        super().__init__()
        self.length = length
        self.config = config
        """The attention's own, which still says how attention is computed."""
        self.trunk: Trunk | None = None
        self.heard: list[Tensor] | None = None
        """While it is a list, nothing is put before anything: keys and values are noted."""
        self.key = nn.Parameter(like.new_empty(length, width))
        self.value = nn.Parameter(like.new_empty(length, width))

    def grow(self, trunk: Trunk) -> None:
        """Have the keys and values made by the trunk: W_2 tanh(...) + b_2 [l, 2 kv]."""
        width, like = self.key.shape[1], self.key
        del self.key, self.value
        self.trunk = trunk
        self.out: nn.Linear = skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, trunk.hidden.out_features, 2 * width, dtype=like.dtype, device=like.device
        )

    def made(self) -> tuple[Tensor, Tensor]:
        """Keys and values, [l, kv] each."""
        if self.trunk is None:
            return self.key, self.value
        key, value = self.out(self.trunk()).chunk(2, dim=1)
        return key, value

    @torch.no_grad()
    def settle(self) -> None:
        """Keep what the trunk makes and let it go."""
        if self.trunk is not None:
            key, value = self.made()
            self.trunk = None
            del self.out
            self.key, self.value = nn.Parameter(key.clone()), nn.Parameter(value.clone())

    def forward(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, int]:
        """key, value [B, H, L, d_h] -> the same with the prefix before them [B, H, l + L, d_h], and l."""
        if self.heard is not None:
            self.heard[:] = [key, value]
            return key, value, 0
        batch, heads, _, depth = key.shape
        own = [t.to(key.dtype).view(self.length, heads, depth).transpose(0, 1) for t in self.made()]
        first, second = (t.expand(batch, heads, self.length, depth) for t in own)
        return torch.cat([first, key], dim=2), torch.cat([second, value], dim=2), self.length


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, Tensor | None]:
    """transformers' attention function of a module with a prefix: the module's own function on longer keys."""
    prefix: Any = module.get_submodule(NAME)
    causal = settings.pop("is_causal", None)
    causal = getattr(module, "is_causal", True) if causal is None else causal
    mask = attention_mask
    if mask is None and causal and query.shape[2] > 1:
        mask = _causal(query, key)
    key, value, length = prefix(key, value)
    if mask is not None:
        mask = torch.cat([_seen(mask, length), mask], dim=-1)
    bias = settings.get("position_bias")
    if bias is not None:
        settings["position_bias"] = torch.cat([bias.new_zeros(*bias.shape[:-1], length), bias], dim=-1)
    answer: tuple[Tensor, Tensor | None] = _own_function(module, prefix)(
        module, query, key, value, mask, is_causal=False, **settings
    )
    return answer


def _causal(query: Tensor, key: Tensor) -> Tensor:
    """True where a query may look, [1, 1, L_q, L_k]; the last query sees every key."""
    queries, keys = query.shape[2], key.shape[2]
    seen = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
    return seen[None, None]


def _seen(mask: Tensor, length: int) -> Tensor:
    """Columns that let every query see the prefix: True in a boolean mask, 0 in one that is added."""
    shape = (*mask.shape[:-1], length)
    return mask.new_ones(shape) if mask.dtype == torch.bool else mask.new_zeros(shape)


def _own_function(module: nn.Module, prefix: Prefix) -> Callable[..., Any]:
    eager: Any = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    found: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(prefix.config._attn_implementation, eager)
    return found


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)


def attach(loaded: Pretrained, spec: MethodSpec, options: PrefixOptions, seeds: SeedSpec) -> PartialFineTuning:
    """Prefixes of length l in every attention: 2 l kv parameters each are stored, 2ld where kv = d.

    With an MLP of width m more are trained: l d + d m + m for each of encoder, decoder and cross-attention, and
    2 kv (m + 1) for each attention.
    """
    identity = Identity(method=spec, seeds=seeds)
    return PartialFineTuning(loaded, identity, lambda model: lay(loaded, spec.name, options, seeds))


@dataclass(frozen=True)
class _Placed:
    """A prefix and the attention it stands in."""

    attention: Attention
    prefix: Prefix

    @property
    def name(self) -> str:
        return f"{self.attention.core}.{NAME}"


def lay(loaded: Pretrained, method: str, options: PrefixOptions, seeds: SeedSpec) -> Extension:
    """Put a prefix into every attention of the model."""
    model = loaded.model
    attentions = [attention for block in blocks_of(model, method) for attention in block.attentions]
    placed = [_Placed(a, _enter(model, a, options.length)) for a in attentions]
    for one in placed:
        _draw(one.prefix, generator_of(seeds, "prefix", one.name))
    if options.mlp_width is not None:
        _grow(placed, width_of(model), options, seeds)
    if options.words is not None:
        _start_from(options.words, loaded, [one.prefix for one in placed])
    trained = {id(p): p for one in placed for p in one.prefix.parameters()}
    return Extension(
        parameters=tuple(trained.values()),
        plain=False,
        settle=lambda: _settle(placed),
        stored=lambda tensors: _stored(placed, tensors),
    )


def _enter(model: nn.Module, attention: Attention, length: int) -> Prefix:
    core: Any = model.get_submodule(attention.core)
    outputs = shape_of(model.get_submodule(attention.key))[1]
    prefix = Prefix(length, outputs // 3 if attention.fused else outputs, model.config, next(core.parameters()))
    if not hasattr(core, "config"):  # DeBERTa-v2 computes attention by itself
        from intrinsic.methods.prefix_deberta import enter

        enter(core)
    else:
        _check_served(core.config)
        prefix.config, core.config = core.config, copy.copy(core.config)
        core.config._attn_implementation_internal = NAME
    core.add_module(NAME, prefix)
    return prefix


def _check_served(config: Any) -> None:
    if config._attn_implementation not in SERVED:
        raise SpecError(
            f"a prefix needs attention computed by one of {', '.join(SERVED)}, got {config._attn_implementation!r}: "
            "call model.set_attn_implementation('sdpa') first"
        )


@torch.no_grad()
def _draw(prefix: Prefix, generator: torch.Generator) -> None:
    for parameter in (prefix.key, prefix.value):
        parameter.copy_(torch.empty(parameter.shape).normal_(0, STD, generator=generator))


def _grow(placed: list[_Placed], width: int, options: PrefixOptions, seeds: SeedSpec) -> None:
    """One trunk for the encoder's attentions, one for the decoder's, one for cross-attention."""
    assert options.mlp_width is not None
    trunks: dict[str, Trunk] = {}
    for one in placed:
        role = one.attention.role
        if role not in trunks:
            trunks[role] = Trunk(options.length, width, options.mlp_width, one.prefix.key)
            _draw_trunk(trunks[role], generator_of(seeds, "prefix", role))
        one.prefix.grow(trunks[role])
        _draw_linear(one.prefix.out, generator_of(seeds, "prefix", one.name))


@torch.no_grad()
def _draw_trunk(trunk: Trunk, generator: torch.Generator) -> None:
    """E from N(0, 1)."""
    trunk.embedding.copy_(torch.empty(trunk.embedding.shape).normal_(generator=generator))
    _draw_linear(trunk.hidden, generator)


@torch.no_grad()
def _draw_linear(linear: nn.Linear, generator: torch.Generator) -> None:
    """U(-1/sqrt(inputs), 1/sqrt(inputs)), torch's own start of a linear map."""
    bound = 1 / math.sqrt(linear.in_features)
    for parameter in linear.parameters():
        parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))


@torch.no_grad()
def _start_from(words: str, loaded: Pretrained, prefixes: list[Prefix]) -> None:
    """The keys and values that the pretrained model has for the words, over and over until l are filled."""
    tokenizer = loaded.preprocessor
    if not callable(getattr(tokenizer, "get_special_tokens_mask", None)):
        raise SpecError("words need a tokenizer to read them, and this model has none: leave words out")
    batch = tokenizer([words], return_tensors="pt")
    special = tokenizer.get_special_tokens_mask(batch["input_ids"][0].tolist(), already_has_special_tokens=True)
    places = [i for i, is_special in enumerate(special) if not is_special]
    if not places:
        raise SpecError(f"words must hold at least one token that is a word, got {words!r}")
    for prefix in prefixes:
        prefix.heard = []
    loaded.model.eval()(**batch)
    for prefix in prefixes:
        assert prefix.heard is not None
        taken = [places[i % len(places)] for i in range(prefix.length)]
        for parameter, tensor in zip((prefix.key, prefix.value), prefix.heard, strict=True):
            parameter.copy_(tensor[0, :, taken].transpose(0, 1).reshape(parameter.shape))
        prefix.heard = None


def _settle(placed: list[_Placed]) -> None:
    for one in placed:
        one.prefix.settle()


def _stored(placed: list[_Placed], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    made = {
        f"{one.name}.{kind}": t for one in placed for kind, t in zip(("key", "value"), one.prefix.made(), strict=True)
    }
    return {**{name: t for name, t in tensors.items() if f".{NAME}." not in name}, **made}

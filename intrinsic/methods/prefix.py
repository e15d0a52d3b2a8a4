"""Prefix tuning: trained keys and values before those of every attention (Li and Liang 2021, arXiv:2101.00190).

With P_k, P_v [l, kv] the trained prefixes, a head computes softmax(q [P_k; K]^T) [P_v; V]. He et al. (2022) write it
as (1 - g(x)) softmax(q K^T) V + g(x) softmax(q P_k^T) P_v, where g(x) is the share of the attention's
mass that falls on the prefix.

The prefix enters inside attention, after positions have been applied: tokens keep their position ids and may use all of
the model's positions; no key of the prefix has a position (no rotation, no relative bias). It is not part of a cache.
An encoder-decoder has prefixes in the encoder's, the decoder's and the cross-attention.
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
"""Name of the child module of an attention, and of :func:`attend` among transformers' attention functions."""
STD = 0.02
"""Standard deviation of the initial values of prefixes that are trained directly."""
SERVED = ("eager", "sdpa")
"""Implementations of attention that a prefix works with."""


class Trunk(nn.Module):
    """Layer tanh(W_1 E + b_1) [l, m] from which the prefixes of a group of attentions are made in training."""

    def __init__(self, length: int, width: int, hidden: int, like: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Parameter(like.new_empty(length, width))
        self.hidden = skip_init(nn.Linear, width, hidden, dtype=like.dtype, device=like.device)  # type: ignore[no-untyped-call]

    def forward(self) -> Tensor:
        return torch.tanh(self.hidden(self.embedding))


class Prefix(nn.Module):
    """Prefix keys and values of one attention: parameters [l, kv], or made from the group's trunk by a map of its own.

    Li and Liang hold that map, W_2, in one piece; here it is divided among the attentions, which have the rows of their
    own prefixes.
    """

    key: nn.Parameter
    value: nn.Parameter

    def __init__(self, length: int, width: int, config: Any, like: Tensor) -> None:
        super().__init__()
        self.length = length
        self.config = config
        """Configuration of the attention, which still names the model's own implementation."""
        self.trunk: Trunk | None = None
        self.heard: list[Tensor] | None = None
        """List that records the attention's own keys and values while the prefix is left out; None: no recording."""
        self.key = nn.Parameter(like.new_empty(length, width))
        self.value = nn.Parameter(like.new_empty(length, width))

    def grow(self, trunk: Trunk) -> None:
        """Replace the parameters by keys and values made from the trunk: W_2 tanh(...) + b_2 [l, 2 kv]."""
        width, like = self.key.shape[1], self.key
        del self.key, self.value
        self.trunk = trunk
        self.out: nn.Linear = skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, trunk.hidden.out_features, 2 * width, dtype=like.dtype, device=like.device
        )

    def made(self) -> tuple[Tensor, Tensor]:
        """The prefix keys and values, [l, kv] each."""
        if self.trunk is None:
            return self.key, self.value
        key, value = self.out(self.trunk()).chunk(2, dim=1)
        return key, value

    @torch.no_grad()
    def settle(self) -> None:
        """Replace the trunk by parameters with the keys and values that it makes."""
        if self.trunk is not None:
            key, value = self.made()
            self.trunk = None
            del self.out
            self.key, self.value = nn.Parameter(key.clone()), nn.Parameter(value.clone())

    def forward(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, int]:
        """Key and value [B, H, L, d_h] with the prefix before them, [B, H, l + L, d_h], and l; while recording 0."""
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
    """Attention function for transformers: the module's own function, on keys and values with the prefix before them.

    query: [B, H, L_q, d_h]; key, value: [B, H, L_k, d_h]; attention_mask: [B, 1, L_q, L_k], boolean or added.
    """
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
    """Boolean mask [1, 1, L_q, L_k], True where a query may look; the last query sees every key."""
    queries, keys = query.shape[2], key.shape[2]
    seen = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
    return seen[None, None]


def _seen(mask: Tensor, length: int) -> Tensor:
    """Columns of a mask that let every query see the prefix: True in a boolean mask, 0 in one that is added."""
    shape = (*mask.shape[:-1], length)
    return mask.new_ones(shape) if mask.dtype == torch.bool else mask.new_zeros(shape)


def _own_function(module: nn.Module, prefix: Prefix) -> Callable[..., Any]:
    eager: Any = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    found: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(prefix.config._attn_implementation, eager)
    return found


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)


def attach(loaded: Pretrained, spec: MethodSpec, options: PrefixOptions, seeds: SeedSpec) -> PartialFineTuning:
    """Attach prefixes of length l to every attention: 2 l kv parameters each are stored, 2 l d where kv = d.

    With an MLP of width m these are trained instead: l d + d m + m parameters for each of encoder, decoder and
    cross-attention, and 2 kv (m + 1) for each attention.
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
    """Add a prefix to every attention of the model. `method` is named in errors."""
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
    if not hasattr(core, "config"):  # DeBERTa-v2 computes attention itself, without transformers' functions
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
    """Have the prefixes made by trunks, one each for the attentions of encoder, decoder and cross-attention."""
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
    """Draw E from N(0, 1), and W_1, b_1 as a linear map."""
    trunk.embedding.copy_(torch.empty(trunk.embedding.shape).normal_(generator=generator))
    _draw_linear(trunk.hidden, generator)


@torch.no_grad()
def _draw_linear(linear: nn.Linear, generator: torch.Generator) -> None:
    """Draw from U(-1/sqrt(inputs), 1/sqrt(inputs)), torch's default for a linear map."""
    bound = 1 / math.sqrt(linear.in_features)
    for parameter in linear.parameters():
        parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))


@torch.no_grad()
def _start_from(words: str, loaded: Pretrained, prefixes: list[Prefix]) -> None:
    """Set the prefixes to the pretrained model's keys and values for the words, repeated until l are filled."""
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

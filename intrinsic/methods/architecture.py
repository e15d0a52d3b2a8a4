"""The places of attention and feed-forward in each family of transformers, shared by all methods.

A block is a chain of sublayers x -> x + branch(x). The layer norm of a sublayer stands before or after it:

    pre-norm    out = x + branch(norm(x))            GPT-2, Llama, T5, ViT
    post-norm   out = norm(x + branch(x))            BERT, RoBERTa, ELECTRA, DistilBERT, DeBERTa-v2
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from torch import nn

from intrinsic.errors import ModelError

AttentionRole = Literal["encoder", "decoder", "cross"]
"""Kind of an attention: self-attention of an encoder or a decoder, or cross-attention."""
Part = TypeVar("Part", "Sublayer", "Attention", "FeedForward")


@dataclass(frozen=True)
class Sublayer:
    """Module names of a sublayer x -> x + branch(x); in :data:`FAMILIES` they are relative to the block."""

    entry: str
    """Module whose first input is x [B, L, d], the residual stream."""
    exit: str
    """Module whose output is branch(x) [B, L, d]."""
    norm: str
    """Layer norm of the sublayer."""
    total: str | None = None
    """Module whose output is x + branch(x); "" is the block itself. None: there is none (post-norm: see `norm`)."""

    @property
    def post_norm(self) -> bool:
        """Whether the layer norm is applied to x + branch(x), and not to the branch's input."""
        return self.norm != self.entry


@dataclass(frozen=True)
class Attention:
    """Module names of an attention."""

    core: str
    """Module that computes softmax(q k^T) v."""
    query: str
    key: str
    value: str
    """Linear map of the values; query, key and value are one module where the architecture fuses them (GPT-2)."""
    output: str
    """Linear map that reads the concatenated heads."""
    sublayer: Sublayer
    role: AttentionRole = "encoder"

    @property
    def fused(self) -> bool:
        """Whether one module holds query, key and value."""
        return self.query == self.key


@dataclass(frozen=True)
class FeedForward:
    """Module names of a feed-forward."""

    inputs: tuple[str, ...]
    """Linear maps that read x: one, or two where one gates the other (Llama)."""
    output: str
    """Linear map that reads the hidden layer."""
    sublayer: Sublayer


@dataclass(frozen=True)
class Block:
    """One transformer block: its name, attentions and feed-forward, with full module names."""

    name: str
    attentions: tuple[Attention, ...]
    ffn: FeedForward

    @property
    def sublayers(self) -> tuple[Sublayer, ...]:
        """The sublayers in order: those of the attentions, then that of the feed-forward."""
        return (*(attention.sublayer for attention in self.attentions), self.ffn.sublayer)


@dataclass(frozen=True)
class _Stack:
    """The layout of the blocks in an nn.ModuleList whose name ends in `blocks`."""

    blocks: str
    attentions: tuple[Attention, ...]
    ffn: FeedForward


def _post(entry: str, exit: str, norm: str) -> Sublayer:
    return Sublayer(entry, exit, norm)


def _pre(norm: str, exit: str, total: str | None = None) -> Sublayer:
    return Sublayer(norm, exit, norm, total)


def _bert(suffix: str = "") -> tuple[_Stack, ...]:
    core, out = "attention.self", "attention.output"
    query, key, value = (f"{core}.{name}{suffix}" for name in ("query", "key", "value"))
    sublayer = _post(core, f"{out}.dropout", f"{out}.LayerNorm")
    attention = Attention(core, query, key, value, f"{out}.dense", sublayer)
    ffn = FeedForward(
        ("intermediate.dense",), "output.dense", _post("intermediate.dense", "output.dropout", "output.LayerNorm")
    )
    return (_Stack("encoder.layer", (attention,), ffn),)


def _distilbert() -> tuple[_Stack, ...]:
    query, key, value, out = (f"attention.{name}_lin" for name in ("q", "k", "v", "out"))
    attention = Attention("attention", query, key, value, out, _post("attention", out, "sa_layer_norm"))
    ffn = FeedForward(("ffn.lin1",), "ffn.lin2", _post("ffn", "ffn.dropout", "output_layer_norm"))
    return (_Stack("transformer.layer", (attention,), ffn),)


def _gpt2() -> tuple[_Stack, ...]:
    fused, sublayer = "attn.c_attn", _pre("ln_1", "attn.resid_dropout")
    attention = Attention("attn", fused, fused, fused, "attn.c_proj", sublayer, "decoder")
    ffn = FeedForward(("mlp.c_fc",), "mlp.c_proj", _pre("ln_2", "mlp.dropout", ""))
    return (_Stack("h", (attention,), ffn),)


def _four(core: str, norm: str, role: AttentionRole) -> Attention:
    query, key, value, out = (f"{core}.{name}_proj" for name in "qkvo")
    return Attention(core, query, key, value, out, _pre(norm, out), role)


def _llama() -> tuple[_Stack, ...]:
    attention = _four("self_attn", "input_layernorm", "decoder")
    norm, inputs = "post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")
    return (_Stack("layers", (attention,), FeedForward(inputs, "mlp.down_proj", _pre(norm, "mlp.down_proj", ""))),)


def _vit() -> tuple[_Stack, ...]:
    attention = _four("attention", "layernorm_before", "encoder")
    ffn = FeedForward(("mlp.fc1",), "mlp.fc2", _pre("layernorm_after", "mlp.fc2", ""))
    return (_Stack("layers", (attention,), ffn),)


def _t5() -> tuple[_Stack, ...]:
    def attention(place: int, kind: str, role: AttentionRole) -> Attention:
        core, sublayer = f"layer.{place}.{kind}", _pre(f"layer.{place}.layer_norm", f"layer.{place}.dropout")
        return Attention(core, f"{core}.q", f"{core}.k", f"{core}.v", f"{core}.o", sublayer, role)

    def ffn(place: int) -> FeedForward:
        layer = f"layer.{place}"
        inputs = tuple(f"{layer}.DenseReluDense.{name}" for name in ("wi", "wi_0", "wi_1"))  # plain, or gated
        sublayer = _pre(f"{layer}.layer_norm", f"{layer}.dropout", layer)
        return FeedForward(inputs, f"{layer}.DenseReluDense.wo", sublayer)

    both = (attention(0, "SelfAttention", "decoder"), attention(1, "EncDecAttention", "cross"))
    return (
        _Stack("decoder.block", both, ffn(2)),
        _Stack("block", (attention(0, "SelfAttention", "encoder"),), ffn(1)),
    )


FAMILIES: dict[str, tuple[_Stack, ...]] = {
    "bert": _bert(),
    "deberta-v2": _bert("_proj"),
    "distilbert": _distilbert(),
    "electra": _bert(),
    "gpt2": _gpt2(),
    "llama": _llama(),
    "roberta": _bert(),
    "t5": _t5(),
    "vit": _vit(),
    "xlm-roberta": _bert(),
}
"""Stacks of blocks by model_type; an nn.ModuleList belongs to the first stack in whose `blocks` its name ends."""
ENCODERS = ("bert", "deberta-v2", "distilbert", "electra", "roberta", "vit", "xlm-roberta")
"""Families whose classifier reads the whole input at its first token."""


def family_of(model: nn.Module, method: str) -> str:
    """The model_type of the model's configuration, a key of FAMILIES. Raises ModelError for any other."""
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if kind not in FAMILIES:
        got = f"a {kind!r}" if kind else f"{type(model).__name__}, which has no config.model_type"
        raise ModelError(
            f"method {method!r} looks for attention and feed-forward modules and knows where they lie in "
            f"{', '.join(FAMILIES)}; got {got}"
        )
    return str(kind)


def blocks_of(model: nn.Module, method: str) -> tuple[Block, ...]:
    """The transformer blocks, in order, with full names. Raises ModelError, naming what was not found."""
    family = family_of(model, method)
    modules = dict(model.named_modules())
    found = tuple(_blocks(modules, FAMILIES[family]))
    if not found:
        lists = " or ".join(repr(stack.blocks) for stack in FAMILIES[family])
        raise ModelError(f"method {method!r} looks for the blocks of a {family} in {lists}, and finds none")
    return found


def _blocks(modules: dict[str, nn.Module], stacks: tuple[_Stack, ...]) -> Iterator[Block]:
    for name, held in modules.items():
        stack = next((s for s in stacks if f".{name}".endswith(f".{s.blocks}")), None)
        if stack is not None and isinstance(held, nn.ModuleList):
            for i in range(len(held)):
                yield _block(f"{name}.{i}", stack, modules)


def _block(name: str, stack: _Stack, modules: dict[str, nn.Module]) -> Block:
    inputs = tuple(i for i in stack.ffn.inputs if _join(name, i) in modules)
    ffn = replace(stack.ffn, inputs=inputs or stack.ffn.inputs)
    block = Block(name, tuple(_placed(a, name) for a in stack.attentions), _placed(ffn, name))
    for path in _names((*block.attentions, block.ffn)):
        if path not in modules:
            raise ModelError(f"block {name!r} was expected to hold the module {path!r} and does not")
    return block


def _placed(part: Part, block: str) -> Part:
    """A copy of the part with full names."""
    changes: dict[str, Any] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if field.name == "role" or value is None:
            continue
        if isinstance(value, tuple):
            changes[field.name] = tuple(_join(block, name) for name in value)
        else:
            changes[field.name] = _placed(value, block) if isinstance(value, Sublayer) else _join(block, value)
    return replace(part, **changes)


def _names(parts: Iterable[Any]) -> Iterator[str]:
    for part in parts:
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, Sublayer):
                yield from _names([value])
            elif field.name != "role" and value is not None:
                yield from value if isinstance(value, tuple) else (value,)


def _join(block: str, name: str) -> str:
    return f"{block}.{name}" if name else block


def shape_of(linear: nn.Module) -> tuple[int, int]:
    """Shape (inputs, outputs) of an nn.Linear, or of transformers' Conv1D, whose weight is [inputs, outputs]."""
    weight: Any = linear.weight
    rows, columns = weight.shape
    return (columns, rows) if isinstance(linear, nn.Linear) else (rows, columns)


def width_of(model: nn.Module) -> int:
    """Width d of the residual stream."""
    config: Any = model.config
    return int(config.hidden_size)

"""Prompt tuning: trained vectors among the input embeddings (Lester et al. 2021, arXiv:2104.08691).

The prompt stands in front (decoders, T5's encoder), or behind the first token in models whose classifier reads that
token (BERT and similar encoders; for images Jia et al. 2022, arXiv:2203.12119, do the same). It is inserted where the
backbone begins, and its places are removed from the last hidden state where the backbone ends, so that what follows (a
head at the first token, at the last that is not padding, a mean over the tokens) finds each token in its place. All
places of the prompt are attended to. They use up positions: the longest input is shorter by the prompt's length.

Masks and position ids given to the model are those of the tokens alone; the prompt's are added. A decoder that takes
position_ids and is given none gets those that follow from its mask, which begin where the padding on the left ends;
otherwise this padding would lie between the positions of prompt and text. A decoder's cache holds the prompt's keys and
values from the pass that filled it, so a later pass from the cache inserts no second prompt.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from intrinsic.errors import SpecError
from intrinsic.methods.architecture import ENCODERS, family_of, width_of
from intrinsic.methods.base import Pretrained, generator_of
from intrinsic.methods.options import PromptOptions
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.spec import MethodSpec, SeedSpec

NAME = "intrinsic_prompt"
"""Name of the backbone's child module that holds the prompt."""
SPREAD = 0.5
"""Largest absolute value of a random start."""
SHIFTED = ("past_key_values", "position_ids")
"""Inputs that are refused where the prompt stands behind the first token, because they cannot be adapted."""


class Prompt(nn.Module):
    """Trained vectors [p, d], with the hooks that insert them and remove their places from the output."""

    def __init__(self, vectors: Tensor, place: int, positions: int | None) -> None:
        super().__init__()
        self.vectors = nn.Parameter(vectors)
        self.place, self.positions = place, positions
        self._inserted = True
        """Whether the present pass of the backbone has the prompt among its inputs."""

    def insert(self, embedded: Tensor) -> Tensor:
        """The embeddings [B, L, d] with the prompt inserted, [B, p + L, d]."""
        vectors = self.vectors.to(embedded.dtype).expand(len(embedded), *self.vectors.shape)
        return torch.cat([embedded[:, : self.place], vectors, embedded[:, self.place :]], dim=1)

    def remove(self, hidden: Tensor) -> Tensor:
        """The hidden states [B, p + L, d] without the prompt's places, [B, L, d]."""
        return torch.cat([hidden[:, : self.place], hidden[:, self.place + len(self.vectors) :]], dim=1)

    # -------------------------------------------------- hooks: bound methods, so that a copied model has its own

    def before_text(self, backbone: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Hook before a backbone of texts: embed token ids, insert the prompt, lengthen mask, types and positions.

        Raises SpecError for an input that is too long with the prompt, and for a cache or inputs that do not suit it.
        """
        given = {**dict(zip(inspect.signature(backbone.forward).parameters, args, strict=False)), **kwargs}
        past = self._past(given)
        self._inserted = past == 0
        given = self._positioned(backbone, given)
        if past:
            return (), self._continued(given, past)
        ids, embedded = given.pop("input_ids", None), given.pop("inputs_embeds", None)
        if embedded is None:
            embedded = backbone.get_input_embeddings()(ids)
        self._check_length(len(self.vectors) + embedded.shape[1])
        for name, fill in (("attention_mask", 1), ("token_type_ids", 0)):
            if given.get(name) is not None:
                given[name] = self._lengthened(given[name], fill)
        if given.get("position_ids") is not None:
            given["position_ids"] = self._shifted(given["position_ids"])
        return (), {**given, "inputs_embeds": self.insert(embedded)}

    def before_decoder(
        self, decoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Hook before a decoder, whose cross-attention also reads the states of the prompt: lengthen their mask."""
        mask = kwargs.get("encoder_attention_mask")
        return args, kwargs if mask is None else {**kwargs, "encoder_attention_mask": self._lengthened(mask, 1)}

    def after_embedding(self, module: nn.Module, args: tuple[Any, ...], embedded: Tensor) -> Tensor:
        """Hook behind the embedding of an image: insert the prompt."""
        return self.insert(embedded)

    def after_backbone(self, backbone: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Hook behind the backbone: remove the prompt's places from the last hidden state, if it was inserted."""
        if self._inserted:
            output.last_hidden_state = self.remove(output.last_hidden_state)
        return output

    def _continued(self, given: dict[str, Any], past: int) -> dict[str, Any]:
        """The inputs of a pass from a cache that holds the prompt already."""
        tokens = given["input_ids"] if given.get("inputs_embeds") is None else given["inputs_embeds"]
        self._check_length(past + tokens.shape[1])
        if given.get("attention_mask") is not None:
            given["attention_mask"] = self._lengthened(given["attention_mask"], 1)
        if given.get("position_ids") is not None:
            given["position_ids"] = given["position_ids"] + len(self.vectors)
        return given

    def _positioned(self, backbone: Any, given: dict[str, Any]) -> dict[str, Any]:
        """The inputs with the tokens' position_ids [B, L], if a decoder is given a mask [B, past + L] without them.

        Tokens on the left that the mask hides are not counted; without such tokens and without a cache, the ids are
        0 .. L - 1 in every row, as a decoder counts by itself.
        """
        mask = given.get("attention_mask")
        if self.place or mask is None or mask.dim() != 2 or given.get("position_ids") is not None:
            return given
        if "position_ids" not in inspect.signature(backbone.forward).parameters:
            return given
        tokens = given["input_ids"] if given.get("inputs_embeds") is None else given["inputs_embeds"]
        hidden = ((mask != 0).cumsum(dim=1) == 0).sum(dim=1, keepdim=True)
        ids = (torch.arange(mask.shape[1], device=mask.device) - hidden).clamp(min=0)
        return {**given, "position_ids": ids[:, -tokens.shape[1] :]}

    def _shifted(self, positions: Tensor) -> Tensor:
        """The positions [B, p + L] of the prompt, which stands in front, and of the tokens, whose own are [B, L]."""
        own = torch.arange(len(self.vectors), dtype=positions.dtype, device=positions.device)
        return torch.cat([own.expand(len(positions), -1), positions + len(own)], dim=1)

    def _lengthened(self, mask: Tensor, fill: int) -> Tensor:
        added = mask.new_full((len(mask), len(self.vectors)), fill)
        return torch.cat([mask[:, : self.place], added, mask[:, self.place :]], dim=1)

    def _past(self, given: dict[str, Any]) -> int:
        """The number of places in the cache, with the prompt's. Raises SpecError for inputs that cannot be adapted."""
        cache = given.get("past_key_values")
        for name in SHIFTED if self.place else ():
            if given.get(name) is not None:
                raise SpecError(f"a model with a prompt behind its first token takes no {name}: leave it out")
        if cache is not None and cache.is_compileable:
            raise SpecError(
                "a prompt needs a cache that grows, got one of a fixed length: leave cache_implementation out"
            )
        return 0 if cache is None else int(cache.get_seq_length())

    def _check_length(self, length: int) -> None:
        if self.positions is not None and length > self.positions:
            tokens = length - len(self.vectors)
            raise SpecError(
                f"a prompt of {len(self.vectors)} and an input of {tokens} tokens are more than the model's "
                f"{self.positions} positions: lower max_length to {self.positions - len(self.vectors)}, or shorten "
                "the prompt"
            )


def attach(loaded: Pretrained, spec: MethodSpec, options: PromptOptions, seeds: SeedSpec) -> PartialFineTuning:
    """Attach a prompt of length p to the backbone's input: p d parameters, d the width of its embeddings.

    The hidden states of the layers, and the output of an encoder-decoder's encoder, keep the prompt's places. A cache
    must be one that grows, and must have been filled by this model.
    Raises ModelError for an unknown architecture, SpecError for options that do not fit the model.
    """

    def extend(model: nn.Module) -> Extension:
        family = family_of(model, spec.name)
        backbone = _backbone(model)
        vectors = _start(loaded, backbone, options, generator_of(seeds, "prompt"))
        prompt = Prompt(vectors.clone(), int(family in ENCODERS), _positions(backbone))
        backbone.add_module(NAME, prompt)
        _hang(backbone, prompt, family)
        return Extension((prompt.vectors,), plain=False)

    return PartialFineTuning(loaded, Identity(method=spec, seeds=seeds), extend)


def check(loaded: Pretrained, spec: MethodSpec, options: PromptOptions) -> None:
    """Raise the ModelError or SpecError that :func:`attach` would raise for this kind of model, without attaching."""
    family_of(loaded.model, spec.name)
    backbone = _backbone(loaded.model)
    _check_room(backbone, options)
    if options.start != "random":
        _token_table(backbone, options.start)
    if options.start == "text":
        _words(loaded, options)


def _check_room(backbone: nn.Module, options: PromptOptions) -> None:
    positions = _positions(backbone)
    if positions is not None and options.length >= positions:
        raise SpecError(
            f"a prompt of {options.length} leaves no room for a token among the model's {positions} positions: "
            "shorten the prompt"
        )


def _token_table(backbone: Any, start: str) -> nn.Embedding:
    table = backbone.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise SpecError(f"start {start!r} needs token embeddings, and this model reads images: use 'random'")
    return table


def _hang(backbone: Any, prompt: Prompt, family: str) -> None:
    if _has_decoder(backbone):  # generate() calls the two separately; the decoder's output has no prompt
        backbone.get_encoder().register_forward_pre_hook(prompt.before_text, with_kwargs=True)
        backbone.get_decoder().register_forward_pre_hook(prompt.before_decoder, with_kwargs=True)
        return
    if family == "vit":
        backbone.embeddings.register_forward_hook(prompt.after_embedding)
    else:
        backbone.register_forward_pre_hook(prompt.before_text, with_kwargs=True)
    backbone.register_forward_hook(prompt.after_backbone)


def _backbone(model: nn.Module) -> Any:
    """The first pretrained model among the modules, without its head."""
    return next(module for module in model.modules() if isinstance(module, PreTrainedModel)).base_model


def _has_decoder(backbone: Any) -> bool:
    return bool(backbone.config.is_encoder_decoder) and hasattr(backbone, "decoder")


def _positions(backbone: nn.Module) -> int | None:
    """The number of rows of the position table that tokens may use; RoBERTa counts from padding_idx + 1."""
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in ("position_embeddings", "wpe"):
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return None


def _start(loaded: Pretrained, backbone: Any, options: PromptOptions, generator: torch.Generator) -> Tensor:
    """The initial vectors, [p, d]."""
    table: Any = backbone.get_input_embeddings()
    weight: Tensor = next(backbone.parameters())
    if options.start == "random":
        width = table.weight.shape[1] if isinstance(table, nn.Embedding) else width_of(backbone)
        drawn = torch.empty(options.length, width).uniform_(-SPREAD, SPREAD, generator=generator)
        return drawn.to(weight)
    table = _token_table(backbone, options.start)
    rows = _words(loaded, options) if options.start == "text" else _vocabulary(loaded, table, options.length, generator)
    chosen: Tensor = table.weight.detach()[rows]
    return chosen


def _words(loaded: Pretrained, options: PromptOptions) -> list[int]:
    tokenizer = loaded.preprocessor
    if not callable(tokenizer):
        raise SpecError("start 'text' needs a tokenizer to read the text, and this model has none: use 'vocabulary'")
    ids: list[int] = tokenizer(options.text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise SpecError(f"the text a prompt starts from must hold at least one token, got {options.text!r}")
    return [ids[i % len(ids)] for i in range(options.length)]


def _vocabulary(loaded: Pretrained, table: nn.Embedding, length: int, generator: torch.Generator) -> list[int]:
    """Rows of tokens that are not special, drawn without replacement, and repeated if there are fewer than `length`."""
    special = {table.padding_idx, *getattr(loaded.preprocessor, "all_special_ids", ())}
    words = [row for row in range(table.num_embeddings) if row not in special]
    order = torch.randperm(len(words), generator=generator).tolist()
    return [words[order[i % len(order)]] for i in range(length)]

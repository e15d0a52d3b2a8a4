"""Tiny random classifiers of every architecture the methods know, and the sizes their closed formulas need."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from toy import Loaded

from intrinsic.methods.base import Trainable

D, F, LAYERS, HEADS, VOCAB, POSITIONS, LABELS = 16, 24, 2, 2, 24, 12, 3
COMMON: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": D,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": F,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
    "num_labels": LABELS,
}


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, from which the closed formulas count parameters."""

    blocks: int = LAYERS
    attentions: int = LAYERS
    kv: int = D
    """Width of the keys and of the values."""
    inputs: int = 1
    """Number of linear maps from D to F in a block."""
    fused: bool = False
    decoder: bool = False
    """Whether it classifies at the last token."""
    post_norm: bool = False
    embedding: int | None = None
    """Width of the token embeddings; None: D."""
    norm: int = 2 * D
    """Number of parameters of one layer norm."""


SHAPES = {
    "bert": Shape(post_norm=True),
    "roberta": Shape(post_norm=True),
    "distilbert": Shape(post_norm=True),
    "electra": Shape(post_norm=True, embedding=12),
    "deberta-v2": Shape(post_norm=True),
    "gpt2": Shape(fused=True, decoder=True),
    "llama": Shape(kv=D // HEADS, inputs=2, decoder=True, norm=D),
    "t5": Shape(blocks=2 * LAYERS, attentions=3 * LAYERS, norm=D),
    "vit": Shape(),
}


def _config(name: str) -> Any:
    import transformers as t

    ends = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "num_labels": LABELS, "vocab_size": VOCAB}
    relative = {"relative_attention": True, "position_buckets": 4, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 2}
    made: dict[str, Callable[[], Any]] = {
        "bert": lambda: t.BertConfig(**COMMON),
        "roberta": lambda: t.RobertaConfig(**COMMON | {"max_position_embeddings": POSITIONS + 1}),
        "distilbert": lambda: t.DistilBertConfig(
            dim=D, n_layers=LAYERS, n_heads=HEADS, hidden_dim=F, max_position_embeddings=POSITIONS, **ends
        ),
        "electra": lambda: t.ElectraConfig(**COMMON, embedding_size=12),
        "deberta-v2": lambda: t.DebertaV2Config(**COMMON, **relative, share_att_key=True),
        "gpt2": lambda: t.GPT2Config(n_embd=D, n_layer=LAYERS, n_head=HEADS, n_inner=F, n_positions=POSITIONS, **ends),
        "llama": lambda: t.LlamaConfig(**COMMON, num_key_value_heads=1),
        "t5": lambda: t.T5Config(
            d_model=D, d_kv=D // HEADS, d_ff=F, num_layers=LAYERS, num_heads=HEADS, decoder_start_token_id=0, **ends
        ),
        "vit": lambda: t.ViTConfig(**COMMON, image_size=8, patch_size=4, num_channels=1),
    }
    config = made[name]()
    config.use_cache = False
    return config


HEADS_OF = {
    "gpt2": ("score",),
    "llama": ("score",),
    "t5": ("classification_head",),
    "deberta-v2": ("classifier", "pooler"),
}


@cache
def _pristine(name: str) -> nn.Module:
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    from intrinsic.models.quiet import quiet, seeded

    auto: Any = AutoModelForImageClassification if name == "vit" else AutoModelForSequenceClassification
    with quiet(), seeded(7):
        model: nn.Module = auto.from_config(_config(name))
        with torch.no_grad():  # random norms and biases too: what is zero by symmetry tests nothing
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def fresh(name: str) -> Loaded:
    """A new copy of the same pretrained model in each call."""
    model = copy.deepcopy(_pristine(name))
    head = HEADS_OF.get(name, ("pre_classifier", "classifier") if name == "distilbert" else ("classifier",))
    return Loaded(model, head_names=head, embedding_names=())


def batch_of(name: str, extra: int = 0) -> dict[str, torch.Tensor]:
    """A batch of three examples; the second text is shorter, and `extra` more positions pad all on the right."""
    generator = torch.Generator().manual_seed(3)
    if name == "vit":
        return {"pixel_values": torch.randn(3, 1, 8, 8, generator=generator)}
    ids = torch.randint(3, VOCAB, (3, 6), generator=generator)
    ids[:, 5], ids[1, 3], ids[1, 4:] = 1, 1, 0  # T5 wants one end-of-sequence a row
    ids = torch.nn.functional.pad(ids, (0, extra))
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def logits(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**batch).logits


def train(trainable: Trainable, batch: dict[str, torch.Tensor], steps: int = 2) -> Trainable:
    """Train for a few steps, so that everything moves: AdamW without decay, dropout on."""
    optimizer = torch.optim.AdamW(list(trainable.parameters()), lr=1e-2, weight_decay=0.0)
    trainable.model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        for _ in range(steps):
            answer = trainable.model(**batch).logits
            torch.nn.functional.cross_entropy(answer, torch.arange(len(answer)) % LABELS).backward()
            optimizer.step()
            optimizer.zero_grad()
    trainable.model.eval()
    return trainable

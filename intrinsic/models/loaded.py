"""What a loader hands over, and the facts about weights that go with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

LOOSE_EMBEDDINGS = ("cls_token", "position_embeddings", "distillation_token", "mask_token")
"""Embeddings that vision transformers hold as bare parameters."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to be fine-tuned."""

    model: nn.Module
    """model(**batch_without_labels).logits is [batch, num_labels]; eval mode, float32, on the CPU."""
    preprocessor: Any
    """The tokenizer for text, the image processor of a pretrained vision model, None for a reference net."""
    head_names: tuple[str, ...]
    """Name prefixes of the newly initialised parameters: the task's head. A BERT whose checkpoint lacks the
    pooler has the pooler here too."""
    embedding_names: tuple[str, ...]
    """Full names of the parameters of token, position and type embeddings, under every alias they have."""
    revision: str | None
    """The commit of a Hub model; None for what has no revisions."""
    weights_sha256: str
    """:func:`hash_weights` of theta_0 without a pretrained model's fresh head; of a reference net, all of it."""
    description: str


def hash_weights(model: nn.Module, without: tuple[str, ...] = ()) -> str:
    """SHA-256 over the state's tensors by sorted name: name, dtype, shape, bytes. Prefixes `without` are left out.

    Independent of the order of modules and of how a checkpoint was cut into files. Truncation changes it.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not has_prefix(name, without):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def has_prefix(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a dotted name is, or lies under, one of the prefixes."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def embedding_names(model: nn.Module) -> tuple[str, ...]:
    """Parameters of every nn.Embedding, and a vision transformer's loose ones, under all their names.

    Relative position tables (T5, DeBERTa-v2) are position embeddings; an image's patch projection is an
    ordinary linear map and is not.
    """
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    found = {id(parameter) for table in tables for parameter in table.parameters(recurse=False)}
    named = list(model.named_parameters(remove_duplicate=False))
    found |= {id(parameter) for name, parameter in named if name.rpartition(".")[2] in LOOSE_EMBEDDINGS}
    return tuple(sorted(name for name, parameter in named if id(parameter) in found))


def count(model: nn.Module) -> int:
    """Number of scalars in the model's parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())

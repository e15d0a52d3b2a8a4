"""The result of loading a model, and functions that describe its weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.subspace.layout import is_under

LOOSE_EMBEDDINGS = ("cls_token", "position_embeddings", "distillation_token", "mask_token")
"""Names of embeddings that vision transformers hold as bare parameters and not in an nn.Embedding."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to be fine-tuned."""

    model: nn.Module
    """The network at theta_0, in eval mode and float32, on the CPU (on the meta device if loaded without weights).
    model(**batch_without_labels).logits is [B, num_labels]."""
    preprocessor: Any
    """Tokenizer for text, image processor of a pretrained vision model, None for a reference net."""
    head_names: tuple[str, ...]
    """Name prefixes of the newly initialised parameters, the task's head. For a BERT whose checkpoint lacks the pooler
    they include the pooler."""
    embedding_names: tuple[str, ...]
    """Full names of the parameters of token, position and type embeddings, under every alias."""
    revision: str | None
    """Commit of a model on the Hub; None for a model that has no revisions."""
    weights_sha256: str
    """Hash of theta_0 by :func:`hash_weights`, without a pretrained model's fresh head but of all of a reference net.
    It is empty if no weights were loaded."""
    description: str
    """Phrase for reports: architecture, layers, pooling, number of parameters."""


def hash_weights(model: nn.Module, without: tuple[str, ...] = ()) -> str:
    """SHA-256 (hex) over the state's tensors by sorted name: name, dtype, shape, bytes.

    Tensors whose names lie under the prefixes `without` are left out. The hash does not depend on the order of modules
    or on how a checkpoint was cut into files; truncation of the model changes it.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not is_under(name, without):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def embedding_names(model: nn.Module) -> tuple[str, ...]:
    """Names of the parameters of every nn.Embedding, and of a vision transformer's bare ones, under all aliases.

    Relative position tables (T5, DeBERTa-v2) count as position embeddings; an image's patch projection is an ordinary
    linear map and does not count.
    """
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    found = {id(parameter) for table in tables for parameter in table.parameters(recurse=False)}
    named = list(model.named_parameters(remove_duplicate=False))
    found |= {id(parameter) for name, parameter in named if name.rpartition(".")[2] in LOOSE_EMBEDDINGS}
    return tuple(sorted(name for name, parameter in named if id(parameter) in found))


def count(model: nn.Module) -> int:
    """Number of scalars in the model's parameters; tied ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())

"""Tiny models wrapped by peft with a subspace."""

from __future__ import annotations

from typing import Any

import torch
from method_models import LABELS, batch_of, fresh
from peft import get_peft_model
from torch import Tensor, nn

from intrinsic.peft import SubspaceConfig

D = 40


def config(**settings: Any) -> SubspaceConfig:
    return SubspaceConfig(**{"subspace_dim": D, "task_type": "SEQ_CLS"} | settings)


def wrapped(name: str = "bert", **settings: Any) -> Any:
    return get_peft_model(fresh(name).model, config(**settings))


def trained(model: Any, name: str = "bert", steps: int = 2) -> Any:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        answer = model(**batch_of(name)).logits
        nn.functional.cross_entropy(answer, torch.arange(len(answer)) % LABELS).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def theta_of(model: Any) -> Tensor:
    found: Tensor = model.base_model.subspace.theta
    return found

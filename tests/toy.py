"""A small learnable text task and nets for it, made from fixed seeds: nothing is read from disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from intrinsic.problems import PROBLEMS, Problem
from intrinsic.spec import MethodSpec

VOCABULARY, WIDTH, LABELS = 20, 8, 2


class Items(torch.utils.data.Dataset):
    def __init__(self, items: list[dict[str, Tensor]]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.items[index]


def collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    batch = {
        key: pad_sequence([item[key] for item in items], batch_first=True) for key in ("input_ids", "attention_mask")
    }
    return {**batch, "labels": torch.stack([item["labels"] for item in items])}


@dataclass
class ToyTask:
    """The task to tell whether token 1 occurs more often than token 2, in sentences of 3 to 9 tokens."""

    problem: Problem = PROBLEMS["classification"]
    metric: str = "accuracy"
    higher_is_better: bool = True
    kind: str = "text"
    chance: float = 0.5
    num_train: int = 96
    num_eval: int = 50
    num_labels: int = LABELS
    input_shape: None = None
    fingerprint: str = "f" * 64
    scored: list[np.ndarray] = field(default_factory=list)
    """Logits of every evaluation."""

    def prepare(self, preprocessor: object) -> SimpleNamespace:
        train, evaluation = self._items(0, self.num_train), self._items(1, self.num_eval)
        return SimpleNamespace(train=Items(train), eval=Items(evaluation), collate=collate)

    def _items(self, seed: int, count: int) -> list[dict[str, Tensor]]:
        generator = np.random.default_rng(seed)
        return [self._item(generator) for _ in range(count)]

    def _item(self, generator: np.random.Generator) -> dict[str, Tensor]:
        ids = torch.from_numpy(generator.integers(1, 4, size=generator.integers(3, 10)))
        surplus = int((ids == 1).sum() - (ids == 2).sum())
        long = self.problem.countable
        label = torch.tensor(surplus > 0) if long else torch.tensor(float(surplus))
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": label.long() if long else label,
        }

    def score(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        self.scored.append(logits)
        if not self.problem.countable:
            return {"mse": float(np.mean((logits[:, 0] - labels) ** 2))}
        right = float(np.mean(logits.argmax(1) == labels))
        return {"accuracy": right, "error": 1 - right}


class Net(nn.Module):
    """A net of embedding, optional dropout, mean over tokens and two layers; it has a buffer that training changes."""

    def __init__(self, labels: int = LABELS, dropout: float = 0.0) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.classifier = nn.Linear(WIDTH, labels)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        if self.training:
            self.calls += 1
        weight = attention_mask.unsqueeze(-1).float()
        embedded = self.dropout(self.embeddings(input_ids)) * weight
        pooled = embedded.sum(1) / weight.sum(1)
        return SimpleNamespace(logits=self.classifier(torch.tanh(self.norm(self.hidden(pooled)))))


@dataclass(frozen=True)
class Loaded:
    model: nn.Module
    preprocessor: None = None
    head_names: tuple[str, ...] = ("classifier",)
    embedding_names: tuple[str, ...] = ("embeddings.weight",)
    revision: None = None
    weights_sha256: str = "0" * 64
    description: str = "toy"


def loaded(seed: int = 0, **settings: Any) -> Loaded:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Loaded(Net(**settings))


def with_model(model: nn.Module) -> Loaded:
    return replace(Loaded(model), model=model)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for the test: threads slow nets this small down, a hundredfold on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def subspace(**changes: object) -> MethodSpec:
    settings: dict[str, object] = {
        "name": "subspace",
        "subspace_dim": 20,
        "projection": "dense",
        "structure_aware": True,
        "lambdas": "layer",
        "head": "in-subspace",
        "parameters": "all",
    }
    return MethodSpec.model_validate(settings | changes)


SPECS = {
    "full": MethodSpec(),
    "said": subspace(),
    "did": subspace(structure_aware=False, projection="fastfood"),
    "free head": subspace(head="free"),
    "frozen head, no embeddings": subspace(head="frozen", parameters="no-embeddings", lambdas="tensor"),
    "probe": MethodSpec(name="probe"),
    "bitfit": MethodSpec(name="bitfit"),
    "of bitfit": subspace(subspace_dim=10, of="bitfit", structure_aware=False),
}

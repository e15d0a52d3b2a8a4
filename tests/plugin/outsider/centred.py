"""The method `centred`: the head alone is trained, and an answer is an output less the mean over its batch.

An answer thus depends on the other examples of its batch, which the method says, so that no bound is taken of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

from torch import Tensor, nn

from intrinsic.methods.base import Batch, Forward, Pretrained, Trainable
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.spec import Frozen, MethodSpec, SeedSpec


@final
class Centred(Trainable):
    """Another way to fine-tune, answering in its own way."""

    def __init__(self, inner: Trainable) -> None:
        self._inner = inner
        self.model, self.full_dim = inner.model, inner.full_dim

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return self._inner.named_parameters()

    def state_dict(self) -> dict[str, Tensor]:
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._inner.load_state_dict(state)

    def merge(self) -> nn.Module:
        """The model with its head; centring its outputs is left to who uses it."""
        return self._inner.merge()

    def save(self, folder: str | Path) -> None:
        self._inner.save(folder)

    def load(self, folder: str | Path) -> None:
        self._inner.load(folder)

    @property
    def head_parameters(self) -> int:
        return self._inner.head_parameters

    def answer(self, forward: Forward, batch: Batch) -> Tensor:
        outputs = self._inner.answer(forward, batch)
        return outputs - outputs.mean(dim=0)

    @property
    def answers_by_batch(self) -> bool:
        return True


def attach(loaded: Pretrained, spec: MethodSpec, options: Frozen, seeds: SeedSpec) -> Centred:
    return Centred(PartialFineTuning(loaded, Identity(method=spec, seeds=seeds), lambda model: Extension(())))

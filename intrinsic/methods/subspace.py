"""Training in a random subspace: SAID and DID (Aghajanyan et al. 2020; Li et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

from torch import Tensor, nn

from intrinsic.methods.base import Pretrained, Trainable, head_size, is_under
from intrinsic.spec import MethodSpec, SeedSpec
from intrinsic.subspace import Subspace


@final
class SubspaceFineTuning(Trainable):
    """theta = theta_0 + lambda_i P_i theta_d; see :class:`intrinsic.subspace.Subspace`.

    parameters_trained is d, plus the head's own entries if it is free. A fresh head is part of theta_0 and is
    rebuilt from the initialisation seed, so it is not among parameters_stored unless it is free.
    """

    def __init__(self, loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> None:
        self._subspace = _subspace(loaded, spec, seeds)
        self.model = loaded.model
        self.full_dim = self._subspace.full_dim
        self._head = head_size(self.named_parameters(), loaded)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        trained = {id(p) for p in self._subspace.parameters()}
        return ((name, p) for name, p in self.model.named_parameters() if id(p) in trained)

    def state_dict(self) -> dict[str, Tensor]:
        buffers = {f"buffer:{name}": buffer for name, buffer in self.model.named_buffers()}
        return {**self._subspace.state_dict(), **buffers}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        own = {name: tensor for name, tensor in state.items() if not name.startswith("buffer:")}
        self._subspace.load_state_dict(own)
        for name, buffer in self.model.named_buffers():
            buffer.copy_(state[f"buffer:{name}"])

    def merge(self) -> nn.Module:
        return self._subspace.merge()

    def save(self, folder: str | Path) -> None:
        self._subspace.save_pretrained(folder)

    @property
    def head_parameters(self) -> int:
        return self._head


def attach(loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> SubspaceFineTuning:
    return SubspaceFineTuning(loaded, spec, seeds)


def _subspace(loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> Subspace:
    # MethodSpec lets none of these be None for this method
    assert spec.subspace_dim and spec.projection and spec.head and spec.lambdas
    embeddings = loaded.embedding_names if spec.parameters == "no-embeddings" else ()
    return Subspace(
        loaded.model,
        spec.subspace_dim,
        projection=spec.projection,
        structure_aware=bool(spec.structure_aware),
        head=spec.head,
        parameters=(lambda name: not is_under(name, embeddings)) if embeddings else None,
        seed=seeds.projection,
        lambdas=spec.lambdas,
        head_names=loaded.head_names,
    )

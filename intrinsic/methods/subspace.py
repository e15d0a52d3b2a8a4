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

    parameters_trained is d, plus the head's own entries if it is free; the same numbers are stored. A fresh
    head is part of theta_0, rebuilt from the initialisation seed, and not stored unless it is free.
    full_dim is the number of weights in the subspace: without a free or frozen head, and with
    `parameters="no-embeddings"` without embeddings and what is tied to them.
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
        return self._subspace.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._subspace.load_state_dict(state)

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
    assert spec.subspace_dim is not None  # MethodSpec lets no setting be None for this method
    assert spec.projection is not None
    assert spec.head is not None
    assert spec.lambdas is not None
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

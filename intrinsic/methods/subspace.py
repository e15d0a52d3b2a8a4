"""Training in a random subspace: SAID and DID (Aghajanyan et al. 2020; Li et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import final

from torch import Tensor, nn

from intrinsic.errors import ArtefactError, ModelError
from intrinsic.methods import attach as attach_method
from intrinsic.methods import check_fit as check_method
from intrinsic.methods import check_under_subspace
from intrinsic.methods.base import Batch, Forward, Pretrained, Trainable, head_size
from intrinsic.methods.options import NoOptions
from intrinsic.spec import MethodSpec, SeedSpec, SubspaceForm, SubspaceSettings
from intrinsic.subspace import Subspace
from intrinsic.subspace.artefact import Settings, read_header
from intrinsic.subspace.layout import choose, is_under, layers_of, tensors_of


@final
class SubspaceFineTuning(Trainable):
    """Training of theta = theta_0 + lambda_i P_i theta_d; see :class:`intrinsic.subspace.Subspace`.

    theta is the model's weights or, with `of`, the parameters that another method trains: its own modules, whose
    initial values are theta_0, or the biases of BitFit; all other parameters are frozen as that method freezes them.

    parameters_trained is d, plus the head's own entries if it is free; the same numbers are stored. A fresh head is
    part of theta_0, rebuilt from the initialisation seed, and not stored unless it is free. full_dim is the number of
    weights in the subspace: without a free or frozen head, and with `parameters="no-embeddings"` without embeddings and
    what is tied to them.
    """

    def __init__(self, loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> None:
        self._inner = None if spec.of is None else attach_method(loaded, _inner(spec), seeds)
        self._make = partial(_subspace, loaded, spec, seeds)
        self._subspace = self._make()
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
        model = self._subspace.merge()
        return model if self._inner is None else self._inner.merge()

    @property
    def mergeable(self) -> bool:
        return self._inner is None or self._inner.mergeable

    def prepare_answers(self, batches: Iterable[Batch]) -> None:
        if self._inner is not None:
            self._inner.prepare_answers(batches)

    def answer(self, forward: Forward, batch: Batch) -> Tensor:
        return super().answer(forward, batch) if self._inner is None else self._inner.answer(forward, batch)

    @property
    def answers_by_batch(self) -> bool:
        return self._inner is not None and self._inner.answers_by_batch

    def save(self, folder: str | Path) -> None:
        self._subspace.save_pretrained(folder)

    def load(self, folder: str | Path) -> None:
        header = read_header(folder)
        if header.settings != self._subspace.settings:
            raise ArtefactError(
                f"{folder} holds a subspace with {header.settings}, expected {self._subspace.settings}: attach alike"
            )
        model = self._subspace.detach()
        try:
            self._subspace = Subspace.from_pretrained(folder, model)
        except ArtefactError:
            self._subspace = self._make()
            raise

    @property
    def head_parameters(self) -> int:
        return self._head


def attach(loaded: Pretrained, spec: MethodSpec, options: NoOptions, seeds: SeedSpec) -> SubspaceFineTuning:
    """Attach a subspace of the model's weights, or of what the method `spec.of` trains, with that method's options."""
    return SubspaceFineTuning(loaded, spec, seeds)


def check(loaded: Pretrained, spec: MethodSpec, options: NoOptions) -> None:
    """Raise what :func:`attach` would raise, such as SpecError for a dimension that does not suit the model.

    Over another method's parameters only that method's own settings are checked.
    """
    if spec.of is not None:
        check_method(loaded, _inner(spec))
        return
    settings, tensors = _settings(spec, 0), tensors_of(loaded.model)
    layers_of(tensors, choose(tensors, _selection(loaded, _given(spec)), settings.head, loaded.head_names), settings)


def _inner(spec: MethodSpec) -> MethodSpec:
    check_under_subspace(str(spec.of))
    return MethodSpec(name=str(spec.of), options=spec.options)


def _subspace(loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> Subspace:
    given = _given(spec)
    shared = {name: getattr(given, name) for name in SubspaceForm.model_fields}
    return Subspace(
        loaded.model,
        given.subspace_dim,
        parameters=_selection(loaded, given),
        seed=seeds.projection,
        head_names=loaded.head_names,
        **shared,
    )


def _given(spec: MethodSpec) -> SubspaceSettings:
    assert spec.subspace is not None  # MethodSpec sees to it
    return spec.subspace


def _settings(spec: MethodSpec, seed: int) -> Settings:
    return Settings.checked(**_given(spec).model_dump(exclude={"parameters"}), seed=seed)


def _selection(loaded: Pretrained, given: SubspaceSettings) -> Callable[[str], bool] | None:
    if given.parameters == "all":
        return None
    if not loaded.embedding_names:
        raise ModelError("the model has no embeddings for parameters='no-embeddings' to leave out: use 'all'")
    return lambda name: not is_under(name, loaded.embedding_names)

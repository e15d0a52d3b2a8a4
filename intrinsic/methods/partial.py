"""Fine-tuning of a few parameters, the model's own or added ones, while all others stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from intrinsic.errors import ArtefactError, SpecError
from intrinsic.methods import saved
from intrinsic.methods.base import Pretrained, Trainable, head_size, require_some
from intrinsic.methods.saved import Identity
from intrinsic.subspace.artefact import Fingerprint
from intrinsic.subspace.layout import is_under


def _nothing() -> None:
    """Do nothing: the method has no modules in the model that must be folded in or settled."""


def _no_penalty() -> float:
    return 0.0


def _no_upkeep(step: int, total: int) -> None:
    """Do nothing after a step of the optimiser."""


def _as_it_is(trained: dict[str, Tensor]) -> dict[str, Tensor]:
    return trained


@dataclass(frozen=True)
class Extension:
    """The parameters that a method trains besides the head, and what it does to the model during and after training."""

    parameters: tuple[nn.Parameter, ...]
    """Parameters that are trained besides the head."""
    fold: Callable[[], None] = _nothing
    """Function that removes the method's modules and folds what they learned into the model's weights."""
    plain: bool = True
    """Whether folding leaves the original architecture; False: the modules stay in, frozen."""
    settle: Callable[[], None] = _nothing
    """Function that replaces modules that only training needs by their result, such as a prefix's MLP by the prefix."""
    stored: Callable[[dict[str, Tensor]], dict[str, Tensor]] = _as_it_is
    """Function from the trained tensors by name to the tensors by name that `settle` would leave."""
    penalty: Callable[[], Tensor | float] = _no_penalty
    """Function that returns the method's term of the loss; see :meth:`Trainable.penalty`."""
    after_step: Callable[[int, int], None] = _no_upkeep
    """Function (step, total) called after a step; see :meth:`Trainable.after_step`."""


@dataclass(frozen=True)
class _Start:
    """The state of the model before the method changed it."""

    flags: tuple[tuple[nn.Parameter, bool], ...]
    buffers: dict[str, Tensor] = field(repr=False)
    """Copies of the persistent buffers, which training may change."""

    @classmethod
    def of(cls, model: nn.Module) -> _Start:
        parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        state = model.state_dict()
        return cls(
            flags=tuple((p, p.requires_grad) for p in model.parameters()),
            buffers={name: state[name].clone() for name in state if name not in parameters},
        )


@final
class PartialFineTuning(Trainable):
    """Training of the head and of the parameters that the method's extension names; all others are frozen.

    full_dim is the number of weights that full fine-tuning would move, so that parameters_trained / full_dim is the
    share that papers report. What is trained is stored, except that a method may drop what only training needs (the
    MLP that makes prefixes).
    """

    def __init__(self, loaded: Pretrained, identity: Identity, extend: Callable[[nn.Module], Extension]) -> None:
        self.model = loaded.model
        self._identity, self._start = identity, _Start.of(self.model)
        head = [p for name, p in self.model.named_parameters() if is_under(name, loaded.head_names) and p.requires_grad]
        self.full_dim = sum(p.numel() for p, trained in self._start.flags if trained)
        self._extension = extend(self.model)
        self._train_only({id(p) for p in (*self._extension.parameters, *head)})
        require_some(self.parameters(), identity.method.name)
        self._head = head_size(self.named_parameters(), loaded)

    def _train_only(self, trained: set[int]) -> None:
        for parameter in self.model.parameters():
            if parameter.is_floating_point():
                parameter.requires_grad_(id(parameter) in trained)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, p) for name, p in self.model.named_parameters() if p.requires_grad)

    def state_dict(self) -> dict[str, Tensor]:
        return {**dict(self.named_parameters()), **self._buffers()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        own = self.state_dict()
        if differing := sorted(own.keys() ^ state.keys()):
            raise SpecError(f"the state does not fit this method: {differing[0]!r} is only in one of the two")
        with torch.no_grad():
            for name, tensor in state.items():
                own[name].copy_(tensor)

    def penalty(self) -> Tensor | float:
        return self._extension.penalty()

    def after_step(self, step: int, total: int) -> None:
        self._extension.after_step(step, total)

    def merge(self) -> nn.Module:
        self._extension.settle()
        self._extension.fold()
        self.model.requires_grad_(False)
        for parameter, trained in self._start.flags:
            parameter.requires_grad_(trained)
        return self.model

    @property
    def mergeable(self) -> bool:
        return self._extension.plain

    def save(self, folder: str | Path) -> None:
        """Write `method.safetensors`; see :mod:`intrinsic.methods.saved`."""
        now = self._buffers()
        changed = {name: now[name] for name, before in self._start.buffers.items() if _differ(now[name], before)}
        saved.write(folder, self._identity, self._fingerprint(), {**self._stored(), **changed})

    def load(self, folder: str | Path) -> None:
        header = saved.read_header(folder)
        if header.identity != self._identity:
            raise ArtefactError(
                f"{folder} was saved by {_told(header.identity)}, expected {_told(self._identity)}: attach with those"
            )
        self._extension.settle()
        if header.base != self._fingerprint():
            raise ArtefactError(
                f"{folder} was trained from other base weights, or another version drew its random maps: load the "
                "same revision with the same precision"
            )
        own = self.state_dict()
        tensors = saved.read_tensors(folder, header, own, frozenset(self._start.buffers))
        self.load_state_dict({**own, **tensors})

    @property
    def head_parameters(self) -> int:
        return self._head

    @property
    def parameters_stored(self) -> int:
        return sum(tensor.numel() for tensor in self._stored().values())

    def _stored(self) -> dict[str, Tensor]:
        return self._extension.stored(dict(self.named_parameters()))

    def _buffers(self) -> dict[str, Tensor]:
        """The model's own buffers as they are now; they are looked up by name, because `.to()` replaces buffers."""
        state = self.model.state_dict()
        return {name: state[name] for name in self._start.buffers}

    def _fingerprint(self) -> Fingerprint:
        """The fingerprint of all that is not trained: frozen parameters, and buffers as they were at first."""
        frozen = {name: p for name, p in self.model.named_parameters() if not p.requires_grad}
        return Fingerprint.of({**frozen, **dict(self.model.named_buffers()), **self._start.buffers})


def _differ(now: Tensor, before: Tensor) -> bool:
    return not torch.equal(now.cpu(), before.cpu())


def _told(identity: Identity) -> str:
    options = ", ".join(f"{name}={value}" for name, value in identity.method.options)
    seeds = identity.seeds
    return f"{identity.method.name}({options}) with seeds {seeds.projection} and {seeds.initialisation}"

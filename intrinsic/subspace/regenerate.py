"""Weights that are lent to a part of the model while it computes, and made again in the backward pass.

Autograd keeps the weights that a forward pass has multiplied with, all of them, until the backward pass has gone by.
Here it keeps a note instead, from which the weight is made once more: the forward pass then needs the weights of one
part at a time, the backward pass one weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from intrinsic.errors import SpecError
from intrinsic.subspace.layout import Slot


@dataclass(frozen=True, eq=False)
class Weight:
    """A weight that can be made once more."""

    index: int
    """Its number among the weights of all layers."""
    tensor: Tensor
    slots: Sequence[Slot]
    """The places in the model where it goes."""
    again: Callable[[], Tensor]
    """A call that makes the same values once more, without a graph."""


@dataclass(frozen=True, eq=False)
class Note:
    """A weight, or a view of it, that autograd wants back."""

    again: Callable[[], Tensor]
    """A call that makes the weight's values once more."""
    size: torch.Size
    stride: tuple[int, ...]
    offset: int | torch.SymInt


@dataclass(eq=False)
class _Loan:
    part: int
    weights: Sequence[Weight]
    hooks: saved_tensors_hooks | None


@dataclass(eq=False)
class Loans:
    """The weights that are lent at present: the last part entered is the first to give back."""

    there: set[int] = field(default_factory=set)
    """Indices of the weights that are lent."""
    _open: list[_Loan] = field(default_factory=list)
    _lent: dict[int, Weight] = field(default_factory=dict)
    """Lent weights by the address of their memory, which a view shares."""

    def lend(self, part: int, weights: Sequence[Weight]) -> None:
        """Put the weights into their modules, and see to it that autograd keeps notes of them.

        Where other hooks on saved tensors are in force they stay in force, for one hides the other: gradient
        checkpointing keeps no weights anyway.
        """
        for weight in weights:
            self.there.add(weight.index)
            self._lent[_address(weight.tensor)] = weight
            for owner, attribute in weight.slots:
                owner.__dict__[attribute] = weight.tensor
        hooks = None
        if weights and torch.is_grad_enabled() and torch._C._autograd._top_saved_tensors_default_hooks(False) is None:
            hooks = saved_tensors_hooks(self._pack, _unpack)
            hooks.__enter__()
        self._open.append(_Loan(part, weights, hooks))

    def take_back(self, part: int) -> None:
        """Take the weights out of their modules again. Does nothing if entering the part has failed."""
        if not self._open or self._open[-1].part != part:
            return
        loan = self._open.pop()
        if loan.hooks is not None:
            loan.hooks.__exit__()
        for weight in loan.weights:
            self.there.discard(weight.index)
            self._lent.pop(_address(weight.tensor), None)
            clear(weight.slots, weight.tensor)

    def _pack(self, tensor: Tensor) -> Tensor | Note:
        weight = self._lent.get(_address(tensor))
        if weight is None or tensor.dtype != weight.tensor.dtype:
            return tensor.detach()  # the tensor itself would keep its own graph alive
        return Note(weight.again, tensor.size(), tensor.stride(), tensor.storage_offset())


class Absent(Tensor):
    """A stand-in for a weight: it tells shape, dtype and device, and raises SpecError when it is computed with."""

    @staticmethod
    def __new__(cls, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Absent:
        made: Absent = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=device)
        return made

    @classmethod
    def __torch_dispatch__(cls, *_: object) -> Any:
        raise SpecError(
            "with regenerate=True a weight is there only while the part of the model that holds it computes; "
            "call the module instead of reading its weight, or attach the subspace with regenerate=False"
        )

    def __repr__(self, *, tensor_contents: object = None) -> str:  # type: ignore[override]
        return f"Absent(shape={tuple(self.shape)}, dtype={self.dtype}, device={self.device})"

    def __deepcopy__(self, memo: object) -> Absent:
        return Absent(tuple(self.shape), self.dtype, self.device)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return Absent, (tuple(self.shape), self.dtype, self.device)


def clear(slots: Sequence[Slot], like: Tensor) -> None:
    """Put a stand-in with the shape, dtype and device of `like` into the places."""
    for owner, attribute in slots:
        owner.__dict__[attribute] = Absent(tuple(like.shape), like.dtype, like.device)


def _unpack(kept: Tensor | Note) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    return kept.again().as_strided(kept.size, kept.stride, kept.offset)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def lenders(model: nn.Module, layers: Sequence[Sequence[Sequence[nn.Module]]]) -> list[tuple[nn.Module, list[int]]]:
    """Pairs of a module and the weights that must be there while it computes, weights counted through all layers.

    layers: for each layer, for each of its weights, the modules that hold it. A layer is lent as a whole by the
    smallest module around it that is called (lists and dictionaries of modules or parameters never are); what is tied
    across the model by all of it. The modules inside lend what lies beneath them, as they may be called on their
    own: gradient checkpointing runs the inside of a layer a second time.
    """
    beneath = {module: {id(part) for part in module.modules()} for module in model.modules()}
    called = [module for module in beneath if module is model or _is_called(module)]
    found: dict[nn.Module, list[int]] = {}
    index = 0
    for layer in layers:
        owners = {id(owner) for held in layer for owner in held}
        around = min((module for module in called if owners <= beneath[module]), key=lambda m: len(beneath[m]))
        inside = [module for module in called if id(module) in beneath[around]]
        for held in layer:
            for module in inside:
                if any(id(owner) in beneath[module] for owner in held):
                    found.setdefault(module, []).append(index)
            index += 1
    return list(found.items())


def _is_called(module: nn.Module) -> bool:
    forward: Any = type(module).forward
    return forward is not nn.Module.forward

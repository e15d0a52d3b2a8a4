"""The part of a subspace that lives inside the model: theta_d, the lambdas and the upkeep of the weights."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from intrinsic.errors import SpecError
from intrinsic.kernels.memory import recycled
from intrinsic.projections import Projection, make_projection
from intrinsic.subspace.layout import HeldTensor, Slot
from intrinsic.subspace.regenerate import Loans, Weight, clear, lenders
from intrinsic.subspace.standin import Standins
from intrinsic.subspace.watch import ReentrantWatch
from intrinsic.subspace.weights import Coordinates, Layer, LayerWeights, MovedTensor

CORE = "intrinsic_subspace"
"""The name under which the core is a child of the model it serves."""


@dataclass(frozen=True)
class ProjectionSpec:
    """The arguments that a projection is rebuilt from: a copied or pickled model carries this, not the cache."""

    name: str
    dim: int
    """Length of theta_d."""
    seed: int
    full_dim: int
    """D, the number of weights that are moved."""
    cache_bytes: int
    options: tuple[tuple[str, Any], ...] = ()

    def build(self) -> Projection:
        """The projection. Raises SpecError for settings that are wrong."""
        return make_projection(
            self.name,
            self.dim,
            self.seed,
            full_dim=self.full_dim,
            cache_bytes=self.cache_bytes,
            **dict(self.options),
        )


class Core(nn.Module):
    """The child module of an attached model that holds theta_d, so that optimisers, DDP, Trainer and `.to()` find it.

    The selected parameters are taken out of their modules and kept here, frozen, outside of `parameters()`
    and `state_dict()`. In their place each module holds W = W_0 + lambda P theta_d as a plain attribute, made
    anew when theta_d or the lambdas have changed and left alone otherwise. It refers to the modules weakly,
    so that a model goes with its last reference and does not wait for the garbage collector.

    With `regenerate` the attribute is there only while the smallest called module above its layer computes
    (see :mod:`intrinsic.subspace.regenerate`).
    """

    theta: nn.Parameter
    """theta_d [dim]."""
    lambdas: nn.Parameter | None
    """The lambdas [L]; None without structure."""
    materialisations: int
    """The number of times that the weights have been made."""

    def __init__(
        self,
        model: nn.Module,
        layers: tuple[Layer, ...],
        tensors: dict[str, HeldTensor],
        spec: ProjectionSpec,
        scales: int,
        *,
        regenerate: bool = False,
    ) -> None:
        super().__init__()
        bases = [moved.base for layer in layers for moved in layer.tensors]
        dtype, device = _precision(bases), bases[0].device
        self.layers, self.spec, self.projection = layers, spec, spec.build()
        self.theta = nn.Parameter(torch.zeros(spec.dim, dtype=dtype, device=device))
        self.register_parameter("lambdas", None)
        if scales:
            self.lambdas = nn.Parameter(torch.ones(scales, dtype=dtype, device=device))
        self.materialisations = 0
        self._watch = ReentrantWatch()
        self._coordinates: Coordinates | None = None
        self._stamp: tuple[object, ...] = ()
        self._loans = Loans() if regenerate else None
        self._root: Callable[[], nn.Module | None] = weakref.ref(model)
        self._slots: tuple[tuple[tuple[Callable[[], nn.Module | None], str], ...], ...] = tuple(
            tuple((weakref.ref(owner), attribute) for owner, attribute in tensors[moved.name].slots)
            for layer in layers
            for moved in layer.tensors
        )
        owners = {id(owner): owner for slots in self._owned() for owner, _ in slots}
        self._order = [(weakref.ref(owner), tuple(owner._parameters)) for owner in owners.values()]
        self._take_over(model, list(owners.values()))

    # ------------------------------------------------------------------ taking the model over, letting it go

    def _take_over(self, model: nn.Module, owners: list[nn.Module]) -> None:
        self._standins = Standins(model)
        for slots in self._owned():
            for owner, attribute in slots:
                del owner._parameters[attribute]
        for layer in self.layers:
            for moved in layer.tensors:
                moved.base.requires_grad_(False)
                moved.base.grad = None
        self._hooks = [model.register_forward_pre_hook(self._before_model, prepend=True)]
        for module in _above(model, owners):
            self._hooks.append(module.register_forward_pre_hook(self._before_part, prepend=True))
        if self._loans is not None:
            self._hook_lenders(model)
        model.add_module(CORE, self)
        model.__dict__["__deepcopy__"] = self._copy_model
        self._clear()
        self.materialise()

    def _hook_lenders(self, model: nn.Module) -> None:
        held = iter(self._owned())
        layers = [[[owner for owner, _ in next(held)] for _ in layer.tensors] for layer in self.layers]
        placed = lenders(model, layers)
        self._lending = [indices for _, indices in placed]
        for part, (module, _) in enumerate(placed):
            self._hooks.append(module.register_forward_pre_hook(partial(self._lend, part)))
            self._hooks.append(module.register_forward_hook(partial(self._take_back, part), always_call=True))

    def release(self, *, merge: bool) -> nn.Module:
        """Give every module its parameters back, holding W (merge) or W_0, in their old order.

        Raises SpecError if the subspace has been taken off already.
        """
        model = self._root()
        if model is None or model._modules.get(CORE) is not self:
            raise SpecError("this subspace has been taken off its model; attach a new one")
        self.refresh(by_value=True)
        for moved, weight, slots in zip(self._moved(), self._values(merge), self._owned(), strict=True):
            if weight is not None:
                moved.base.data = weight
            moved.base.requires_grad_(moved.requires_grad)
            for owner, attribute in slots:
                owner.__dict__.pop(attribute, None)
                owner._parameters[attribute] = moved.base
        self._restore_order()
        for handle in self._hooks:
            handle.remove()
        self._standins.remove()
        del model._modules[CORE], model.__dict__["__deepcopy__"]
        return model

    def _values(self, merge: bool) -> Iterator[Tensor | None]:
        """The weights one by one with merge, otherwise as many times None."""
        if not merge:
            yield from (None for _ in self._moved())
        elif self._loans is None:
            yield from (slots[0][0].__dict__[slots[0][1]].detach() for slots in self._owned())
        elif (coordinates := self._coordinates) is not None:
            for moved in self._moved():
                yield coordinates.weight(moved, self.projection)

    def _restore_order(self) -> None:
        for reference, names in self._order:
            held = _alive(reference)._parameters
            before = dict(held)
            held.clear()
            held.update({name: before[name] for name in (*names, *before) if name in before})

    # ------------------------------------------------------------------ keeping the weights up to date

    def _before_model(self, module: nn.Module, args: object) -> None:
        _refresh_eagerly(self)

    def _before_part(self, module: nn.Module, args: object) -> None:
        """Make the weights before a part: it may be called without the whole (`generate` calls T5's encoder)."""
        if not torch.compiler.is_compiling():  # compiled code runs behind the whole model's own hook
            self._watch.part()
            self.refresh(by_value=False)

    def refresh(self, *, by_value: bool) -> None:
        """Make the weights again unless theta_d and the lambdas are what they were made from.

        In-place writes show in the version counters. Writes past autograd (`p.data`, fused kernels of
        third-party optimisers) do not, so d values are compared too: once after every backward pass, and
        before every forward of the whole model (by_value). On a GPU that is one small synchronisation.
        """
        coordinates = self._coordinates
        if coordinates is None or self._stamp != self._current_stamp():
            self.materialise()
        elif by_value or coordinates.touched:
            coordinates.touched = False
            if not self._at(coordinates):
                self.materialise()

    def materialise(self) -> None:
        """Make W = W_0 + lambda P theta_d for every moved tensor, with the graph back to theta_d, in any grad mode.

        A layer's old weights go before its new ones are made, and their memory serves again.
        """
        with torch.inference_mode(False), torch.enable_grad(), recycled():
            lambdas = None if self.lambdas is None else self.lambdas.detach().clone()
            coordinates, self._coordinates = Coordinates(self.theta.detach().clone(), lambdas), None
            held = iter(self._owned())
            for layer in self.layers if self._loans is None else ():
                places = [next(held) for _ in layer.tensors]
                for moved, slots in zip(layer.tensors, places, strict=True):
                    clear(slots, moved.base)
                for weight, slots in zip(self._layer_weights(layer, coordinates), places, strict=True):
                    for owner, attribute in slots:
                        owner.__dict__[attribute] = weight
        self._coordinates, self._stamp = coordinates, self._current_stamp()
        self.materialisations += 1

    def _lend(self, part: int, module: nn.Module, args: object) -> None:
        """Put in place what a part of the model computes with, unless it is there."""
        if torch.compiler.is_compiling():
            raise SpecError("a subspace with regenerate=True cannot be compiled; leave torch.compile or regenerate out")
        loans, coordinates = self._loans, self._coordinates
        if loans is None or coordinates is None:
            return
        missing = set(self._lending[part]) - loans.there
        loans.lend(part, list(self._made(missing, coordinates)))

    def _made(self, indices: set[int], coordinates: Coordinates) -> Iterator[Weight]:
        """The weights with these indices, those of a layer made in one call."""
        first = 0
        for layer in self.layers:
            chosen = [first + i for i in range(len(layer.tensors)) if first + i in indices]
            tensors = tuple(layer.tensors[i - first] for i in chosen)
            first += len(layer.tensors)
            if not tensors:
                continue
            weights = self._layer_weights(Layer(layer.name, tensors), coordinates)
            for i, weight, moved in zip(chosen, weights, tensors, strict=True):
                yield Weight(i, weight, self._owned(i, i + 1)[0], partial(coordinates.weight, moved, self.projection))

    def _take_back(self, part: int, module: nn.Module, args: object, output: object) -> None:
        if self._loans is not None:
            self._loans.take_back(part)

    def _clear(self) -> None:
        for moved, slots in zip(self._moved(), self._owned(), strict=True):
            clear(slots, moved.base)

    def _layer_weights(self, layer: Layer, coordinates: Coordinates) -> tuple[Tensor, ...]:
        made = LayerWeights.apply(self.theta, self.lambdas, layer, self.projection, coordinates)  # type: ignore[no-untyped-call]
        return cast(tuple[Tensor, ...], made)

    def _at(self, coordinates: Coordinates) -> bool:
        pairs = ((self.theta, coordinates.theta), (self.lambdas, coordinates.lambdas))
        return all(now is None or then is None or torch.equal(now, then) for now, then in pairs)

    def _current_stamp(self) -> tuple[object, ...]:
        trained = [p for p in (self.theta, self.lambdas) if p is not None]
        return tuple((id(p), p.data_ptr(), p._version, p.requires_grad) for p in trained)

    # ------------------------------------------------------------------ moving, copying, pickling

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Core:
        """Apply `.to()`, `.half()` and the like: theta_0 follows, theta_d and the lambdas never go below float32."""
        before = self._whereabouts()
        with torch.no_grad():
            for moved in self._moved():
                moved.base.data = fn(moved.base.data)
            for trained in self.parameters():
                applied = fn(trained.data)
                low = applied.dtype in (torch.float16, torch.bfloat16)
                trained.data = trained.data.to(applied.device) if low else applied
                if trained.grad is not None:
                    trained.grad = trained.grad.to(trained)
        if self._whereabouts() != before:
            self._clear()
            self.materialise()
        return self

    def _whereabouts(self) -> list[tuple[int, torch.dtype, torch.device]]:
        held = [*(moved.base for moved in self._moved()), *self.parameters()]
        return [(tensor.data_ptr(), tensor.dtype, tensor.device) for tensor in held]

    def _copy_model(self, memo: dict[int, Any]) -> nn.Module:
        """Copy the model deeply: autograd's products cannot be copied, so plain tensors replace them first."""
        model = _alive(self._root)
        for slots in self._owned() if self._loans is None else ():
            for owner, attribute in slots:
                owner.__dict__[attribute] = owner.__dict__[attribute].detach()
        self._coordinates = None
        hook = model.__dict__.pop("__deepcopy__")
        try:
            made: nn.Module = copy.deepcopy(model, memo)
        finally:
            model.__dict__["__deepcopy__"] = hook
        made.__dict__["__deepcopy__"] = made._modules[CORE]._copy_model  # type: ignore[union-attr]
        return made

    def __getstate__(self) -> dict[str, Any]:
        slots = [[(_alive(reference), name) for reference, name in held] for held in self._slots]
        order = [(_alive(reference), names) for reference, names in self._order]
        strong = {"_root": _alive(self._root), "_slots": slots, "_order": order}
        loans = None if self._loans is None else Loans()
        return {**self.__dict__, **strong, "projection": None, "_coordinates": None, "_stamp": (), "_loans": loans}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._root = weakref.ref(state["_root"])
        self._slots = tuple(tuple((weakref.ref(m), name) for m, name in held) for held in state["_slots"])
        self._order = [(weakref.ref(m), names) for m, names in state["_order"]]
        self.projection = self.spec.build()

    # ------------------------------------------------------------------ small things

    def forward(self, x: object) -> object:
        """Return x itself: an nn.Sequential calls each of its children in turn, this one last."""
        return x

    def _moved(self) -> list[MovedTensor]:
        return [moved for layer in self.layers for moved in layer.tensors]

    def _owned(self, first: int = 0, last: int | None = None) -> list[Sequence[Slot]]:
        """The modules, alive, that hold the moved tensors first ... last - 1, with the attributes' names."""
        return [[(_alive(reference), name) for reference, name in held] for held in self._slots[first:last]]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _refresh_eagerly(core: Core) -> None:
    core._watch.whole()
    core.refresh(by_value=True)


def _precision(bases: Sequence[Tensor]) -> torch.dtype:
    return torch.float64 if any(base.dtype == torch.float64 for base in bases) else torch.float32


def _above(model: nn.Module, owners: Sequence[nn.Module]) -> list[nn.Module]:
    """The modules below the root that hold a selected parameter somewhere beneath them."""
    wanted = {id(owner) for owner in owners}
    return [m for m in model.modules() if m is not model and any(id(part) in wanted for part in m.modules())]


def _alive(reference: Callable[[], nn.Module | None]) -> nn.Module:
    module = reference()
    if module is None:
        raise SpecError(
            "a module that the subspace was attached to is gone: it was replaced, or the model dropped; "
            "detach() before changing the model, and keep a reference to it"
        )
    return module

"""The tensors of a model: their names, which of them lie in the subspace, and which layer they belong to.

All of it is a function of names (and of which names share a tensor), never of the order in which modules
list them: the same weights give the same layout under every version of the model's code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

import torch
from torch import Tensor, nn

from intrinsic.errors import SpecError
from intrinsic.seeds import name_key
from intrinsic.spec import Head
from intrinsic.subspace.artefact import Settings
from intrinsic.subspace.manifest import TensorRole
from intrinsic.subspace.weights import Layer, MovedTensor

Selection = Callable[[str], bool] | Sequence[str] | None
"""A choice of parameters: name -> bool, glob patterns of names, or None for all."""
Slot = tuple[nn.Module, str]
"""A module, and the name of its attribute that holds a tensor."""

EMBEDDINGS = "embeddings"
"""The name of the layer that embeddings outside of numbered blocks belong to."""
ROOT = "root"
"""The name of the layer that parameters held by the model itself belong to."""
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""The dtypes of tensors that can lie in the subspace or be trained freely."""


@dataclass(frozen=True)
class HeldTensor:
    """One parameter or persistent buffer, with all its names and all the places it is held in."""

    aliases: tuple[str, ...]
    """All names, sorted; a tied tensor has more than one."""
    tensor: Tensor
    slots: tuple[Slot, ...]
    """The places in the model that hold it."""

    @property
    def name(self) -> str:
        """The canonical name: the alphabetically first of the aliases."""
        return self.aliases[0]

    @property
    def is_parameter(self) -> bool:
        """Whether it is a parameter, not a buffer."""
        return isinstance(self.tensor, nn.Parameter)

    @property
    def trainable(self) -> bool:
        """Whether full fine-tuning would train it: a dense float parameter that requires a gradient."""
        t = self.tensor
        dense = t.dtype in DTYPES and t.layout == torch.strided and t.numel() > 0
        return self.is_parameter and t.requires_grad and dense


def tensors_of(model: nn.Module) -> dict[str, HeldTensor]:
    """All parameters and persistent buffers by canonical name, sorted by it."""
    by_id: dict[int, Tensor] = {}
    names: dict[int, set[str]] = {}
    slots: dict[int, dict[tuple[int, str], Slot]] = {}
    for name, tensor, slot in _places(model):
        by_id[id(tensor)] = tensor
        names.setdefault(id(tensor), set()).add(name)
        slots.setdefault(id(tensor), {})[id(slot[0]), slot[1]] = slot
    found = (HeldTensor(tuple(sorted(names[i])), t, tuple(slots[i].values())) for i, t in by_id.items())
    return {held.name: held for held in sorted(found, key=lambda held: held.name)}


def _places(model: nn.Module) -> Iterator[tuple[str, Tensor, Slot]]:
    for path, module in model.named_modules(remove_duplicate=False):
        dot = f"{path}." if path else ""
        buffers = {n: b for n, b in module._buffers.items() if n not in module._non_persistent_buffers_set}
        for attribute, tensor in {**module._parameters, **buffers}.items():
            if tensor is not None:
                yield dot + attribute, tensor, (module, attribute)


def choose(
    tensors: dict[str, HeldTensor], selection: Selection, head: Head, head_names: Sequence[str]
) -> dict[str, TensorRole]:
    """The role of each tensor, by canonical name.

    A tied tensor is selected, or counts as head, only if all its names are: so `parameters=` that leaves
    the embeddings out also leaves out what is tied to them.

    Raises SpecError for a pattern or prefix that fits no parameter, and for a free or frozen head that is none.
    """
    _check_matches(tensors, selection, head_names)
    if head != "in-subspace":
        _check_head(tensors, head, head_names)
    selected = _selector(selection)
    return {name: _role(held, selected, head, head_names) for name, held in tensors.items()}


def _role(held: HeldTensor, selected: Callable[[str], bool], head: Head, head_names: Sequence[str]) -> TensorRole:
    if not held.is_parameter:
        return "buffer"
    if not held.trainable:
        return "frozen"
    if head != "in-subspace" and in_head(held, head_names):
        return head
    return "subspace" if all(selected(alias) for alias in held.aliases) else "frozen"


def in_head(held: HeldTensor, head_names: Sequence[str]) -> bool:
    """Whether it is a parameter and every name of it is, or lies below, one of the prefixes."""
    return held.is_parameter and all(is_under(a, head_names) for a in held.aliases)


def is_under(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a dotted name equals one of the prefixes or lies under it; a prefix may end in a dot."""
    return any(name == p or name.startswith(f"{p}.") for p in (prefix.rstrip(".") for prefix in prefixes))


def _selector(selection: Selection) -> Callable[[str], bool]:
    if selection is None:
        return lambda name: True
    if callable(selection):
        return selection
    patterns = tuple(selection)
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_matches(tensors: dict[str, HeldTensor], selection: Selection, head_names: Sequence[str]) -> None:
    for what, given in (("parameters", selection), ("head_names", head_names)):
        if isinstance(given, str):
            raise SpecError(f"{what} must be a list of strings, got the string {given!r}; write [{given!r}]")
    names = [alias for held in tensors.values() if held.is_parameter for alias in held.aliases]
    for prefix in head_names:
        if not any(is_under(name, (prefix,)) for name in names):
            raise SpecError(f"head name {prefix!r} is the prefix of no parameter; there are {_some(names)}")
    if selection is None or callable(selection):
        return
    for pattern in selection:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SpecError(f"pattern {pattern!r} in parameters= matches no parameter; there are {_some(names)}")


def _check_head(tensors: dict[str, HeldTensor], head: Head, head_names: Sequence[str]) -> None:
    if not head_names:
        raise SpecError(f"head={head!r} needs head_names: prefixes of the head's parameter names")
    if not any(in_head(held, head_names) for held in tensors.values()):
        raise SpecError(
            f"head={head!r} leaves no head: all below {', '.join(map(repr, head_names))} is tied to other parameters; "
            "use head='in-subspace'"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def layer_of(aliases: Sequence[str]) -> str:
    """The layer a tensor belongs to, from its names alone.

    1. A tensor below a numbered module belongs to that block: the name up to and including its first
       number, `bert.encoder.layer.3.output.dense.weight` -> `bert.encoder.layer.3`.
    2. Else, if a part of any of its names contains `embed` or is `wte` or `wpe`, to `embeddings`.
    3. Else to the top-level part of its canonical name, `bert.pooler.dense.weight` -> `bert`; parameters
       held by the root itself belong to `root`.
    """
    *path, _ = aliases[0].split(".")
    for depth, part in enumerate(path):
        if part.isdigit():
            return ".".join(path[: depth + 1])
    if any(_is_embedding(part) for alias in aliases for part in alias.split(".")):
        return EMBEDDINGS
    return path[0] if path else ROOT


def _is_embedding(part: str) -> bool:
    return "embed" in part.lower() or part in ("wte", "wpe")


def layers_of(
    tensors: dict[str, HeldTensor], roles: dict[str, TensorRole], settings: Settings
) -> tuple[tuple[Layer, ...], int]:
    """The layers, alphabetically, and the number of lambdas. Raises SpecError if the budget cannot be met."""
    groups: dict[str, list[HeldTensor]] = {}
    for name in sorted(name for name, role in roles.items() if role == "subspace"):
        groups.setdefault(layer_of(tensors[name].aliases), []).append(tensors[name])
    per_tensor = settings.lambdas == "tensor"
    layers: list[Layer] = []
    count = 0
    for index, layer in enumerate(sorted(groups)):
        scales = [count + i if per_tensor else index for i in range(len(groups[layer]))]
        count += len(groups[layer])
        moved = [_moved(e, s if settings.structure_aware else None) for e, s in zip(groups[layer], scales, strict=True)]
        layers.append(Layer(layer, tuple(moved)))
    lambdas = (count if per_tensor else len(layers)) if settings.structure_aware else 0
    _check_budget(settings, lambdas, sum(t.base.numel() for layer in layers for t in layer.tensors))
    return tuple(layers), lambdas


def _moved(held: HeldTensor, scale: int | None) -> MovedTensor:
    base = cast(nn.Parameter, held.tensor)
    return MovedTensor(held.name, name_key(held.name), base, scale, base.requires_grad)


def _check_budget(settings: Settings, lambdas: int, full_dim: int) -> None:
    d = settings.subspace_dim
    if d <= lambdas:
        raise SpecError(
            f"subspace_dim must be more than the {lambdas} lambdas (one a {settings.lambdas}) that it pays for, "
            f"got {d}; raise it, or set structure_aware=False"
        )
    if d > full_dim:
        raise SpecError(f"subspace_dim must be at most D = {full_dim}, the parameters it replaces, got {d}")


def check_supported(model: nn.Module, selected: Sequence[HeldTensor]) -> None:
    """Raise SpecError for a wrapped model, and for selected tensors that cannot be moved or lie on several devices."""
    if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) or hasattr(model, "_orig_mod"):
        raise SpecError(f"attach the subspace before wrapping: got {type(model).__name__}, pass the model inside it")
    if not selected:
        raise SpecError("no parameter is left for the subspace; widen parameters= or unfreeze the model")
    for held in selected:
        _check_held(held)
    devices = sorted({str(held.tensor.device) for held in selected})
    if len(devices) > 1:
        raise SpecError(f"all parameters must be on one device, got {', '.join(devices)}; move the model first")


def _check_held(held: HeldTensor) -> None:
    if "parametrizations" in held.name.split("."):
        raise SpecError(
            f"{held.name} belongs to a parametrized module; call remove_parametrizations first, "
            "or leave it out by parameters="
        )
    if held.tensor.is_meta or nn.parameter.is_lazy(held.tensor):
        raise SpecError(f"{held.name} has no values yet (meta device or lazy module); load the weights first")
    if any(isinstance(owner, torch.jit.ScriptModule) for owner, _ in held.slots):
        raise SpecError(f"{held.name} belongs to a TorchScript module; attach to the Python module instead")

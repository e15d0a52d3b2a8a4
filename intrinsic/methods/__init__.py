"""Ways to fine-tune. The registry can be read without importing torch; a method is imported when attached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic.methods.catalogue import METHODS, Method, Size, check_under_subspace, known, letter_of, options_of
from intrinsic.plugins import named
from intrinsic.spec import MethodSpec, SeedSpec

if TYPE_CHECKING:
    from intrinsic.methods.base import Pretrained, Trainable

__all__ = [
    "FULL",
    "METHODS",
    "Method",
    "Size",
    "attach",
    "check_fit",
    "check_under_subspace",
    "letter_of",
    "options_of",
    "reload",
]

FULL = "full"
"""The method that every other one is compared with."""


def attach(loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> Trainable:
    """Lay a loaded model out for the method that the spec names; the model is taken over in place.

    Raises UnknownName if there is no such method, SpecError if the method's settings are wrong or do not fit the
    model, ModelError if it looks for parts that the model does not have.
    """
    options = options_of(spec)
    trainable: Trainable = _function(known(spec.name).home, "attach")(loaded, spec, options, seeds)
    return trainable


def reload(folder: str | Path, loaded: Pretrained) -> Trainable:
    """The model that any method but full and subspace has saved, on a fresh copy of its base model.

    The artefact says which method, options and seeds; so does not a subspace's (see Subspace.from_pretrained).
    Raises ArtefactError if the artefact is damaged or the base model another one.
    """
    identity = named(".saved:read_header", __name__)(folder).identity
    trainable = attach(loaded, identity.method, identity.seeds)
    trainable.load(folder)
    return trainable


def check_fit(loaded: Pretrained, spec: MethodSpec) -> None:
    """Raise what attach would raise for settings that the model cannot meet; its weights need no values."""
    method, options = known(spec.name), options_of(spec)
    if method.transformer:
        named(".architecture:blocks_of", __name__)(loaded.model, spec.name)
    if method.check is not None:
        _function(method.check, "check")(loaded, spec, options)


def _function(home: str, usual: str) -> Any:
    """The function at `module:name`, `usual` where no name is given."""
    return named(home if ":" in home else f"{home}:{usual}", __name__)

"""Methods of fine-tuning, by name. Importing this package does not import torch; a method is imported when attached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic.errors import SpecError
from intrinsic.methods.catalogue import METHODS, Method, Size, check_under_subspace, known, letter_of, options_of
from intrinsic.plugins import REPAIR, check_call, named, titled, told
from intrinsic.spec import MethodSpec, SeedSpec

if TYPE_CHECKING:
    from intrinsic.methods.base import Pretrained, Trainable

__all__ = [
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


def attach(loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> Trainable:
    """Prepare a loaded model for training by the method that the spec names; the model is changed in place.

    Raises UnknownName if there is no such method, SpecError if the method's settings are wrong or do not fit the
    model, or if another package's method exits or takes other arguments, ModelError if it looks for parts that the
    model does not have.
    """
    options, function = options_of(spec), _function(known(spec.name).home, "attach")
    if METHODS.is_own(spec.name):
        own: Trainable = function(loaded, spec, options, seeds)
        return own
    what = titled("method", spec.name)
    check_call(what, "attach(loaded, spec, options, seeds)", function, loaded, spec, options, seeds)
    try:
        trainable: Trainable = function(loaded, spec, options, seeds)
    except SystemExit as error:
        raise SpecError(f"{what} cannot be attached ({told(error)}): {REPAIR}") from error
    return trainable


def reload(folder: str | Path, loaded: Pretrained) -> Trainable:
    """Load what a method has saved onto a fresh copy of its base model.

    The artefact names the method, its options and seeds. The artefacts of `full` and `subspace` do not and cannot be
    read here: see FullFineTuning.load and Subspace.from_pretrained.
    Raises ArtefactError if the artefact is damaged or belongs to another base model.
    """
    identity = named(".saved:read_header", __name__)(folder).identity
    trainable = attach(loaded, identity.method, identity.seeds)
    trainable.load(folder)
    return trainable


def check_fit(loaded: Pretrained, spec: MethodSpec) -> None:
    """Raise what :func:`attach` raises for settings that do not fit the model, whose weights may be on `meta`."""
    method, options = known(spec.name), options_of(spec)
    _function(method.home, "attach")
    if method.transformer:
        named(".architecture:blocks_of", __name__)(loaded.model, spec.name)
    if method.check is not None:
        _function(method.check, "check")(loaded, spec, options)


def _function(home: str, usual: str) -> Any:
    """The function at `module:name`; without a name, the function called `usual` in the module."""
    return named(home if ":" in home else f"{home}:{usual}", __name__)

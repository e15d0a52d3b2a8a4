"""Ways to fine-tune. The registry can be read without importing torch; a method is imported when attached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intrinsic.errors import UnknownName
from intrinsic.spec import MethodSpec, SeedSpec

if TYPE_CHECKING:
    from intrinsic.methods.base import Pretrained, Trainable

    Attach = Callable[[Pretrained, MethodSpec, SeedSpec], Trainable]


@dataclass(frozen=True)
class Method:
    description: str
    load: Callable[[], Attach]
    """Imports the method's module and returns its `attach`."""


def _full() -> Attach:
    from intrinsic.methods.full import attach

    return attach


def _subspace() -> Attach:
    from intrinsic.methods.subspace import attach

    return attach


METHODS: dict[str, Method] = {
    "full": Method("every weight is trained", _full),
    "subspace": Method("theta = theta_0 + lambda P theta_d, d numbers are trained (SAID, DID)", _subspace),
}


def attach(loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> Trainable:
    """Lay a loaded model out for the method that the spec names; the model is taken over in place.

    Raises UnknownName if there is no such method, SpecError if the method's settings do not fit the model.
    """
    if spec.name not in METHODS:
        raise UnknownName("method", spec.name, METHODS)
    return METHODS[spec.name].load()(loaded, spec, seeds)


def check_fit(loaded: Pretrained, spec: MethodSpec) -> None:
    """Raise what attach would raise for settings that the model cannot meet; its weights need no values."""
    if spec.name not in METHODS:
        raise UnknownName("method", spec.name, METHODS)
    if spec.name == "subspace":
        from intrinsic.methods.subspace import check_fit as check

        check(loaded, spec)

"""Linear probe: the head alone is trained, on the features that the pretrained model has."""

from __future__ import annotations

from intrinsic.methods.base import Pretrained
from intrinsic.methods.options import NoOptions
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.spec import MethodSpec, SeedSpec


def attach(loaded: Pretrained, spec: MethodSpec, options: NoOptions, seeds: SeedSpec) -> PartialFineTuning:
    """Attach a linear probe: parameters_trained = head_parameters. Raises SpecError for a model without a head."""
    return PartialFineTuning(loaded, Identity(method=spec, seeds=seeds), lambda model: Extension(()))

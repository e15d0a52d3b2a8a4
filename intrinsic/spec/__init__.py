"""Specs: what is to be run, said completely; frozen, validated, hashed. No torch here.

The defaults of measurements and comparisons stand here. Those of a method's options stand in
:mod:`intrinsic.methods.options`, those of certificates in :mod:`intrinsic.certificate.spec`; the command line reads all
of them from these specs.
"""

from __future__ import annotations

from intrinsic.spec.base import (
    SPEC_VERSION,
    STORED,
    Frozen,
    Inputs,
    Options,
    OptionValue,
    PositiveInt,
    Rate,
    Seed,
    digest,
    first_complaint,
)
from intrinsic.spec.compare import CompareSpec, Contender
from intrinsic.spec.measure import PRESETS, MeasureSpec, SearchSpec, TargetSpec
from intrinsic.spec.projections import PROJECTION_NAMES, ProjectionInfo, ProjectionName
from intrinsic.spec.trial import (
    FULL,
    SUBSPACE,
    Head,
    Ingredients,
    Lambdas,
    MethodSpec,
    ModelSpec,
    OptimSpec,
    SeedSpec,
    SubspaceForm,
    SubspaceKind,
    SubspaceSettings,
    TaskSpec,
    TrialSpec,
)

__all__ = [
    "FULL",
    "PRESETS",
    "PROJECTION_NAMES",
    "SPEC_VERSION",
    "STORED",
    "SUBSPACE",
    "CompareSpec",
    "Contender",
    "Frozen",
    "Head",
    "Ingredients",
    "Inputs",
    "Lambdas",
    "MeasureSpec",
    "MethodSpec",
    "ModelSpec",
    "OptimSpec",
    "OptionValue",
    "Options",
    "PositiveInt",
    "ProjectionInfo",
    "ProjectionName",
    "Rate",
    "SearchSpec",
    "Seed",
    "SeedSpec",
    "SubspaceForm",
    "SubspaceKind",
    "SubspaceSettings",
    "TargetSpec",
    "TaskSpec",
    "TrialSpec",
    "digest",
    "first_complaint",
]

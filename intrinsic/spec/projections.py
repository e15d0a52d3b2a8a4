"""The projections of this package by name, known without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from intrinsic.errors import UnknownName
from intrinsic.plugins import entries_of
from intrinsic.spec.base import STORED


@dataclass(frozen=True)
class ProjectionInfo:
    """Facts about a projection that are known without loading it."""

    description: str
    """A few words for the list of projections."""
    home: str
    """Module and class, as in `.dense:DenseProjection`; the module lies in intrinsic.projections and needs torch."""


PROJECTION_NAMES: dict[str, ProjectionInfo] = {
    "dense": ProjectionInfo("independent gaussian entries (Li et al. 2018)", ".dense:DenseProjection"),
    "fastfood": ProjectionInfo(
        "S H G Pi H B in stacked blocks, O(n log d) (Le et al. 2013)", ".fastfood:FastfoodProjection"
    ),
    "hashed": ProjectionInfo(
        "one signed entry a row: count-sketch, O(n) (Uni-LoRA's isometric map)", ".hashed:HashedProjection"
    ),
    "kronecker": ProjectionInfo(
        "Kronecker product of two gaussian factors (Lotfi et al. 2022)", ".kronecker:KroneckerProjection"
    ),
    "sparse": ProjectionInfo(
        "few signed entries a row, density 1/sqrt(D) (Li et al. 2018)", ".sparse:SparseProjection"
    ),
}
"""The projections of this package by name; intrinsic.projections.PROJECTIONS holds their classes."""


def _known_projection(name: str, info: ValidationInfo) -> str:
    if info.context is not STORED and name not in PROJECTION_NAMES and name not in (added := entries_of("projection")):
        raise UnknownName("projection", name, [*PROJECTION_NAMES, *added])
    return name


ProjectionName = Annotated[str, AfterValidator(_known_projection)]
"""The name of a projection, of this package or of another one."""

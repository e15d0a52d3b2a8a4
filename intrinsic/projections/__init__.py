"""Random linear maps R^d -> R^n, rebuilt from a seed and never stored."""

from __future__ import annotations

from inspect import signature
from math import sqrt

from intrinsic.errors import SpecError, UnknownName
from intrinsic.plugins import Registry
from intrinsic.projections.base import DEFAULT_CACHE_BYTES, Projection, is_whole, whole
from intrinsic.projections.dense import DenseProjection
from intrinsic.projections.fastfood import FastfoodProjection
from intrinsic.projections.hashed import HashedProjection
from intrinsic.projections.kronecker import KroneckerProjection
from intrinsic.projections.sparse import SparseProjection

_OWN: dict[str, type[Projection]] = {
    "dense": DenseProjection,
    "sparse": SparseProjection,
    "fastfood": FastfoodProjection,
    "hashed": HashedProjection,
    "kronecker": KroneckerProjection,
}
PROJECTIONS: Registry[type[Projection]] = Registry(
    "projection", _OWN, lambda made: isinstance(made, type) and issubclass(made, Projection), "a Projection's class"
)
"""By name. Other packages add to it through the entry point group `intrinsic.projections`."""


def make_projection(
    name: str,
    subspace_dim: int,
    seed: int,
    *,
    full_dim: int | None = None,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    **options: float,
) -> Projection:
    """The projection called `name`.

    full_dim, D, sets what the published form derives from it: `sparse`'s density 1/sqrt(D).

    Raises UnknownName for a name not in PROJECTIONS or an option it does not have, SpecError for a setting out of
    range.
    """
    if name not in PROJECTIONS:
        raise UnknownName("projection", name, PROJECTIONS)
    full_dim = whole(full_dim)
    if full_dim is not None and (not is_whole(full_dim) or full_dim < 1):
        raise SpecError(f"full_dim must be the number of parameters that are projected, at least 1, got {full_dim!r}")
    if name == "sparse" and "density" not in options:
        options = {"density": 1 / sqrt(full_dim or subspace_dim)}
    taken = signature(PROJECTIONS[name]).parameters
    known = sorted(taken.keys() - {"subspace_dim", "seed", "cache_bytes"})
    unknown = sorted(options.keys() - taken.keys())
    if unknown and all(parameter.kind is not parameter.VAR_KEYWORD for parameter in taken.values()):
        raise UnknownName(f"option of the projection {name}", unknown[0], known)
    return PROJECTIONS[name](subspace_dim, seed, cache_bytes=cache_bytes, **options)


__all__ = ["DEFAULT_CACHE_BYTES", "PROJECTIONS", "Projection", "make_projection"]

"""Random linear maps R^d -> R^n, rebuilt from a seed and never stored."""

from __future__ import annotations

from inspect import signature

from intrinsic.errors import SpecError, UnknownName
from intrinsic.plugins import Registry, named, printed
from intrinsic.projections.base import DEFAULT_CACHE_BYTES, Projection, checked_dim, is_whole, whole
from intrinsic.spec import PROJECTION_NAMES


def _complaint(name: str, made: object) -> str | None:
    if not isinstance(made, type) or not issubclass(made, Projection):
        return f"must be a Projection's class, got {printed(made)}"
    lacking = sorted(made.__abstractmethods__)
    return f"lacks the method {lacking[0]!r}" if lacking else None


PROJECTIONS: Registry[type[Projection]] = Registry(
    "projection", {name: named(info.home, __name__) for name, info in PROJECTION_NAMES.items()}, _complaint
)
"""Classes of projections by name: those of spec.PROJECTION_NAMES, and what other packages add through the entry point
group `intrinsic.projections`."""


def projection_named(name: str) -> type[Projection]:
    """The projection's class. Raises UnknownName, and SpecError for another package's projection that is unusable."""
    if name not in PROJECTIONS:
        raise UnknownName("projection", name, PROJECTIONS)
    return PROJECTIONS[name]


def make_projection(
    name: str,
    dim: int,
    seed: int,
    *,
    full_dim: int | None = None,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    **options: float,
) -> Projection:
    """The projection called `name` from R^dim.

    full_dim, D, sets what the published form derives from it, such as the density 1/sqrt(D) of `sparse`: see
    :meth:`Projection.defaults`.

    Raises UnknownName for a name not in PROJECTIONS or an option it does not have, SpecError for a setting out of
    range and for another package's projection that cannot be used.
    """
    kind = projection_named(name)
    dim, full_dim = checked_dim(dim), whole(full_dim)
    if full_dim is not None and (not is_whole(full_dim) or full_dim < 1):
        raise SpecError(f"full_dim must be the number of parameters that are projected, at least 1, got {full_dim!r}")
    options = {**kind.defaults(full_dim, dim), **options}
    taken = signature(kind).parameters
    known = sorted(taken.keys() - {"dim", "seed", "cache_bytes"})
    unknown = sorted(options.keys() - taken.keys())
    if unknown and all(parameter.kind is not parameter.VAR_KEYWORD for parameter in taken.values()):
        raise UnknownName(f"option of the projection {name}", unknown[0], known)
    return kind(dim, seed, cache_bytes=cache_bytes, **options)


__all__ = ["DEFAULT_CACHE_BYTES", "PROJECTIONS", "Projection", "make_projection", "projection_named"]

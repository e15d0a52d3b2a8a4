"""The dimensions that may be tried: a geometric grid."""

from __future__ import annotations

import math

from intrinsic.errors import SpecError
from intrinsic.spec import SearchSpec


def dimensions(spec: SearchSpec) -> tuple[int, ...]:
    """Dimensions that a search may ask about, ascending.

    The spec's own `grid` when it is given; else low * resolution^k, rounded to whole numbers, ending with
    high (whose last step may therefore be shorter). Where rounding merges neighbours, one of them stays.
    The grid starts from `low` alone, so that trials stay usable when `high` is raised.

    Raises SpecError for a grid of one dimension.
    """
    if len(set(spec.grid)) == 1:
        raise SpecError(f"a grid needs two dimensions or more, got {spec.grid}: add one, or leave the grid empty")
    if spec.grid:
        return tuple(sorted(set(spec.grid)))
    # The small slack keeps a last step out that floating point alone would add just below `high`.
    steps = math.ceil(math.log(spec.high / spec.low) / math.log(spec.resolution) - 1e-9)
    inner = {round(spec.low * spec.resolution**k) for k in range(steps)}
    return tuple(sorted({d for d in inner if d < spec.high} | {spec.high}))

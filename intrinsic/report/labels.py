"""Where words go in a figure so that they cover neither marks nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points."""


@dataclass(frozen=True)
class Spot:
    """A place beside a mark: shifts are in points from the mark to the nearest corner of the words."""

    ha: str
    va: str
    dx: float
    dy: float

    def box(self, x: float, y: float, width: float, height: float) -> Box:
        """The rectangle that words of this size cover beside a mark at (x, y)."""
        x0 = x + self.dx - (width if self.ha == "right" else 0)
        y0 = y + self.dy - (height if self.va == "top" else 0)
        return x0, y0, x0 + width, y0 + height


SPOTS = tuple(
    Spot(ha, va, side * dx, rise * dy)
    for dx in (7.0, 40.0, 80.0, 130.0)
    for dy in (7.0, 22.0, 40.0)
    for ha, side in (("left", 1), ("right", -1))
    for va, rise in (("top", -1), ("bottom", 1))
)
MARGIN = 3.0
"""Points: half a mark."""
PATIENCE = 25.0
"""Points of distance from the mark that weigh as much as one point covered."""


def best_spot(
    mark: tuple[float, float], size: tuple[float, float], room: Box, taken: Sequence[tuple[float, float]]
) -> Spot:
    """The spot inside `room` that covers the fewest of the points `taken` and lies near the mark."""

    def cost(spot: Spot) -> tuple[float, float]:
        x0, y0, x1, y1 = spot.box(*mark, *size)
        outside = max(room[0] - x0, 0) + max(room[1] - y0, 0) + max(x1 - room[2], 0) + max(y1 - room[3], 0)
        covered = sum(x0 - MARGIN <= x <= x1 + MARGIN and y0 - MARGIN <= y <= y1 + MARGIN for x, y in taken)
        return outside, covered + (abs(spot.dx) + abs(spot.dy)) / PATIENCE

    return min(SPOTS, key=cost)


def spread(wanted: Sequence[float], gap: float, height: float) -> list[float]:
    """Positions at least `gap` apart, inside [0, height] where they fit, as near to the wanted ones as may be.

    Least squares under the order of the wanted ones (pool adjacent violators): neighbours that touch form a
    block that sits at its mean.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, int]] = []  # (sum of wanted less the room of those below, members)
    for rank, i in enumerate(order):
        total, members = wanted[i] - rank * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / members:
            below, count = blocks.pop()
            total, members = total + below, members + count
        blocks.append((total, members))
    levels = [total / members for total, members in blocks for _ in range(members)]
    top = max(height - (len(wanted) - 1) * gap, 0.0)
    placed = [0.0] * len(wanted)
    for rank, i in enumerate(order):
        placed[i] = min(max(levels[rank], 0.0), top) + rank * gap
    return placed

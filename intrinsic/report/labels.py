"""Where words go in a figure so that they cover neither marks nor each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points."""


MARGIN = 4.0
"""Points that words keep away from marks and from the edge of their room."""
PATIENCE = 10.0
"""Points of distance from the mark that weigh as much as one point covered."""
STEPS = 24
"""Places tried along each side of the room, less one."""


Place = tuple[float, float]
"""x, y in points."""


def covered(place: Place, size: Place, taken: Sequence[Place], margin: float = MARGIN) -> int:
    """How many of the points lie in the box with this lower left corner, or within `margin` of it."""
    x0, y0, x1, y1 = place[0] - margin, place[1] - margin, place[0] + size[0] + margin, place[1] + size[1] + margin
    return sum(x0 <= x <= x1 and y0 <= y <= y1 for x, y in taken)


def best_place(mark: Place, size: Place, room: Box, taken: Sequence[Place], margin: float = MARGIN) -> Place:
    """Lower left corner of a box in `room` that covers the fewest of the points `taken` and lies near the mark.

    size: width and height of the box. One larger than the room starts at the room's lower left.
    """

    places = [(x, y) for x in _starts(room[0], room[2] - size[0]) for y in _starts(room[1], room[3] - size[1])]
    corners = np.array(places)[:, None]
    points = np.array(taken, dtype=float).reshape(-1, 2)
    inside = (corners - margin <= points) & (points <= corners + size + margin)
    away = np.maximum(np.maximum(corners - mark, mark - (corners + size)), 0.0).sum(axis=(1, 2))
    return places[int(np.argmin(inside.all(axis=2).sum(axis=1) + away / PATIENCE))]


def _starts(low: float, high: float) -> list[float]:
    low, high = low + MARGIN, max(high - MARGIN, low + MARGIN)
    return [low + (high - low) * k / STEPS for k in range(STEPS + 1)]


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

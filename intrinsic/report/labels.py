"""Places of words in a figure, at which they cover neither marks nor each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
"""A rectangle on the page: x0, y0, x1, y1 in points."""
MARGIN = 4.0
"""Distance of words from marks and from the edge of their room, in points."""
PATIENCE = 10.0
"""Distance from the mark, in points, that weighs as much as one covered point of `taken`."""
STEPS = 24
"""Number of places that are tried along each side of the room, less one."""
Place = tuple[float, float]
"""A place on the page, or a width and height: x, y in points."""


@dataclass(frozen=True)
class Page:
    """Map from the data of some axes to the page, in points; to be made again when the axes' limits change."""

    axes: Axes
    scale: float
    """Points a pixel."""
    room: Box
    """The axes' own rectangle."""

    def at(self, place: Place) -> Place:
        """The place of a pair of data coordinates."""
        return self.all_at([place])[0]

    def all_at(self, places: Sequence[Place]) -> list[Place]:
        """The place of each pair of data coordinates."""
        return [(float(x) * self.scale, float(y) * self.scale) for x, y in self.axes.transData.transform(places)]


def page_of(axes: Axes) -> Page:
    """The page under these axes."""
    scale = 72 / axes.figure.dpi
    left, foot, right, top = (float(edge) * scale for edge in axes.get_window_extent().extents)
    return Page(axes, scale, (left, foot, right, top))


def joined(spots: Sequence[Place]) -> list[Place]:
    """The spots and points along the lines from each to the next, two points of length apart or closer."""
    found = list(spots)
    for (x0, y0), (x1, y1) in pairwise(spots):
        parts = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0) / 2))
        found += [(x0 + (x1 - x0) * k / parts, y0 + (y1 - y0) * k / parts) for k in range(1, parts)]
    return found


def covered(place: Place, size: Place, taken: Sequence[Place], margin: float = MARGIN) -> int:
    """The number of points of `taken` in the box with lower left corner `place`, or within `margin` of it."""
    x0, y0, x1, y1 = place[0] - margin, place[1] - margin, place[0] + size[0] + margin, place[1] + size[1] + margin
    return sum(x0 <= x <= x1 and y0 <= y <= y1 for x, y in taken)


def best_place(mark: Place, size: Place, room: Box, taken: Sequence[Place], margin: float = MARGIN) -> Place:
    """The lower left corner of a box in `room` that covers the fewest of the points `taken` and lies near the mark.

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

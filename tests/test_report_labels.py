"""Placing words: nothing overlaps, nothing leaves the room."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intrinsic.report.labels import SPOTS, best_spot, spread

HEIGHT, GAP = 200.0, 10.0
heights = st.lists(st.floats(-20, 220), min_size=1, max_size=8)


@given(heights)
def test_spread_keeps_the_gap_the_order_and_the_room(wanted):
    placed = spread(wanted, GAP, HEIGHT)
    ranked = sorted(placed)
    assert all(b - a >= GAP - 1e-9 for a, b in itertools.pairwise(ranked))
    assert ranked[0] >= -1e-9
    assert ranked[-1] <= HEIGHT + 1e-9
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    assert [placed[i] for i in order] == ranked


@given(st.lists(st.floats(20, 180), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_spread_is_the_nearest_allowed_placement(wanted, rng):
    """No random allowed placement in the same order is nearer in squares."""
    placed = spread(wanted, GAP, HEIGHT)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])

    def cost(values):
        return sum((a - b) ** 2 for a, b in zip(values, wanted, strict=True))

    for _ in range(50):
        at = rng.uniform(0, 60)
        other = [0.0] * len(wanted)
        for i in order:
            other[i] = at
            at += GAP + rng.uniform(0, 30)
        assert cost(placed) <= cost(other) + 1e-6


def test_spread_leaves_labels_alone_that_do_not_touch():
    assert spread([150.0, 20.0, 80.0], GAP, HEIGHT) == pytest.approx([150, 20, 80])


def test_best_spot_avoids_what_is_taken_and_stays_inside():
    room, size, mark = (0.0, 0.0, 300.0, 200.0), (60.0, 20.0), (290.0, 100.0)
    free = best_spot(mark, size, room, [])
    assert free.ha == "right"
    x0, y0, x1, y1 = free.box(*mark, *size)
    crowd = [(x, y) for x in range(int(x0), int(x1), 5) for y in range(int(y0), int(y1), 4)]
    other = best_spot(mark, size, room, crowd)
    a0, b0, a1, b1 = other.box(*mark, *size)
    assert a1 <= x0 or b1 <= y0 or b0 >= y1
    assert 0 <= a0 <= a1 <= 300
    assert 0 <= b0 <= b1 <= 200


def test_every_spot_clears_its_mark():
    for spot in SPOTS:
        x0, y0, x1, y1 = spot.box(50, 50, 30, 10)
        assert not (x0 <= 50 <= x1 and y0 <= 50 <= y1), spot

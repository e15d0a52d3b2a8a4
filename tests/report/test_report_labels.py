"""Placing words: nothing overlaps, nothing leaves the room."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intrinsic.report.labels import MARGIN, best_place, spread

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


ROOM, SIZE, MARK = (0.0, 0.0, 300.0, 200.0), (60.0, 20.0), (290.0, 100.0)


def box(place):
    return place[0], place[1], place[0] + SIZE[0], place[1] + SIZE[1]


def test_the_best_place_lies_inside_and_near_the_mark():
    x0, y0, x1, y1 = box(best_place(MARK, SIZE, ROOM, []))
    assert x0 > 0
    assert x1 < 300
    assert x0 - 12 <= MARK[0] <= x1 + 12
    assert y0 - 12 <= MARK[1] <= y1 + 12


def test_the_best_place_avoids_what_is_taken():
    x0, y0, x1, y1 = box(best_place(MARK, SIZE, ROOM, []))
    crowd = [(x, y) for x in range(int(x0), int(x1), 5) for y in range(int(y0), int(y1), 4)]
    a0, b0, a1, b1 = box(best_place(MARK, SIZE, ROOM, crowd))
    assert a1 <= x0 or a0 >= x1 or b1 <= y0 or b0 >= y1
    everything_but_a_gap = [(x, y) for x in range(0, 301, 5) for y in range(0, 201, 5) if not (x < 90 and y > 160)]
    x0, y0, x1, y1 = box(best_place(MARK, SIZE, ROOM, everything_but_a_gap))
    assert x1 < 90
    assert y0 > 160


def test_a_box_larger_than_its_room_starts_at_its_corner():
    assert best_place((5, 5), (500, 20), (0, 0, 100, 200), [])[0] == MARGIN

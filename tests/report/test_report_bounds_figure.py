"""The figure of bounds: its lines are the rows, nothing is hidden, and names do not touch."""

from __future__ import annotations

import itertools

import pytest
from test_report_bounds import everything, material, run

from intrinsic.report.bounds.figure import LEAST_SHOWN, curves, draw
from intrinsic.report.bounds.price import WIDTHS
from intrinsic.report.bounds.rows import THEOREM1, TRAINING, rows_of
from intrinsic.report.style import style


def drawn(there):
    with style():
        figure = draw(there, rows_of(there))
        figure.canvas.draw()
    return figure, figure.axes[0]


def test_the_lines_are_the_rows():
    there = everything()
    rows = rows_of(there)
    _, axes = drawn(there)
    lines = [tuple(map(tuple, line.get_xydata().tolist())) for line in axes.lines]
    for width in WIDTHS:
        mine = tuple((float(r.d), r.value) for r in rows if (r.name, r.width, r.kind) == (THEOREM1, width, "bound"))
        assert mine in lines
    assert ((300.0, 0.31),) in lines  # the certificate's star


def test_every_point_lies_inside_the_axes_and_the_vacuous_region_is_shown():
    for there in (everything(), material()):
        _, axes = drawn(there)
        (left, right), (foot, top) = axes.get_xlim(), axes.get_ylim()
        for line in axes.lines:
            for x, y in line.get_xydata():
                assert left <= x <= right or x in (0.0, 1.0)
                assert foot <= y <= top
        assert top > 1
        assert any(text.get_text() == "vacuous" for text in axes.texts)


def test_names_do_not_touch_and_stay_on_the_page():
    for there in (everything(), material()):
        figure, axes = drawn(there)
        names = {curve.label for curve in curves(rows_of(there), 0.5) if curve.label}
        boxes = [t.get_window_extent() for t in axes.texts if t.get_text() in names]
        assert len(boxes) == len(names)
        boxes.sort(key=lambda box: box.y0)
        assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
        assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_floors_look_different_from_bounds():
    floors = [c for c in curves(rows_of(material()), None) if c.label.startswith("Theorem 1 ≥")]
    assert len(floors) == len(WIDTHS)
    assert all(curve.look["markerfacecolor"] == "white" for curve in floors)
    assert not any(c.label.startswith("Theorem 1 ≥") for c in curves(rows_of(everything()), None))


@pytest.mark.parametrize("errors", [0, 6000])
def test_one_dimension_and_no_error_or_nothing_else_can_be_drawn(errors):
    result = run()
    one = run(trials=tuple(t for t in result.result.trials if t.d in (None, 256)))
    there = material(one, dict.fromkeys(WIDTHS, errors))
    _, axes = drawn(there)
    training = next(c for c in curves(rows_of(there), None) if c.label == TRAINING)
    assert training.points == ((256, errors / 6000 or LEAST_SHOWN),)
    assert axes.get_xlim()[0] < 256 < axes.get_xlim()[1]

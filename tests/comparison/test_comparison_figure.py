"""The Pareto figure: what stands in it, and that no word covers another."""

from __future__ import annotations

import itertools

import pytest
import scipy.stats
from comparisons import compared

from intrinsic.records import CompareResult
from intrinsic.report.comparison.pareto import SIZE_LABEL, draw
from intrinsic.report.style import style

NAMED = {"full", "lora", "said", "did", "probe"}


def test_names_in_the_figure_do_not_overlap(tmp_path):
    with style():
        figure = draw(compared("lora:r=1,8:lr=1e-3,said:d=100,1000,did:d=100,1000,probe:lr=4e-3", tmp_path))
        figure.canvas.draw()
        named = [text for text in figure.axes[0].texts if text.get_text().split(" (")[0] in NAMED]
        boxes = [text.get_window_extent() for text in named]
    assert len(boxes) == len(NAMED)
    keys = [line for line in figure.axes[0].lines if line.get_transform() == figure.axes[0].transAxes]
    assert len({(line.get_color(), line.get_marker()) for line in keys}) == len(NAMED) - 1, "a mark beside each name"
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_bars_come_from_the_pooled_spread(tmp_path):
    from intrinsic.report.comparison.pareto import Marks

    result = compared("lora:r=1,8:lr=1e-3,said:d=100", tmp_path)
    marks = Marks(result)
    rows = [row for row in result.result.rows if row.std is not None]
    deviations = [score - row.mean for row in rows for score in row.scores]
    freedom = len(deviations) - len(rows)
    pooled = (sum(x * x for x in deviations) / freedom) ** 0.5
    assert marks.spread == (pytest.approx(pooled), freedom)
    half = scipy.stats.t.interval(0.95, freedom, scale=pooled / len(rows[0].scores) ** 0.5)[1]
    assert marks.half(rows[0]) == pytest.approx(half)
    assert "full" not in marks.groups


@pytest.mark.parametrize("sizes", [(1, 1), (204, 460), (307, 384), (64, 640), (1, 100), (3, 1000), (1, 100_000)])
def test_parameters_can_be_read_from_the_axis(sizes, tmp_path):
    with style():
        figure = draw(compared(f"lora:r={','.join(map(str, sorted(set(sizes))))}:lr=1e-3", tmp_path))
        figure.canvas.draw()
        axes = figure.axes[0]
        low, high = axes.get_xlim()
        told = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        boxes = [tick.label1.get_window_extent() for tick in told]
    assert len(told) >= 2
    assert all(tick.label1.get_text() for tick in told)
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_names_are_short_where_they_tell_methods_apart(tmp_path):
    from intrinsic.report.comparison.pareto import Marks

    result = compared("lora:alpha=4:lr=1e-3,lora:alpha=8:lr=1e-3,said:d=100", tmp_path)
    assert set(Marks(result).groups) == {"lora:alpha=4", "lora:alpha=8", "said"}
    result = compared("lora:alpha=4:lr=1e-3", tmp_path)
    assert set(Marks(result).groups) == {"lora"}


def sizes_and_bars(result: CompareResult):
    """The sizes' texts and boxes, and the bars as boxes of no width, in pixels."""
    with style():
        figure = draw(result)
        figure.canvas.draw()
        axes = figure.axes[0]
        texts = [text for text in axes.texts if text.get_gid() == SIZE_LABEL]
        boxes = [text.get_window_extent() for text in texts]
        segments = [path.vertices for held in axes.containers for bars in held[2] for path in bars.get_paths()]
        bars = [axes.transData.transform(ends) for ends in segments]
    return [text.get_text() for text in texts], boxes, bars


def crosses(box, bar) -> bool:
    (x, low), (_, high) = sorted(map(tuple, bar), key=lambda end: end[1])
    return bool(box.x0 < x < box.x1 and low < box.y1 and high > box.y0)


def test_sizes_stand_clear_of_bars_and_of_each_other(tmp_path):
    result = compared("lora:r=1,8:lr=1e-3,said:d=100,1000,did:d=101,1001,vera:r=1,9:lr=1e-3", tmp_path)
    texts, boxes, bars = sizes_and_bars(result)
    assert {"100", "1001"} <= set(texts) <= {"1", "8", "9", "100", "1000", "101", "1001"}
    assert len(bars) == 8
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert not any(crosses(box, bar) for box in boxes for bar in bars)


def test_a_size_without_room_is_left_out(tmp_path):
    """Twenty methods at one place leave room for few sizes: fewer are shown, and none is covered."""
    result = compared("lora:r=1,8:lr=1e-3", tmp_path)
    outcome, lora = result.result, result.run.spec.contenders[1]
    copies = [lora.model_copy(update={"label": f"lora{i}"}) for i in range(20)]
    rows = [row.model_copy(update={"label": copy.label}) for copy in copies for row in outcome.rows[1:]]
    crowd = result.model_copy(
        update={
            "run": result.run.model_copy(update={"spec": result.run.spec.model_copy(update={"contenders": copies})}),
            "result": outcome.model_copy(update={"rows": (outcome.rows[0], *rows)}),
        }
    )
    texts, boxes, bars = sizes_and_bars(crowd)
    assert 2 <= len(texts) < 40
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert not any(crosses(box, bar) for box in boxes for bar in bars)


def level_names(result: CompareResult, **changes: float):
    """The words `target` and `chance` with their boxes, in pixels; and the heights of their lines."""
    outcome = result.result.model_copy(update=changes)
    with style():
        figure = draw(result.model_copy(update={"result": outcome}))
        figure.canvas.draw()
        axes = figure.axes[0]
        named = {text.get_text(): text for text in axes.texts if text.get_text() in ("target", "chance")}
        heights = {name: axes.transData.transform((1, getattr(outcome, name)))[1] for name in named}
    return named, {name: text.get_bbox_patch().get_window_extent() for name, text in named.items()}, heights


@pytest.mark.parametrize("apart", [0.0, 0.004, 0.02, 0.3])
def test_the_levels_names_can_be_read_however_close_their_lines_are(apart, tmp_path):
    """The target below full fine-tuning's line and chance below the target, by this share of the scores' range."""
    result = compared("lora:r=1,8:lr=1e-3,said:d=100", tmp_path)
    means = [row.mean for row in result.result.rows]
    step = apart * (max(means) - min(means))
    named, boxes, heights = level_names(result, target=means[0] - step, chance=means[0] - 2 * step)
    assert not boxes["target"].overlaps(boxes["chance"])
    for name, text in named.items():
        assert boxes[name].y0 < heights[name] < boxes[name].y1  # in its own line
        assert text.get_bbox_patch().get_facecolor() == (1, 1, 1, 1)  # over every line: lines have zorder 1
        assert text.get_zorder() > 1


def test_one_seed_each_is_said_where_intervals_would_be(tmp_path):
    result = compared("lora:r=1,8:lr=1e-3", tmp_path)
    rows = [
        row.model_copy(update={"scores": row.scores[:1], "seeds": row.seeds[:1], "std": None})
        for row in result.result.rows
    ]
    with style():
        alone = draw(result.model_copy(update={"result": result.result.model_copy(update={"rows": tuple(rows)})}))
        figure = draw(result)
    assert [text.get_text() for text in alone.texts][1].startswith("one seed each, so no intervals")
    assert [text.get_text() for text in figure.texts][1].startswith("bars: 95 % interval")

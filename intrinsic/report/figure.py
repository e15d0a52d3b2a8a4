"""The figure: score against the subspace dimension, with everything the claim d90 rests on.

Drawn with matplotlib's object interface (no pyplot, no global state) at the width of a column. The same record gives
the same bytes: no date or version is written into a file, and fonts are embedded as TrueType. What is drawn is worked
out once, in :class:`intrinsic.report.shown.CurveMarks`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from intrinsic.records import FitPoint, MeasureResult
from intrinsic.report import words
from intrinsic.report.labels import best_place, page_of
from intrinsic.report.levels import draw_levels
from intrinsic.report.shown import CurveMarks, Mark, tick_labels
from intrinsic.report.style import BLUE, GREY, INK, ORANGE, PURPLE, RED, SIZE, SMALL, WORDS, saved, style

Array = npt.NDArray[np.float64]

AXES = (0.135, 0.135, 0.585, 0.655)
"""Place of the axes: left, foot, width and height as shares of the page. The levels' names stand to their right."""
LOOKS: dict[Mark, dict[str, Any]] = {
    "in use": {"marker": "o", "facecolors": BLUE, "edgecolors": "white", "linewidths": 0.4, "s": 16, "zorder": 3},
    "lower": {"marker": "v", "facecolors": ORANGE, "edgecolors": "white", "linewidths": 0.4, "s": 18, "zorder": 3},
    "higher": {"marker": "^", "facecolors": PURPLE, "edgecolors": "white", "linewidths": 0.4, "s": 18, "zorder": 3},
    "pilot": {"marker": "s", "facecolors": "none", "edgecolors": GREY, "linewidths": 0.8, "s": 13, "zorder": 2.8},
}
"""Keyword arguments of `Axes.scatter` for each kind of mark."""
NO_SCORE: dict[str, Any] = {"marker": "x", "color": RED, "linewidths": 0.9, "s": 13, "zorder": 3}
BAND: dict[str, Any] = {"color": BLUE, "alpha": 0.16, "linewidth": 0}
CURVE: dict[str, Any] = {"color": BLUE, "linewidth": 1.1}


def render(result: MeasureResult) -> dict[str, bytes]:
    """The figure as two files: {"curve.png": ..., "curve.pdf": ...}."""
    with style():
        return saved(draw(result), "curve")


def draw(result: MeasureResult) -> Figure:
    """The figure as a matplotlib object; draw and save it inside `style()`."""
    marks, figure = CurveMarks(result), Figure(figsize=SIZE)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(AXES)
    _frame(axes, marks)
    _ticks(axes, marks)
    _fit(axes, marks)
    _trials(axes, marks)
    draw_levels(axes, marks.levels, marks.baseline_band)
    _dimension(axes, marks)
    _legend(axes, marks)
    _title(axes, marks)
    return figure


def _frame(axes: Axes, marks: CurveMarks) -> None:
    """Axes and limits: x holds every dimension tried and the interval, y every score."""
    low, high = marks.span
    pad = max((high / low) ** 0.05, 1.06)
    axes.set_xscale("log")
    axes.set_xlim(low / pad, high * pad)
    axes.set_ylim(*marks.limits)
    axes.set_xlabel("subspace dimension d", color=INK, labelpad=2)
    axes.set_ylabel(words.metric(marks.outcome.metric, marks.outcome.higher_is_better), color=INK, labelpad=2)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)


def _ticks(axes: Axes, marks: CurveMarks) -> None:
    """Ticks of x at the dimensions tried, labelled as far as there is room; of y within the metric's range."""
    page = page_of(axes)
    labelled = tick_labels(
        marks.dims,
        marks.outcome.d90,
        at=lambda d: page.at((d, 1.0))[0],
        width=lambda d: SMALL * (0.64 * len(str(d)) + 0.45),  # a digit of DejaVu Sans is 0.64 em wide
    )
    axes.xaxis.set_major_locator(FixedLocator(labelled))
    axes.xaxis.set_minor_locator(FixedLocator([d for d in marks.dims if d not in labelled]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    (low, high), (foot, top) = marks.score_range, axes.get_ylim()
    ticks = MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(foot, top)
    axes.set_yticks([y for y in ticks if max(foot, low) <= y <= min(top, high)])


def _fit(axes: Axes, marks: CurveMarks) -> None:
    """The fitted curve and its band."""
    x = [p.d for p in marks.fit]
    axes.fill_between(x, [p.low for p in marks.fit], [p.high for p in marks.fit], **BAND)
    axes.plot(x, [p.mean for p in marks.fit], **CURVE)


def _trials(axes: Axes, marks: CurveMarks) -> None:
    """Every trial in a subspace: its shape tells its kind; a cross at the foot is one without a score."""
    for kind, look in LOOKS.items():
        some = [(d, t.score, t.learning_rate) for d, t in marks.by_kind.get(kind, ())]
        if some:
            dims, scores, rates = zip(*some, strict=True)
            axes.scatter(dims, scores, label=_mark_label(marks, kind, sorted(set(rates))), **look)
    lost = marks.without_score
    if lost:
        axes.scatter(lost, [0.03] * len(lost), label="no score", transform=axes.get_xaxis_transform(), **NO_SCORE)


def _mark_label(marks: CurveMarks, kind: Mark, rates: list[float]) -> str:
    """A kind's name in the legend, with its learning rates: the one in use need not be the pilots' choice."""
    if kind == "pilot":
        return "pilot"
    if kind != "in use":
        return f"{kind} rate {words.rate(rates[0])}" if len(rates) == 1 else f"{kind} rates {_rates_between(rates)}"
    chosen = marks.outcome.subspace_learning_rate
    switched = "" if chosen is None or chosen in rates else f", was {words.rate(chosen)}"
    return f"rate {words.rate(rates[0])}{switched}"


def _rates_between(rates: list[float]) -> str:
    return f"{words.rate(rates[0])}{', ' if len(rates) == 2 else words.DASH}{words.rate(rates[-1])}"


def _dimension(axes: Axes, marks: CurveMarks) -> None:
    """d90 as a diamond on the axis with its interval as a bar on the target, or the words why there is none."""
    outcome, lowest = marks.outcome, marks.spec.search.low
    if outcome.target is None:
        axes.text(0.5, 0.6, "no baseline, no target", transform=axes.transAxes, ha="center", color=INK)
        return
    if marks.has_interval:
        _interval_bar(axes, outcome.search.interval, outcome.target)
    if outcome.d90 is not None:
        d, foot = outcome.d90, axes.get_ylim()[0]
        axes.plot([d, d], [foot, outcome.target], color=INK, linewidth=0.6, linestyle=":", zorder=2)
        axes.plot([d], [foot], marker="D", color=INK, markersize=4, zorder=5, clip_on=False)
    _note(axes, marks, (outcome.d90 or outcome.search.interval[0] or lowest, outcome.target), _finding(marks))


def _interval_bar(axes: Axes, interval: tuple[float | None, float | None], target: float) -> None:
    """The interval as a bar. An end outside of the search's range is an arrow at the edge of the axes.

    It lies below the trials, so that it hides none.
    """
    left, right = axes.get_xlim()
    low, high = interval
    ends = (left if low is None else low, right if high is None else high)
    axes.plot(ends, [target] * 2, color=INK, linewidth=1.5, solid_capstyle="butt", zorder=2.5)
    for end, shape in ((ends[0], "<" if low is None else "|"), (ends[1], ">" if high is None else "|")):
        axes.plot([end], [target], marker=shape, color=INK, markersize=5, zorder=2.5, clip_on=False)


def _finding(marks: CurveMarks) -> str:
    """d90, its interval and its share of D, or why there is none."""
    outcome, search = marks.outcome, marks.outcome.search
    name = f"$d_{{{words.d_name(marks.spec).removeprefix('d')}}}$"
    if outcome.d90 is not None:
        sign = "≤" if search.status == "met-at-lowest" else "="
        share = "" if outcome.share is None else f"\n{words.percent(outcome.share)} of D"
        return f"{name} {sign} {outcome.d90}\n{words.interval(search)}{share}"
    if search.status != "never-met":
        return f"no dimension found:\n{search.status.replace('-', ' ')}"
    above = "" if search.interval[0] is None else f"\n{name} in {words.interval(search)}"
    return f"target not reached\nup to d = {max(marks.dims)}{above}"


def _note(axes: Axes, marks: CurveMarks, at: tuple[float, float], text: str) -> None:
    """Words beside a mark, where they cover the least."""
    note = axes.annotate(text, xy=at, textcoords="offset points", xytext=(0, 0), color=INK, linespacing=1.2, zorder=6)
    page = page_of(axes)
    corners = np.asarray(note.get_window_extent().extents) * page.scale
    size = (float(corners[2] - corners[0]), float(corners[3] - corners[1]))
    here = page.at(at)
    x, y = best_place(here, size, page.room, page.all_at(_inked(axes, marks)))
    note.set(va="bottom", position=(x - here[0], y - here[1]))


def _inked(axes: Axes, marks: CurveMarks) -> list[tuple[float, float]]:
    """Places a label should leave free, in data coordinates: trials (they weigh most), band, levels, d90's line."""
    d90, target = marks.outcome.d90, marks.outcome.target
    along, (foot, top) = np.geomspace(*axes.get_xlim(), 80), axes.get_ylim()
    seen = [p.model_copy(update={"low": max(p.low, foot), "high": min(p.high, top)}) for p in marks.fit]
    down = () if target is None or d90 is None else np.linspace(foot, target, 30)
    return [
        *((d, foot if t.score is None else t.score) for d, t in marks.trials for _ in range(10)),
        *(place for share in np.linspace(0, 1, 7) for place in _along_the_band(seen, along, share)),
        *((float(x), level.y) for x in along for level in marks.levels for _ in range(3)),
        *((float(d90 or 0), float(y)) for y in down for _ in range(6)),
    ]


def _along_the_band(fit: list[FitPoint], along: Array, share: float) -> list[tuple[float, float]]:
    """Places at this share of the way from the band's lower edge to its upper one."""
    if not fit:
        return []
    dims = [p.d for p in fit]
    inside = along[(along >= dims[0]) & (along <= dims[-1])]
    heights = np.interp(np.log(inside), np.log(dims), [p.low + share * (p.high - p.low) for p in fit])
    return list(zip(inside.tolist(), heights.tolist(), strict=True))


def _legend(axes: Axes, marks: CurveMarks) -> None:
    """The legend above the axes, in as many columns as fit the page."""
    drawn, names = axes.get_legend_handles_labels()
    handles: list[Any] = [*drawn]  # a tuple among them is drawn one over the other
    labels = [*names]
    if marks.fit:
        handles.insert(0, (Patch(**BAND), Line2D([], [], **CURVE)))
        labels.insert(0, f"fit, {100 * marks.outcome.search.confidence:g} % band")
    for columns in (3, 2, 1) if handles else ():
        legend = axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0.005, AXES[1] + AXES[3] + 0.012),  # clear of a tick's label at the top
            bbox_transform=axes.figure.transFigure,
            ncols=columns,
            frameon=False,
            borderaxespad=0.2,
            handletextpad=0.4,
            columnspacing=1.0,
            handlelength=1.2,
            labelcolor=GREY,
        )
        if legend.get_window_extent().x1 <= axes.figure.bbox.x1:
            return


def _title(axes: Axes, marks: CurveMarks) -> None:
    """Names of what was measured; names too long for the page lose their middle."""
    spec, page = marks.spec, axes.figure
    parts = [words.task(spec), words.model(spec), words.method(spec), spec.projection]
    title = page.text(0.02, 0.985, "", color=INK, fontsize=WORDS, va="top", parse_math=False)
    for longest in range(60, 5, -1):
        title.set_text(" · ".join(_shortened(part, longest) for part in parts))
        if title.get_window_extent().x1 <= 0.98 * page.bbox.x1:
            return


def _shortened(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    half = (longest - 1) // 2
    return f"{name[:half]}…{name[len(name) - half :]}"

"""The figure: score against the subspace dimension, with everything the claim d90 rests on.

Drawn with matplotlib's object interface (no pyplot, no global state) at the width of a column. Same record, same
bytes: no date or version is written into a file, and fonts are embedded as TrueType. What is shown is said in
`intrinsic.report.shown`.
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
from intrinsic.report.labels import best_place
from intrinsic.report.levels import draw_levels
from intrinsic.report.shown import (
    Mark,
    limits,
    mark,
    metric_range,
    rate_in_use,
    shown_fit,
    subspace_trials,
    tick_labels,
)
from intrinsic.report.style import BLUE, GREY, INK, ORANGE, PURPLE, RED, SIZE, SMALL, WORDS, saved, style

Array = npt.NDArray[np.float64]

AXES = (0.135, 0.135, 0.585, 0.655)
"""Left, foot, width and height, as shares of the page: what is left beside them holds the levels' names."""
MARKS: dict[Mark, dict[str, Any]] = {
    "in use": {"marker": "o", "facecolors": BLUE, "edgecolors": "white", "linewidths": 0.4, "s": 16, "zorder": 3},
    "lower": {"marker": "v", "facecolors": ORANGE, "edgecolors": "white", "linewidths": 0.4, "s": 18, "zorder": 3},
    "higher": {"marker": "^", "facecolors": PURPLE, "edgecolors": "white", "linewidths": 0.4, "s": 18, "zorder": 3},
    "pilot": {"marker": "s", "facecolors": "none", "edgecolors": GREY, "linewidths": 0.8, "s": 13, "zorder": 2.8},
}
LOST: dict[str, Any] = {"marker": "x", "color": RED, "linewidths": 0.9, "s": 13, "zorder": 3}
BAND: dict[str, Any] = {"color": BLUE, "alpha": 0.16, "linewidth": 0}
CURVE: dict[str, Any] = {"color": BLUE, "linewidth": 1.1}


def render(result: MeasureResult) -> dict[str, bytes]:
    """{"curve.png": ..., "curve.pdf": ...}: the same figure twice."""
    with style():
        return saved(draw(result), "curve")


def draw(result: MeasureResult) -> Figure:
    """The figure as a matplotlib object; draw and save it inside `style()`."""
    figure = Figure(figsize=SIZE)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(AXES)
    _frame(axes, result)
    _ticks(axes, result)
    _fit(axes, result)
    _trials(axes, result)
    draw_levels(axes, result.result)
    _dimension(axes, result)
    _legend(axes, result)
    _title(axes, result)
    return figure


def _frame(axes: Axes, result: MeasureResult) -> None:
    """Axes and limits: x spans every dimension tried and the interval, y every score."""
    spec, outcome = result.run.spec, result.result
    ends = [float(d) for d, _ in subspace_trials(outcome)] or [float(spec.search.low), float(spec.search.high)]
    ends += [end for end in outcome.search.interval if end is not None]
    pad = max((max(ends) / min(ends)) ** 0.05, 1.06)
    axes.set_xscale("log")
    axes.set_xlim(min(ends) / pad, max(ends) * pad)
    axes.set_ylim(*limits(outcome))
    axes.set_xlabel("subspace dimension d", color=INK, labelpad=2)
    axes.set_ylabel(outcome.metric.replace("_", " "), color=INK, labelpad=2)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)


def _ticks(axes: Axes, result: MeasureResult) -> None:
    """x: the dimensions tried, labelled as far as there is room; y: none outside of the metric's range."""
    search, (low, high) = result.run.spec.search, metric_range(result.result)
    tried = sorted({d for d, _ in subspace_trials(result.result)} or {search.low, search.high})
    labelled = tick_labels(
        tried,
        result.result.d90,
        at=lambda d: _points(axes, [(d, 1.0)])[0][0],
        width=lambda d: SMALL * (0.64 * len(str(d)) + 0.45),  # a digit of DejaVu Sans is 0.64 em wide
    )
    axes.xaxis.set_major_locator(FixedLocator(labelled))
    axes.xaxis.set_minor_locator(FixedLocator([d for d in tried if d not in labelled]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    foot, top = axes.get_ylim()
    ticks = MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(foot, top)
    axes.set_yticks([y for y in ticks if max(foot, low) <= y <= min(top, high)])


def _fit(axes: Axes, result: MeasureResult) -> None:
    """The fitted curve and its band."""
    fit = shown_fit(result)
    x = [p.d for p in fit]
    axes.fill_between(x, [p.low for p in fit], [p.high for p in fit], **BAND)
    axes.plot(x, [p.mean for p in fit], **CURVE)


def _trials(axes: Axes, result: MeasureResult) -> None:
    """Every trial in a subspace: its shape tells what it was for, a cross at the foot one without a score."""
    trials, rate = subspace_trials(result.result), rate_in_use(result)
    for kind, look in MARKS.items():
        some = [(d, t.score, t.learning_rate) for d, t in trials if t.score is not None and mark(t, rate) == kind]
        if some:
            dims, scores, rates = zip(*some, strict=True)
            axes.scatter(dims, scores, label=_mark_label(result, kind, sorted(set(rates))), **look)
    lost = sorted({d for d, t in trials if t.score is None})
    if lost:
        axes.scatter(lost, [0.03] * len(lost), label="no score", transform=axes.get_xaxis_transform(), **LOST)


def _mark_label(result: MeasureResult, kind: Mark, rates: list[float]) -> str:
    """Rates by their numbers: the one in use need not be the one that the pilots chose."""
    if kind == "pilot":
        return "pilot"
    if kind != "in use":
        return f"{kind} rate {words.rate(rates[0])}" if len(rates) == 1 else f"{kind} rates {_span(rates)}"
    chosen = result.result.subspace_learning_rate
    switched = "" if chosen is None or chosen in rates else f", was {words.rate(chosen)}"
    return f"rate {words.rate(rates[0])}{switched}"


def _span(rates: list[float]) -> str:
    return f"{words.rate(rates[0])}{', ' if len(rates) == 2 else words.DASH}{words.rate(rates[-1])}"


def _dimension(axes: Axes, result: MeasureResult) -> None:
    """d90 as a diamond on the axis with its interval as a bar on the target, or the words why there is none."""
    outcome, lowest = result.result, result.run.spec.search.low
    if outcome.target is None:
        axes.text(0.5, 0.6, "no baseline, no target", transform=axes.transAxes, ha="center", color=INK)
        return
    if outcome.d90 is not None or outcome.search.interval != (None, None):
        _interval_bar(axes, outcome.search.interval, outcome.target)
    if outcome.d90 is not None:
        d, foot = outcome.d90, axes.get_ylim()[0]
        axes.plot([d, d], [foot, outcome.target], color=INK, linewidth=0.6, linestyle=":", zorder=2)
        axes.plot([d], [foot], marker="D", color=INK, markersize=4, zorder=5, clip_on=False)
    _note(axes, result, (outcome.d90 or outcome.search.interval[0] or lowest, outcome.target), _finding(result))


def _interval_bar(axes: Axes, interval: tuple[float | None, float | None], target: float) -> None:
    """An end that lies outside the bracket is an arrow at the edge of the axes. Below the trials: it hides none."""
    left, right = axes.get_xlim()
    low, high = interval
    ends = (left if low is None else low, right if high is None else high)
    axes.plot(ends, [target] * 2, color=INK, linewidth=1.5, solid_capstyle="butt", zorder=2.5)
    for end, shape in ((ends[0], "<" if low is None else "|"), (ends[1], ">" if high is None else "|")):
        axes.plot([end], [target], marker=shape, color=INK, markersize=5, zorder=2.5, clip_on=False)


def _finding(result: MeasureResult) -> str:
    """d90, its interval and its share of D, or why there is none."""
    outcome, search = result.result, result.result.search
    name = f"$d_{{{words.d_name(result.run.spec).removeprefix('d')}}}$"
    if outcome.d90 is not None:
        sign = "≤" if search.status == "met-at-lowest" else "="
        share = "" if outcome.share is None else f"\n{words.percent(outcome.share)} of D"
        return f"{name} {sign} {outcome.d90}\n{words.interval(search)}{share}"
    if search.status != "never-met":
        return f"no dimension found:\n{search.status.replace('-', ' ')}"
    tried = max((d for d, _ in subspace_trials(outcome)), default=result.run.spec.search.high)
    above = "" if search.interval[0] is None else f"\n{name} in {words.interval(search)}"
    return f"target not reached\nup to d = {tried}{above}"


def _note(axes: Axes, result: MeasureResult, at: tuple[float, float], text: str) -> None:
    """Words beside a mark, where they cover the least."""
    note = axes.annotate(text, xy=at, textcoords="offset points", xytext=(0, 0), color=INK, linespacing=1.2, zorder=6)
    scale = 72 / axes.figure.dpi
    corners = np.asarray(note.get_window_extent().extents) * scale
    size = (float(corners[2] - corners[0]), float(corners[3] - corners[1]))
    left, foot, right, top = (float(edge * scale) for edge in axes.get_window_extent().extents)
    here = _points(axes, [at])[0]
    x, y = best_place(here, size, (left, foot, right, top), _points(axes, _inked(axes, result)))
    note.set(va="bottom", position=(x - here[0], y - here[1]))


def _inked(axes: Axes, result: MeasureResult) -> list[tuple[float, float]]:
    """Places a label should leave free, in data coordinates: trials (they weigh most), band, lines across, d90's."""
    outcome, fit = result.result, shown_fit(result)
    along, (foot, top) = np.geomspace(*axes.get_xlim(), 80), axes.get_ylim()
    seen = [p.model_copy(update={"low": max(p.low, foot), "high": min(p.high, top)}) for p in fit]
    across = [outcome.chance, *([] if outcome.baseline is None else [outcome.baseline.mean])]
    across += [] if outcome.target is None else [outcome.target]
    down = () if outcome.target is None or outcome.d90 is None else np.linspace(foot, outcome.target, 30)
    return [
        *((d, foot if t.score is None else t.score) for d, t in subspace_trials(outcome) for _ in range(10)),
        *(place for share in np.linspace(0, 1, 7) for place in _along_the_band(seen, along, share)),
        *((float(x), y) for x in along for y in across for _ in range(3)),
        *((float(outcome.d90 or 0), float(y)) for y in down for _ in range(6)),
    ]


def _along_the_band(fit: list[FitPoint], along: Array, share: float) -> list[tuple[float, float]]:
    """Places at this share of the way from the band's lower edge to its upper one."""
    if not fit:
        return []
    dims = [p.d for p in fit]
    inside = along[(along >= dims[0]) & (along <= dims[-1])]
    heights = np.interp(np.log(inside), np.log(dims), [p.low + share * (p.high - p.low) for p in fit])
    return list(zip(inside.tolist(), heights.tolist(), strict=True))


def _points(axes: Axes, places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    scale = 72 / axes.figure.dpi
    return [(x * scale, y * scale) for x, y in axes.transData.transform(places)]


def _legend(axes: Axes, result: MeasureResult) -> None:
    marks, names = axes.get_legend_handles_labels()
    handles: list[Any] = [*marks]  # a tuple is drawn one over the other
    labels = [*names]
    if shown_fit(result):
        handles.insert(0, (Patch(**BAND), Line2D([], [], **CURVE)))
        labels.insert(0, f"fit, {100 * result.result.search.confidence:g} % band")
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


def _title(axes: Axes, result: MeasureResult) -> None:
    """What was measured; names too long for the page lose their middle."""
    spec, page = result.run.spec, axes.figure
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

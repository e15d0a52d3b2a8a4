"""The figure: score against the subspace dimension, with everything the claim d90 rests on.

Drawn with matplotlib's object interface (no pyplot, no global state). Colours are Okabe and Ito's (2008), which
remain distinct to colour-blind readers; each kind of mark differs in shape or dash as well. Same record, same
bytes: no date or version is written into a file, and fonts are embedded as TrueType.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from intrinsic.records import Baseline, MeasureOutcome, MeasureResult, TrialRow
from intrinsic.report import words
from intrinsic.report.labels import best_spot, spread

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
INK, GREY = "#222222", "#6b6b6b"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,
    "path.simplify": False,
}
SIZE = (5.5, 3.4)
"""Inches; the width of a text block."""
MARKS = {
    "chosen": ("o", BLUE, "chosen rate"),
    "lower": ("v", ORANGE, "lower rate"),
    "higher": ("^", PURPLE, "higher rate"),
}
LINE_GAP = 10.0
"""Points between the baselines of two labels."""


@dataclass(frozen=True)
class Level:
    """A horizontal line across the axes and the words beside it."""

    y: float
    label: str
    colour: str
    dash: str | tuple[int, tuple[int, ...]]


def render(result: MeasureResult) -> dict[str, bytes]:
    """{"curve.png": ..., "curve.pdf": ...}: the same figure twice."""
    with style():
        figure = draw(result)
        return {
            "curve.png": _bytes(figure, "png", {"Software": None}),
            "curve.pdf": _bytes(figure, "pdf", {"CreationDate": None, "Creator": None, "Producer": None}),
        }


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's own defaults and STYLE, whatever the user has set; what was set comes back afterwards."""
    settings: Any = dict(matplotlib.rcParamsDefault) | STYLE | {"backend": "agg"}
    with matplotlib.rc_context(settings):
        yield


def draw(result: MeasureResult) -> Figure:
    """The figure as a matplotlib object; draw and save it inside `style()`."""
    figure = Figure(figsize=SIZE)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.115, 0.13, 0.635, 0.70))
    trials = [t for t in result.result.trials if t.d is not None]
    _frame(axes, result, trials)
    _fit(axes, result.result)
    _trials(axes, result.result, trials)
    _levels(axes, _all_levels(result))
    _spread_of_baseline(axes, result.result.baseline)
    _dimension(axes, result)
    _legend(axes, result)
    return figure


def _bytes(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
    return buffer.getvalue()


def _frame(axes: Axes, result: MeasureResult, trials: list[TrialRow]) -> None:
    """Axes, limits and ticks: x spans every dimension tried, y every score and level."""
    spec, outcome = result.run.spec, result.result
    tried = [float(t.d) for t in trials if t.d is not None] or [float(spec.search.low), float(spec.search.high)]
    tried += [end for end in outcome.search.interval if end is not None]
    axes.set_xscale("log")
    axes.set_xlim(min(tried) / 1.25, max(tried) * 1.25)
    axes.set_ylim(*_y_limits(outcome, trials))
    width = max(tried) / min(tried)
    labelled = (1, 2, 3, 5, 7) if width < 30 else (1, 2, 5) if width < 2e3 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=labelled, numticks=15))
    axes.xaxis.set_minor_locator(NullLocator() if width < 2e3 else LogLocator(subs=(2, 5), numticks=15))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("subspace dimension d", color=INK)
    axes.set_ylabel(outcome.metric.replace("_", " "), color=INK)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)


def _y_limits(outcome: MeasureOutcome, trials: list[TrialRow]) -> tuple[float, float]:
    values = [t.score for t in trials if t.score is not None] + [outcome.chance]
    values += [] if outcome.baseline is None else list(outcome.baseline.scores)
    values += [] if outcome.target is None else [outcome.target]
    low, high = min(values), max(values)
    pad = 0.07 * (high - low) or 0.05
    return low - pad, high + pad


def _fit(axes: Axes, outcome: MeasureOutcome) -> None:
    """The fitted curve and its band."""
    fit = outcome.search.fit
    if not fit:
        return
    x = [p.d for p in fit]
    confidence = f"{100 * outcome.search.confidence:g} %"
    axes.fill_between(
        x, [p.low for p in fit], [p.high for p in fit], color=BLUE, alpha=0.15, linewidth=0, label=f"{confidence} band"
    )
    axes.plot(x, [p.mean for p in fit], color=BLUE, linewidth=1.2, label="fit")


def _trials(axes: Axes, outcome: MeasureOutcome, trials: list[TrialRow]) -> None:
    """Every trial in a subspace: its shape tells the rate, a cross at the foot one without a score."""
    look: dict[str, Any] = {"s": 20, "alpha": 0.85, "edgecolor": "white", "linewidth": 0.4, "zorder": 3}
    for kind, (marker, colour, label) in MARKS.items():
        scored = [(t.d, t.score) for t in trials if rate_kind(t, outcome) == kind]
        some = [(float(d), score) for d, score in scored if d is not None and score is not None]
        if some:
            axes.scatter(*zip(*some, strict=True), marker=marker, color=colour, label=label, **look)
    lost = sorted({t.d for t in trials if t.score is None and t.d is not None})
    if lost:
        look = {"s": 16, "linewidth": 1, "zorder": 3, "transform": axes.get_xaxis_transform()}
        axes.scatter(lost, [0.025] * len(lost), marker="x", color=RED, label="no score", **look)


def rate_kind(trial: TrialRow, outcome: MeasureOutcome) -> str:
    """chosen, lower or higher: the trial's rate against the one chosen for subspaces."""
    chosen = outcome.subspace_learning_rate
    if chosen is None or abs(trial.learning_rate / chosen - 1) < 1e-6:
        return "chosen"
    return "lower" if trial.learning_rate < chosen else "higher"


def _all_levels(result: MeasureResult) -> list[Level]:
    outcome = result.result
    levels = [Level(outcome.chance, f"chance {outcome.chance:.3f}", GREY, (0, (1, 2)))]
    if outcome.baseline is not None:
        spread = "" if outcome.baseline.std is None else f" ± {outcome.baseline.std:.3f}"
        levels.append(Level(outcome.baseline.mean, f"baseline {outcome.baseline.mean:.3f}{spread}", GREEN, "-"))
    if outcome.target is not None:
        levels.append(Level(outcome.target, f"target {outcome.target:.3f}", RED, (0, (5, 2))))
    return levels


def _spread_of_baseline(axes: Axes, baseline: Baseline | None) -> None:
    if baseline is not None and baseline.std is not None:
        low, high = baseline.mean - baseline.std, baseline.mean + baseline.std
        axes.axhspan(low, high, color=GREEN, alpha=0.18, linewidth=0, zorder=1)


def _levels(axes: Axes, levels: list[Level]) -> None:
    """Lines across, each named at its right end; names are moved apart where they would touch."""
    height = axes.get_position().height * SIZE[1] * 72
    low, high = axes.get_ylim()
    wanted = [(level.y - low) / (high - low) * height for level in levels]
    placed = spread(wanted, LINE_GAP, height)
    for level, at, to in zip(levels, wanted, placed, strict=True):
        axes.axhline(level.y, color=level.colour, linewidth=1, linestyle=level.dash, zorder=2)
        axes.annotate(
            level.label,
            xy=(1, at / height),
            xytext=(1.025, to / height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=level.colour,
            fontsize=7.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": level.colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0},
        )


def _dimension(axes: Axes, result: MeasureResult) -> None:
    """d90 as a diamond on the target line with its interval as a bar, or the words why there is none."""
    outcome, spec = result.result, result.run.spec
    if outcome.target is None:
        axes.text(0.5, 0.6, "no baseline, no target", transform=axes.transAxes, ha="center", color=INK)
    elif outcome.d90 is None:
        _note(axes, outcome, (spec.search.low, outcome.target), _absent(result))
    else:
        _interval_bar(axes, outcome, outcome.d90, outcome.target)
        _note(axes, outcome, (outcome.d90, outcome.target), _found(result))


def _interval_bar(axes: Axes, outcome: MeasureOutcome, d: int, target: float) -> None:
    """An end that lies outside the bracket is an arrow at the edge of the axes."""
    left, right = axes.get_xlim()
    low, high = outcome.search.interval
    ends = (left if low is None else low, right if high is None else high)
    axes.plot([d, d], [axes.get_ylim()[0], target], color=INK, linewidth=0.6, linestyle=":", zorder=2)
    axes.plot(ends, [target] * 2, color=INK, linewidth=1.8, solid_capstyle="butt", zorder=2.5)  # below the trials
    for end, mark in ((ends[0], "<" if low is None else "|"), (ends[1], ">" if high is None else "|")):
        axes.plot([end], [target], marker=mark, color=INK, markersize=6, zorder=2.5, clip_on=False)
    axes.plot([d], [target], marker="D", color=INK, markersize=4.5, markeredgecolor="white", zorder=5)


def _found(result: MeasureResult) -> str:
    outcome = result.result
    sign = "≤" if outcome.search.status == "met-at-lowest" else "="
    name = words.d_name(result.run.spec).removeprefix("d")
    share = "" if outcome.share is None else f"\n{words.percent(outcome.share)} of D"
    return f"$d_{{{name}}}$ {sign} {outcome.d90} {words.interval(outcome.search)}{share}"


def _absent(result: MeasureResult) -> str:
    search = result.result.search
    if search.status == "never-met":
        return f"target not reached up to d = {result.run.spec.search.high}"
    return f"no dimension found: {search.status.replace('-', ' ')}"


def _note(axes: Axes, outcome: MeasureOutcome, mark: tuple[float, float], text: str) -> None:
    """Words beside a mark, where they cover the least."""
    note = axes.annotate(
        text, xy=mark, textcoords="offset points", xytext=(0, 0), color=INK, linespacing=1.35, zorder=6
    )
    note.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    scale = 72 / axes.figure.dpi
    corners = np.asarray(note.get_window_extent().extents) * scale
    size = (float(corners[2] - corners[0]), float(corners[3] - corners[1]))
    left, foot, right, top = (float(edge * scale) for edge in axes.get_window_extent().extents)
    spot = best_spot(_points(axes, [mark])[0], size, (left, foot, right, top), _points(axes, _inked(axes, outcome)))
    note.set(ha=spot.ha, va=spot.va, position=(spot.dx, spot.dy))


def _inked(axes: Axes, outcome: MeasureOutcome) -> list[tuple[float, float]]:
    """Places a label should leave free, in data coordinates: trials (they weigh most), the fit, the lines across."""
    left, right = axes.get_xlim()
    along = np.geomspace(left, right, 60)
    heights = [outcome.chance, *([] if outcome.baseline is None else [outcome.baseline.mean])]
    heights += [] if outcome.target is None else [outcome.target]
    fit = outcome.search.fit
    curve = np.interp(np.log(along), np.log([p.d for p in fit]), [p.mean for p in fit]) if fit else np.empty(0)
    return [
        *((t.d, t.score) for t in outcome.trials if t.d is not None and t.score is not None for _ in range(3)),
        *zip(along, curve, strict=False),
        *((x, y) for x in along for y in heights),
    ]


def _points(axes: Axes, places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    scale = 72 / axes.figure.dpi
    return [(x * scale, y * scale) for x, y in axes.transData.transform(places)]


def _legend(axes: Axes, result: MeasureResult) -> None:
    spec = result.run.spec
    title = f"{words.task(spec)} · {words.model(spec)} · {words.method(spec)} · {spec.projection}"
    axes.text(0, 1.135, title, transform=axes.transAxes, color=INK, fontsize=8.5, parse_math=False)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.0),
            ncols=len(labels),
            frameon=False,
            borderaxespad=0.2,
            handletextpad=0.4,
            columnspacing=1.2,
            handlelength=1.4,
            labelcolor=GREY,
        )

"""The Pareto figure: score against parameters trained, every method at every size, full fine-tuning and chance."""

from __future__ import annotations

import io
import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from scipy.stats import t as student_t

from intrinsic.records import CompareResult, CompareRow
from intrinsic.report.comparison.tables import title
from intrinsic.report.labels import best_place, spread
from intrinsic.report.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SMALL, WORDS, style

SIZE = (6.9, 3.4)
"""Inches: a page's width."""
AXES = (0.075, 0.13, 0.69, 0.77)
SKY, BLACK = "#56B4E9", "#222222"
LOOKS = [
    *((colour, marker) for marker in "os^D" for colour in (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK)),
]
"""Colour and shape: no two methods share both; neighbours in the list differ in colour for every kind of sight."""
LEVEL = 0.95


def render(result: CompareResult) -> dict[str, bytes]:
    """{"pareto.png": ..., "pareto.pdf": ...}: the same figure twice."""
    with style():
        figure = draw(result)
        return {
            "pareto.png": _bytes(figure, "png", {"Software": None}),
            "pareto.pdf": _bytes(figure, "pdf", {"CreationDate": None, "Creator": None, "Producer": None}),
        }


def _bytes(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=300, metadata=metadata)
    return buffer.getvalue()


def draw(result: CompareResult) -> Figure:
    """The figure as a matplotlib object; draw and save it inside `style()`."""
    figure = Figure(figsize=SIZE)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(AXES)
    groups = _groups(result)
    _frame(axes, result, [row for rows in groups.values() for row in rows])
    _levels(axes, result)
    for (label, rows), (colour, marker) in zip(groups.items(), _looks(groups), strict=True):
        _method(axes, label, rows, {"color": colour, "marker": marker})
    _names(axes, groups)
    figure.text(0.02, 0.975, title(result), color=INK, fontsize=WORDS, va="top", parse_math=False)
    return figure


def _groups(result: CompareResult) -> dict[str, list[CompareRow]]:
    """Rows that can be drawn, by method, in the order of their parameters."""
    groups: dict[str, list[CompareRow]] = {}
    for row in result.result.rows:
        if row.mean is not None and row.parameters_trained:
            groups.setdefault(row.label, []).append(row)
    return {label: sorted(rows, key=lambda row: row.parameters_trained or 0) for label, rows in groups.items()}


def _looks(groups: dict[str, list[CompareRow]]) -> list[tuple[str, str]]:
    return [LOOKS[number % len(LOOKS)] for number in range(len(groups))]


def half_interval(row: CompareRow) -> float:
    """Half of Student's interval of the mean over seeds; 0 where one seed cannot tell."""
    if row.std is None:
        return 0.0
    n = len(row.scores)
    return float(student_t.ppf((1 + LEVEL) / 2, n - 1)) * row.std / math.sqrt(n)


def _frame(axes: Axes, result: CompareResult, rows: list[CompareRow]) -> None:
    axes.set_xscale("log")
    counts = [row.parameters_trained or 1 for row in rows] or [1, 10]
    axes.set_xlim(min(counts) / 1.8, max(counts) * 1.8)
    means = [row.mean for row in rows if row.mean is not None] + [result.result.chance]
    room = 0.08 * (max(means) - min(means) or 1.0)
    axes.set_ylim(min(means) - room, max(means) + 2 * room)  # intervals of two seeds may be longer, and are cut
    axes.set_xlabel("parameters trained", color=INK, labelpad=2)
    axes.set_ylabel(result.result.metric.replace("_", " "), color=INK, labelpad=2)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_axisbelow(True)


def _levels(axes: Axes, result: CompareResult) -> None:
    """Full fine-tuning, the target and chance as lines across, named at the left where they lie apart."""
    outcome = result.result
    full = next((row.mean for row in outcome.rows if row.label == "full"), None)
    levels = [("full", full, "-"), ("target", outcome.target, "--"), ("chance", outcome.chance, ":")]
    for name, value, line in levels:
        if value is not None:
            axes.axhline(value, color=GREY, linewidth=0.7, linestyle=line, zorder=1)
            if name != "full":
                axes.annotate(
                    name, (0, value), xycoords=("axes fraction", "data"), xytext=(2, 2), textcoords="offset points",
                    color=GREY, fontsize=SMALL,
                )  # fmt: skip


def _method(axes: Axes, label: str, rows: list[CompareRow], look: dict[str, Any]) -> None:
    x = [float(row.parameters_trained or 0) for row in rows]
    y = [float(row.mean or 0) for row in rows]
    error = [half_interval(row) for row in rows]
    axes.errorbar(x, y, yerr=error, label=label, linewidth=0.9, elinewidth=0.7, markersize=4.2, capsize=1.5,
                  markeredgecolor="white", markeredgewidth=0.4, zorder=3, **look)  # fmt: skip


def _names(axes: Axes, groups: dict[str, list[CompareRow]]) -> None:
    """Each method's name at the right edge, at the height of its best size, a thin line leading to it."""
    figure = axes.figure
    scale = 72 / figure.dpi
    _, foot, right, top = (float(edge) * scale for edge in axes.get_window_extent().extents)
    ends = []
    for rows in groups.values():
        best = max(rows, key=lambda row: row.parameters_trained or 0)
        x, y = axes.transData.transform((float(best.parameters_trained or 1), float(best.mean or 0)))
        ends.append((float(x) * scale, float(y) * scale))
    heights = spread([y - foot for _, y in ends], SMALL * 1.35, top - foot)
    for (label, rows), (x, y), height, (colour, _) in zip(groups.items(), ends, heights, _looks(groups), strict=True):
        at = (float(rows[-1].parameters_trained or 1), float(rows[-1].mean or 0))
        axes.annotate(
            label,
            at,
            xytext=(right + 8 - x, foot + height - y),
            textcoords="offset points",
            color=colour,
            fontsize=SMALL,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "alpha": 0.6, "shrinkA": 1, "shrinkB": 3},
        )
    _sizes(axes, groups)


def _sizes(axes: Axes, groups: dict[str, list[CompareRow]]) -> None:
    """Sizes beside the marks of methods that have several, where they cover neither marks nor each other."""
    scale = 72 / axes.figure.dpi
    room = tuple(float(edge) * scale for edge in axes.get_window_extent().extents)
    marks = [
        (float(x) * scale, float(y) * scale)
        for rows in groups.values()
        for row in rows
        for x, y in [axes.transData.transform((float(row.parameters_trained or 1), float(row.mean or 0)))]
    ]
    taken = [mark for mark in marks for _ in range(4)]
    for rows in groups.values():
        for row in rows if len(rows) > 1 else ():
            at = (float(row.parameters_trained or 1), float(row.mean or 0))
            x, y = (float(v) * scale for v in axes.transData.transform(at))
            text, size = str(row.size), (0.6 * SMALL * len(str(row.size)), SMALL)
            near = (max(room[0], x - 22), max(room[1], y - 18), min(room[2], x + 22), min(room[3], y + 18))
            left, foot = best_place((x, y), size, near, taken)
            axes.annotate(text, at, xytext=(left - x, foot - y), textcoords="offset points", color=GREY,
                          fontsize=SMALL - 1)  # fmt: skip
            taken += [(left + size[0] * i / 4, foot + size[1] * j / 2) for i in range(5) for j in range(3)]

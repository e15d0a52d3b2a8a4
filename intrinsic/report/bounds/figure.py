"""The figure: every bound against d, on a logarithmic scale, with the region in which a bound says nothing shaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from intrinsic.report import words
from intrinsic.report.bounds.price import WIDTHS, bits_words
from intrinsic.report.bounds.rows import EVALUATION, SQRT, TAIL, TEST_SET, THEOREM1, TRAINING, BoundRow, Material
from intrinsic.report.bounds.verdict import majority_error
from intrinsic.report.labels import page_of, spread
from intrinsic.report.shown import tick_labels
from intrinsic.report.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SMALL, saved, style

SIZE = (4.6, 3.1)
"""Width and height in inches."""
AXES = (0.115, 0.13, 0.565, 0.75)
"""Place of the axes: left, foot, width and height as shares of the page. The curves' names stand to their right."""
COLOURS = dict(zip(WIDTHS, (BLUE, GREEN, ORANGE, RED), strict=True))
MARKERS = dict(zip(WIDTHS, "osD^", strict=True))
"""Shape of the marks, by bits a coordinate, as COLOURS their colour."""
LEAST_SHOWN = 1e-4
"""The least error that is drawn: an error of 0, which a logarithmic scale lacks, is drawn there."""


@dataclass(frozen=True)
class Curve:
    """A series over d, and how it is drawn."""

    label: str
    """The name beside the axes; empty where another curve of the same colour is named."""
    points: tuple[tuple[int, float], ...]
    """Dimension and value, by ascending dimension."""
    look: dict[str, Any]
    """Keyword arguments of `Axes.plot`."""


def render(material: Material, rows: Sequence[BoundRow]) -> dict[str, bytes]:
    """The figure as two files: {"bounds.png": ..., "bounds.pdf": ...}."""
    with style():
        return saved(draw(material, rows), "bounds")


def draw(material: Material, rows: Sequence[BoundRow]) -> Figure:
    """The figure as a matplotlib object; draw and save it inside `style()`."""
    figure = Figure(figsize=SIZE)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(AXES)
    shown = curves(rows, majority_error(material.result))
    _frame(axes, shown)
    _vacuous(axes)
    for curve in shown:
        axes.plot(*zip(*curve.points, strict=True), clip_on=False, **curve.look)
    _names(axes, shown)
    spec = material.result.run.spec
    thin = " (thin dots: binomial tail)" if any(row.name == TAIL and row.kind == "bound" for row in rows) else ""
    title = f"{words.model(spec)} on {words.task(spec)}, delta {material.delta:g}{thin}"
    axes.set_title(title, fontsize=SMALL + 1, color=INK, loc="left", pad=6)
    return figure


def curves(rows: Sequence[BoundRow], majority: float | None) -> list[Curve]:
    """The curves: Theorem 1 and the binomial tail at every width, what was seen on both splits, and what is no bound.

    majority: the error of always answering the commonest class. A bound above it says less than counting labels.
    """
    found = []
    for width in WIDTHS:
        line: dict[str, Any] = {"color": COLOURS[width], "marker": MARKERS[width], "markersize": 3.2, "linewidth": 1.1}
        floor = line | {"linestyle": (0, (4, 2)), "markerfacecolor": "white"}
        found.append(_curve(rows, f"Theorem 1, {bits_words(width)}", line, (THEOREM1, width, "bound")))
        found.append(_curve(rows, f"Theorem 1 ≥, {bits_words(width)}", floor, (THEOREM1, width, "floor")))
        thin = {"color": COLOURS[width], "linewidth": 0.7, "linestyle": (0, (1, 1))}
        found.append(_curve(rows, "", thin, (TAIL, width, "bound")))
    seen: dict[str, Any] = {"linewidth": 0.9, "markersize": 3}
    found.append(_curve(rows, "test-set bound", seen | {"color": INK}, (TEST_SET, None, "bound")))
    found.append(_curve(rows, "evaluation error", seen | {"color": INK, "marker": "x"}, (EVALUATION, None, "observed")))
    found.append(_curve(rows, "training error", seen | {"color": PURPLE, "marker": "+"}, (TRAINING, 32, "observed")))
    dots = {"color": GREY, "linewidth": 0.9, "linestyle": (0, (1, 2))}
    found.append(_curve(rows, "√(d/m), no bound", dots, (SQRT, None, "not a bound")))
    star: dict[str, Any] = {"color": INK, "marker": "*", "markersize": 8, "linestyle": "", "zorder": 6}
    claimed = [row for row in rows if row.kind == "claimed" and row.d is not None]
    found += [Curve(f"{row.name} {row.value:.3f}", ((row.d or 0, row.value),), star) for row in claimed]
    if majority is not None:
        flat: dict[str, Any] = {"color": GREY, "linewidth": 0.6, "linestyle": (0, (6, 3)), "zorder": 1}
        dims = sorted({row.d for row in rows if row.d is not None})
        found.append(Curve("majority class", tuple((d, majority) for d in dims), flat))
    return [curve for curve in found if curve.points]


def _curve(rows: Sequence[BoundRow], label: str, look: dict[str, Any], which: tuple[str, int | None, str]) -> Curve:
    name, width, kind = which
    mine = [r for r in rows if r.name == name and r.kind == kind and width in (None, r.width)]
    points = [(r.d, max(r.value, LEAST_SHOWN)) for r in mine if r.d is not None]
    return Curve(label, tuple(sorted(points)), look)


def _frame(axes: Axes, shown: Sequence[Curve]) -> None:
    dims = sorted({d for curve in shown for d, _ in curve.points})
    values = [value for curve in shown for _, value in curve.points] + [1.0]
    axes.set_xscale("log")
    axes.set_yscale("log")
    pad = max((max(dims) / min(dims)) ** 0.04, 1.06)
    axes.set_xlim(min(dims) / pad, max(dims) * pad)
    axes.set_ylim(max(min(values), LEAST_SHOWN) / 1.3, max(values) * 1.3)
    axes.set_xlabel("subspace dimension d", color=INK, labelpad=2)
    axes.set_ylabel("error, and bounds on it", color=INK, labelpad=2)
    page = page_of(axes)
    labelled = tick_labels(
        dims,
        None,
        at=lambda d: page.at((d, 1.0))[0],
        width=lambda d: SMALL * (0.64 * len(str(d)) + 0.45),
    )
    axes.xaxis.set_major_locator(FixedLocator(labelled))
    axes.xaxis.set_minor_locator(FixedLocator([d for d in dims if d not in labelled]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)


def _vacuous(axes: Axes) -> None:
    """The region from 1 on, where a bound says nothing."""
    top = axes.get_ylim()[1]
    axes.axhspan(1, top, color="#f0f0f0", linewidth=0, zorder=0)
    axes.text(axes.get_xlim()[0] * 1.02, top / 1.04, "vacuous", va="top", color=GREY, fontsize=SMALL - 0.5)


def _names(axes: Axes, shown: Sequence[Curve]) -> None:
    """Each curve's name beside the axes, moved apart where they would touch, a line from it to the curve's end."""
    page = page_of(axes)
    foot, height = page.room[1], page.room[3] - page.room[1]
    leader: dict[str, Any] = {"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
    named = [curve for curve in shown if curve.label]
    wanted = [page.at(curve.points[-1])[1] - foot for curve in named]
    for curve, at, to in zip(named, wanted, spread(wanted, 1.3 * SMALL, height), strict=True):
        end = axes.transAxes.inverted().transform(axes.transData.transform([curve.points[-1]]))[0][0]
        axes.annotate(
            curve.label,
            xy=(float(end), at / height),
            xytext=(1.07, to / height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=curve.look["color"],
            fontsize=SMALL,
            va="center",
            arrowprops=leader | {"color": curve.look["color"]},
        )

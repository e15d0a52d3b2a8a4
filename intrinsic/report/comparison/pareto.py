"""The Pareto figure: score against parameters trained, every method at every size, with intervals.

Full fine-tuning is a line across: it trains a thousand times what the others do, and would leave the figure empty
between. A bar is Student's 95 % interval of a mean over seeds, from the spread of all methods pooled: two or three
seeds of one method tell nearly nothing about its own. A size stands beside its mark, in the method's colour, where it
covers no mark, no bar and no other size, and else is left to the tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy.stats import t as student_t

from intrinsic.problems.metrics import range_of
from intrinsic.records import CompareResult, CompareRow
from intrinsic.report import words
from intrinsic.report.comparison.paired import LEVEL
from intrinsic.report.comparison.tables import short_labels, title
from intrinsic.report.labels import Page, Place, best_place, covered, joined, page_of, spread
from intrinsic.report.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SMALL, WORDS, saved, style
from intrinsic.spec import FULL

SIZE = (6.9, 3.6)
"""Width and height in inches; the width of a page."""
LEFT, FOOT, HEIGHT = 0.075, 0.12, 0.75
"""Place of the axes, as shares of the figure; their width leaves room for the names."""
SKY = "#56B4E9"
LOOKS = [(colour, marker) for marker in "os^Dv" for colour in (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)]
"""Colours and shapes of marks: no two are alike, and neighbours differ in colour to colour-blind readers too."""
ROOM_FOR_NAME = 16.0
"""Room between the axes and the figure's edge besides the longest name, in points."""
LEADER = {"arrowstyle": "-", "linewidth": 0.5, "linestyle": ":", "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 3}
"""The line from a mark to its name."""
NEAR = 0.5
"""The share of the scores' range by which chance may lie outside of it to be drawn; else it is only named."""
MANY, FEW = 300.0, 6.0
"""Ratios of the most parameters to the fewest: above MANY the axis names powers of ten, above FEW these times 1, 2, 5,
else more numbers between them."""
CLEAR = 1.0
"""Distance of a size from marks, bars and other sizes, in points."""
LEVEL_ROOM = 34.0
"""Width of the words `target` and `chance`, in points."""
SIZE_LABEL = "size"
"""The `gid` of the texts that are sizes, by which they can be told from the others."""
Look = tuple[str, str]
"""Colour and shape of a mark."""


def render(result: CompareResult) -> dict[str, bytes]:
    """The figure as two files: {"pareto.png": ..., "pareto.pdf": ...}."""
    with style():
        return saved(draw(result), "pareto")


@dataclass(frozen=True)
class Marks:
    """Marks of a comparison's figure, worked out once from its record."""

    result: CompareResult

    @cached_property
    def full(self) -> CompareRow | None:
        """The row of full fine-tuning; None where it has no score."""
        return next((row for row in self.result.result.rows if row.label == FULL and row.mean is not None), None)

    @cached_property
    def groups(self) -> dict[str, list[CompareRow]]:
        """The rows of the other methods, by ascending parameters, under the name that the figure gives the method."""
        short = short_labels(self.result)
        groups: dict[str, list[CompareRow]] = {}
        for row in self.result.result.rows:
            if row is not self.full and row.mean is not None:
                groups.setdefault(short[row.label], []).append(row)
        return {name: sorted(rows, key=_parameters) for name, rows in groups.items()}

    @property
    def rows(self) -> list[CompareRow]:
        """Every row in `groups`."""
        return [row for rows in self.groups.values() for row in rows]

    @property
    def looks(self) -> list[Look]:
        """The look of each group. Colours follow the heights of the names, so that those of neighbours differ."""
        order = sorted(self.groups, key=lambda name: -_at(self.groups[name][-1])[1])
        return [LOOKS[order.index(name) % len(LOOKS)] for name in self.groups]

    @cached_property
    def spread(self) -> tuple[float, int]:
        """Pooled standard deviation of a score over seeds, and its degrees of freedom; (0, 0) with one seed each."""
        several = [r for r in self.result.result.rows if r.std is not None and len(r.scores) > 1]
        freedom = sum(len(row.scores) - 1 for row in several)
        squares = math.fsum((row.std or 0.0) ** 2 * (len(row.scores) - 1) for row in several)
        return (math.sqrt(squares / freedom) if freedom else 0.0), freedom

    @cached_property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest score that is drawn: ends of bars, and the target."""
        drawn = [*self.rows, *([] if self.full is None else [self.full])]
        ends = [_at(row)[1] + side * self.half(row) for row in drawn for side in (-1, 1)]
        target = self.result.result.target
        ends += [self.result.result.chance] if not ends else [] if target is None else [target]
        least, most = range_of(self.result.result.metric)  # an interval may reach farther than a score can
        return max(min(ends), least), min(max(ends), most)

    @property
    def chance_is_near(self) -> bool:
        """Whether chance lies near enough to the scores to be drawn: see NEAR."""
        low, high = self.range
        return low - NEAR * (high - low) <= self.result.result.chance <= high + NEAR * (high - low)

    def half(self, row: CompareRow) -> float:
        """Half the interval of the row's mean; 0 where no method has two seeds."""
        deviation, freedom = self.spread
        if not freedom:
            return 0.0
        return float(student_t.ppf((1 + LEVEL) / 2, freedom)) * deviation / math.sqrt(len(row.scores))


def _parameters(row: CompareRow) -> float:
    return float(row.parameters_trained or 1)


def _at(row: CompareRow) -> tuple[float, float]:
    return _parameters(row), float(row.mean or 0.0)


def draw(result: CompareResult) -> Figure:
    """The figure as a matplotlib object; draw and save it inside `style()`."""
    marks = Marks(result)
    figure = Figure(figsize=SIZE)
    FigureCanvasAgg(figure)
    names = [*marks.groups, *([] if marks.full is None else [_full_name(marks.full)])]
    longest = 0.55 * SMALL * max(map(len, names), default=0) + ROOM_FOR_NAME
    axes = figure.add_axes((LEFT, FOOT, 1 - LEFT - longest / (72 * SIZE[0]), HEIGHT))
    _frame(axes, marks)
    _levels(axes, marks)
    for rows, (colour, marker) in zip(marks.groups.values(), marks.looks, strict=True):
        _method(axes, marks, rows, {"color": colour, "marker": marker})
    _names(axes, marks)
    _sizes(axes, marks)
    figure.text(0.02, 0.98, title(result), color=INK, fontsize=WORDS, va="top", parse_math=False)
    figure.text(0.02, 0.93, _below_title(marks), color=GREY, fontsize=SMALL, va="top")
    return figure


def _below_title(marks: Marks) -> str:
    bars = f"bars: {100 * LEVEL:g} % interval of the mean over seeds, their spread pooled over all methods"
    if not marks.spread[1]:
        bars = "one seed each, so no intervals"
    chance = f"chance {words.score(marks.result.result.chance)}"
    return "; ".join([bars] + [chance] * (not marks.chance_is_near))


def _full_name(full: CompareRow) -> str:
    return f"full ({words.count(full.parameters_trained or 0)})"


def _frame(axes: Axes, marks: Marks) -> None:
    axes.set_xscale("log")
    counts = [_parameters(row) for row in marks.rows] or [1.0, 10.0]
    axes.set_xlim(min(counts) / 1.5, max(counts) * 1.5)
    low, high = marks.range
    if marks.chance_is_near:
        low, high = min(low, marks.result.result.chance), max(high, marks.result.result.chance)
    room = 0.05 * (high - low or 1.0)
    axes.set_ylim(low - room, high + room)
    axes.set_xlabel("parameters trained", color=INK, labelpad=2)
    outcome = marks.result.result
    axes.set_ylabel(words.metric(outcome.metric, outcome.higher_is_better), color=INK, labelpad=2)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    _count_axis(axes, max(counts) / min(counts))
    axes.set_axisbelow(True)


def _count_axis(axes: Axes, ratio: float) -> None:
    """The numbers on the axis of parameters: powers of ten where the counts span many, else numbers between them too.

    ratio: the largest count over the smallest.
    """
    wide = ratio > MANY
    axes.xaxis.set_major_locator(
        LogLocator(10, subs=(1.0,) if wide else (1.0, 2.0, 5.0) if ratio > FEW else (1.0, 1.5, 2, 3, 4, 6))
    )
    if not wide:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: words.count(round(count))))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _levels(axes: Axes, marks: Marks) -> None:
    """Full fine-tuning with its interval, the target and chance as lines across."""
    outcome, full = marks.result.result, marks.full
    if full is not None:
        mean, half = _at(full)[1], marks.half(full)
        axes.axhline(mean, color=INK, linewidth=0.8, zorder=1)
        axes.axhspan(mean - half, mean + half, color=INK, alpha=0.08, linewidth=0, zorder=0)
    chance = outcome.chance if marks.chance_is_near else None
    given = (("target", outcome.target, "--"), ("chance", chance, ":"))
    levels = [(name, value, line) for name, value, line in given if value is not None]
    for place, (name, value, line) in enumerate(levels):
        axes.axhline(value, color=GREY, linewidth=0.7, linestyle=line, zorder=1)
        axes.annotate(  # in its own line, which it breaks, and in its own column: lines may be as close as they like
            name, (0, value), xycoords=("axes fraction", "data"), xytext=(4 + place * LEVEL_ROOM, 0),
            textcoords="offset points", color=GREY, fontsize=SMALL, va="center", zorder=2,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip


def _method(axes: Axes, marks: Marks, rows: list[CompareRow], look: dict[str, Any]) -> None:
    x, y = zip(*map(_at, rows), strict=True)
    error = [marks.half(row) for row in rows]
    axes.errorbar(x, y, yerr=error, linewidth=0.9, elinewidth=0.6, markersize=4.2, capsize=1.5,
                  markeredgecolor="white", markeredgewidth=0.4, zorder=3, **look)  # fmt: skip


def _names(axes: Axes, marks: Marks) -> None:
    """Each method's name at the right edge, near the height of its largest size, a thin line leading to it."""
    page = page_of(axes)
    room = page.room
    named = [
        (name, _at(rows[-1]), colour, marker)
        for (name, rows), (colour, marker) in zip(marks.groups.items(), marks.looks, strict=True)
    ]
    if marks.full is not None:
        named.append((_full_name(marks.full), (axes.get_xlim()[1], _at(marks.full)[1]), INK, ""))
    ends = [page.at(place) for _, place, _, _ in named]
    heights = spread([y - room[1] for _, y in ends], SMALL * 1.35, room[3] - room[1])
    for (name, place, colour, marker), (x, y), height in zip(named, ends, heights, strict=True):
        axes.annotate(
            name,
            place,
            xytext=(room[2] + 9 - x, room[1] + height - y),
            textcoords="offset points",
            color=colour,
            fontsize=SMALL,
            va="center",
            annotation_clip=False,
            arrowprops={**LEADER, "color": colour} if marker else None,  # full's own line leads there
        )
        if marker:  # the colours are fewer than the methods
            spot = ((room[2] + 3 - room[0]) / (room[2] - room[0]), height / (room[3] - room[1]))
            axes.plot(*spot, marker, color=colour, markersize=3.2, transform=axes.transAxes, clip_on=False)


def _sizes(axes: Axes, marks: Marks) -> None:
    """Sizes beside the marks of methods that have several; one that finds no room is left to the tables."""
    page = page_of(axes)
    room = page.room
    taken = sorted({spot for row in marks.rows for spot in _inked(page, marks, row)})
    lines = [[page.at(_at(row)) for row in rows] for rows in marks.groups.values()]
    if marks.full is not None:
        height = page.at(_at(marks.full))[1]
        lines.append([(room[0], height), (room[2], height)])
    crossed = sorted({spot for line in lines for spot in joined(line)})
    for rows, (colour, _) in zip(marks.groups.values(), marks.looks, strict=True):
        for row in rows if len(rows) > 1 else ():
            x, y = page.at(_at(row))
            text, size = str(row.size), (0.6 * SMALL * len(str(row.size)), SMALL - 1.0)
            wide, high = size[0] + 14, size[1] + 10
            near = (max(room[0], x - wide), max(room[1], y - high), min(room[2], x + wide), min(room[3], y + high))
            place = best_place((x, y), size, near, 9 * taken + crossed, CLEAR)
            if covered(place, size, taken, CLEAR):
                continue
            axes.annotate(text, _at(row), xytext=(place[0] - x, place[1] - y), textcoords="offset points", color=colour,
                          fontsize=SMALL - 1, gid=SIZE_LABEL)  # fmt: skip
            taken += [(place[0] + size[0] * i / 4, place[1] + size[1] * j / 2) for i in range(5) for j in range(3)]


def _inked(page: Page, marks: Marks, row: CompareRow) -> list[Place]:
    """The row's mark, edge by edge, and its bar, a point every other point."""
    x, mean = _at(row)
    mark = page.at((x, mean))
    low, high = (page.at((x, mean + side * marks.half(row))) for side in (-1, 1))
    bar = joined([low, high]) + [(end[0] + side, end[1]) for end in (low, high) for side in (-1.5, 1.5)]
    return [*bar, *((mark[0] + i, mark[1] + j) for i in (-2.1, 0, 2.1) for j in (-2.1, 0, 2.1))]

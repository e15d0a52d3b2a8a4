"""Chance, baseline and target in the figure: lines across with their names beside them."""

from __future__ import annotations

from matplotlib.axes import Axes

from intrinsic.report.labels import spread
from intrinsic.report.shown import Level, LevelName
from intrinsic.report.style import GREEN, GREY, RED, SMALL

GAP = 2.45 * SMALL
"""Distance between the middles of two names, of two lines each, in points."""
LOOKS: dict[LevelName, tuple[str, str | tuple[int, tuple[int, ...]]]] = {
    "chance": (GREY, (0, (1, 2))),
    "baseline": (GREEN, "-"),
    "target": (RED, (0, (5, 2))),
}
"""Colour and dash of a level's line."""


def draw_levels(axes: Axes, levels: list[Level], band: tuple[float, float] | None) -> None:
    """Draw the levels, each named at its right end; names are moved apart where they would touch.

    A level outside of the axes has no line: its name stands at the edge, with an arrow. band: the baseline's mean
    less and plus its standard deviation, shaded.
    """
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    wanted = [(min(max(level.y, low), high) - low) / (high - low) * height for level in levels]
    for level, at, to in zip(levels, wanted, spread(wanted, GAP, height), strict=True):
        if low <= level.y <= high:
            colour, dash = LOOKS[level.name]
            axes.axhline(level.y, color=colour, linewidth=0.9, linestyle=dash, zorder=2)
        _name(axes, level, at / height, to / height)
    if band is not None:
        axes.axhspan(*band, color=GREEN, alpha=0.18, linewidth=0, zorder=1)


def _name(axes: Axes, level: Level, at: float, to: float) -> None:
    """Write a level's name at the height `to`, with a thin line to the height `at`; both are shares of the axes."""
    low, high = axes.get_ylim()
    colour, _ = LOOKS[level.name]
    leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
    beyond = "" if low <= level.y <= high else f" {'↓' if level.y < low else '↑'}"
    axes.annotate(
        f"{level.name}\n{level.value}{beyond}",
        xy=(1, at),
        xytext=(1.04, to),
        xycoords="axes fraction",
        textcoords="axes fraction",
        color=colour,
        fontsize=SMALL,
        linespacing=1.1,
        va="center",
        arrowprops=None if beyond else leader,
    )

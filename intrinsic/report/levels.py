"""The levels a score is held against: baseline, target and chance, as lines across with their names beside them."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes

from intrinsic.records import Baseline, MeasureOutcome
from intrinsic.report.labels import spread
from intrinsic.report.style import GREEN, GREY, RED, SMALL

GAP = 2.45 * SMALL
"""Points between the middles of two names: each has two lines."""


@dataclass(frozen=True)
class Level:
    """A horizontal line across the axes and the words beside it."""

    y: float
    name: str
    value: str
    colour: str
    dash: str | tuple[int, tuple[int, ...]]


def draw_levels(axes: Axes, outcome: MeasureOutcome) -> None:
    """Lines across, each named at its right end; names are moved apart where they would touch.

    A level outside of the axes has no line: its name stands at the edge, with an arrow.
    """
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    levels = levels_of(outcome)
    wanted = [(min(max(level.y, low), high) - low) / (high - low) * height for level in levels]
    placed = spread(wanted, GAP, height)
    for level, at, to in zip(levels, wanted, placed, strict=True):
        if low <= level.y <= high:
            axes.axhline(level.y, color=level.colour, linewidth=0.9, linestyle=level.dash, zorder=2)
            leader = {"arrowstyle": "-", "color": level.colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
            text = f"{level.name}\n{level.value}"
        else:
            leader, text = None, f"{level.name}\n{level.value} {'↓' if level.y < low else '↑'}"
        axes.annotate(
            text,
            xy=(1, at / height),
            xytext=(1.04, to / height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=level.colour,
            fontsize=SMALL,
            linespacing=1.1,
            va="center",
            arrowprops=leader,
        )
    _spread(axes, outcome.baseline)


def levels_of(outcome: MeasureOutcome) -> list[Level]:
    """Chance, baseline and target, as far as they are known."""
    levels = [Level(outcome.chance, "chance", f"{outcome.chance:.3f}", GREY, (0, (1, 2)))]
    if outcome.baseline is not None:
        levels.append(Level(outcome.baseline.mean, "baseline", _mean(outcome.baseline), GREEN, "-"))
    if outcome.target is not None:
        levels.append(Level(outcome.target, "target", f"{outcome.target:.3f}", RED, (0, (5, 2))))
    return levels


def _mean(baseline: Baseline) -> str:
    if baseline.std is None:
        return f"{baseline.mean:.3f}"
    digits = 3 if baseline.std >= 5e-4 else 4
    return f"{baseline.mean:.{digits}f} ± {baseline.std:.{digits}f}"


def _spread(axes: Axes, baseline: Baseline | None) -> None:
    """One standard deviation to either side."""
    if baseline is not None and baseline.std is not None:
        low, high = baseline.mean - baseline.std, baseline.mean + baseline.std
        axes.axhspan(low, high, color=GREEN, alpha=0.18, linewidth=0, zorder=1)

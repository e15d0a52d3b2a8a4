"""The figure of a bench: achieved time over the floor, for projections over d and n, for transforms over p."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from intrinsic.bench import Bench, ProjectionRow
from intrinsic.bench.transforms import PASS
from intrinsic.report.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SMALL, saved, style

SIZE = (6.9, 2.7)
"""Width and height in inches."""
COLOURS = {"fastfood": BLUE, "hashed": GREEN, "sparse": ORANGE}
"""The colours of the projections. The dense P, d times as slow, is left out: it would leave the others no room."""
LIBRARIES = {"intrinsic": BLUE, "FFHT": RED, "hadamard-transform": PURPLE}
"""The colours of the libraries."""


def render(made: Bench, device: str) -> dict[str, bytes]:
    """The figure as files: `bench-<device>.png` and `bench-<device>.pdf`, the same figure twice."""
    with style():
        return saved(_draw(made, device), f"bench-{device}")


def _draw(made: Bench, device: str) -> Figure:
    figure = Figure(figsize=SIZE, dpi=300)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.99, bottom=0.16, top=0.92, wspace=0.22)
    _projections(left, [r for r in made.projections if r.device == device and r.case.path == "auto"])
    _transforms(right, made, device)
    return figure


def _projections(axes: Axes, rows: list[ProjectionRow]) -> None:
    """Draw a line for each projection (colour), length (dash) and direction (filled marks: forward)."""
    rows = sorted((row for row in rows if row.case.name in COLOURS), key=lambda row: row.case.d)
    lengths = sorted({row.case.n for row in rows})
    for name, colour in COLOURS.items():
        for n in lengths:
            held = [row for row in rows if (row.case.name, row.case.n) == (name, n)]
            dash = "-" if n == lengths[0] else "--"
            for hollow in (False, True):
                times = [(r.adjoint if hollow else r.forward).best / r.floor.best for r in held]
                face = "white" if hollow else colour
                axes.plot(
                    [r.case.d for r in held], times, dash, color=colour, lw=0.9, marker="o", ms=3, mfc=face, mew=0.8
                )
    _finish(axes, sorted({row.case.d for row in rows}), "subspace dimension d", lambda d: f"{d:g}")
    shown = [(name, {"color": colour, "lw": 1.2}) for name, colour in COLOURS.items()]
    shown += [
        (f"n = {n / 1e6:g} M", {"color": GREY, "lw": 0.9, "ls": "-" if n == lengths[0] else "--"}) for n in lengths
    ]
    shown += [("forward", {"color": GREY, "lw": 0, "marker": "o", "ms": 3})]
    shown += [("adjoint", {"color": GREY, "lw": 0, "marker": "o", "ms": 3, "mfc": "white"})]
    _legend(axes, shown)
    axes.set_title("projections, against one read and write of n floats", fontsize=SMALL, color=INK)


def _transforms(axes: Axes, made: Bench, device: str) -> None:
    rows = [row for row in made.transforms if row.device == device]
    counts = sorted({row.threads for row in rows})
    for name, colour in LIBRARIES.items():
        for threads in counts:
            held = sorted((r for r in rows if r.threads == threads and name in r.times), key=lambda r: r.p)
            times = [r.times[name].best / r.times[PASS].best for r in held]
            dash = "--" if threads == counts[-1] and len(counts) > 1 else "-"
            axes.plot([r.p for r in held], times, dash, color=colour, lw=0.9, marker="o", ms=3)
    _finish(
        axes, sorted({row.p for row in rows}), "length p of a transform", lambda p: f"$2^{{{int(p).bit_length() - 1}}}$"
    )
    shown = [(name, {"color": colour, "lw": 1.2}) for name, colour in LIBRARIES.items()]
    shown += [
        (f"{t} thread{'s' if t > 1 else ''}", {"color": GREY, "lw": 0.9, "ls": "-" if t == counts[0] else "--"})
        for t in counts
    ]
    _legend(axes, shown)
    axes.set_title("FWHT, against one read and write in as many threads", fontsize=SMALL, color=INK)


def _finish(axes: Axes, places: list[int], label: str, word: Callable[[float], str]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(1, color=GREY, lw=0.8, ls=":")
    axes.set_ylim(top=8 * axes.get_ylim()[1])  # room for the legend
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: word(x)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set_xlabel(label)
    axes.set_ylabel("time / floor")


def _legend(axes: Axes, shown: list[tuple[str, dict[str, Any]]]) -> None:
    lines = [Line2D([], [], **how) for _, how in shown]
    axes.legend(lines, [name for name, _ in shown], loc="upper left", frameon=False, ncol=2, handlelength=1.6)

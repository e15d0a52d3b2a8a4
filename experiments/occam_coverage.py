"""Coverage of Occam's bound when the choice among 64 functions is paid for, and when it is not.

    python experiments/occam_coverage.py                 # 20,000 data sets a scenario, about a minute on one core
    python experiments/occam_coverage.py --draws 2000 --seed 7 --out /tmp/occam

A learner sees n samples' errors of 64 functions, takes the one whose bound is least, and reports that bound at delta.
The choice costs 6 bits (a uniform code) or the bits of an uneven prefix code. Here it pays all of them, or all but 1,
2, ..., 6. The bound is violated where the true risk of the function taken lies above it. The functions' errors are
independent, the worst case for a union bound.

Writes OUT.json and OUT.md, and figures/occam-coverage.csv, .png and .pdf (beside OUT when --out is given).
"""

from __future__ import annotations

import argparse
import csv
import functools
import io
import json
import pathlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intrinsic.bounds import clopper_pearson, nats, occam_binomial, occam_hoeffding, occam_kl
from intrinsic.seeds import generator

HERE = pathlib.Path(__file__).resolve().parent
FUNCTIONS, SAMPLES, DELTA = 64, 300, 0.05
BITS = 6

Bound = Callable[[int, float], float]
BOUNDS: dict[str, Bound] = {
    "Hoeffding": lambda errors, bits: occam_hoeffding(errors / SAMPLES, nats(bits), SAMPLES, DELTA),
    "kl": lambda errors, bits: occam_kl(errors / SAMPLES, nats(bits), SAMPLES, DELTA),
    "binomial tail": lambda errors, bits: occam_binomial(errors, nats(bits), SAMPLES, DELTA),
}


@dataclass(frozen=True)
class Scenario:
    """The true risks of the 64 functions and the lengths of their code words, in bits."""

    name: str
    risks: tuple[float, ...]
    lengths: tuple[int, ...] = (BITS,) * FUNCTIONS


SCENARIOS = (
    Scenario("equal risks", (0.3,) * FUNCTIONS),
    Scenario("risks from 0.25 to 0.35", tuple(np.linspace(0.25, 0.35, FUNCTIONS).tolist())),
    Scenario("equal risks, uneven code", (0.3,) * FUNCTIONS, (*range(1, FUNCTIONS), FUNCTIONS - 1)),
)


@dataclass(frozen=True)
class Row:
    """One bound in one scenario, with some of the bits due left unpaid."""

    scenario: str
    bound: str
    unpaid: int
    draws: int
    violated: int

    @property
    def share(self) -> float:
        return self.violated / self.draws

    def interval(self) -> tuple[float, float]:
        """The 99 % confidence interval of the share (Clopper and Pearson)."""
        return (
            clopper_pearson(self.violated, self.draws, 0.005, "lower"),
            clopper_pearson(self.violated, self.draws, 0.005),
        )


def simulate(scenario: Scenario, draws: int, seed: int) -> list[Row]:
    """Every bound on the same data, with 0 to 6 bits left unpaid."""
    rng = generator(seed, "occam-coverage", scenario.name)
    errors = rng.binomial(SAMPLES, scenario.risks, size=(draws, FUNCTIONS))
    risks = np.asarray(scenario.risks)
    rows = []
    for name in BOUNDS:
        for unpaid in range(BITS + 1):
            paid = [max(length - unpaid, 0) for length in scenario.lengths]
            claims = claimed(name, paid, errors)
            taken = claims.argmin(axis=1)
            violated = int((claims[np.arange(draws), taken] < risks[taken]).sum())
            rows.append(Row(scenario.name, name, unpaid, draws, violated))
    return rows


def claimed(name: str, paid: list[int], errors: NDArray[np.int64]) -> NDArray[np.float64]:
    """The bound of every function in every data set; it is computed once for each number of errors that occurs."""
    claims = np.empty(errors.shape)
    for function, bits in enumerate(paid):
        counts, where = np.unique(errors[:, function], return_inverse=True)
        claims[:, function] = np.array([bound_at(name, count, bits) for count in counts.tolist()])[where]
    return claims


@functools.cache
def bound_at(name: str, errors: int, bits: int) -> float:
    return BOUNDS[name](errors, bits)


def markdown(rows: list[Row], command: str, seconds: float) -> str:
    lines = [
        "# Occam's bound with its bits paid and unpaid",
        "",
        f"`{command}`, {seconds:.0f} s on one core. {FUNCTIONS} functions with independent errors, n = {SAMPLES}, "
        f"delta = {DELTA}; the function with the least bound is taken. Share of data sets in which its true risk lies "
        "above its bound, by the number of bits that were due and left unpaid. Paid in full, the theorem allows at "
        f"most {DELTA:.0%}.",
        "",
        f"| scenario | bound | {' | '.join(map(str, range(BITS + 1)))} |",
        "|---|---|" + "---:|" * (BITS + 1),
    ]
    for scenario in dict.fromkeys(row.scenario for row in rows):
        for bound in BOUNDS:
            cells = [f"{row.share:.2%}" for row in rows if (row.scenario, row.bound) == (scenario, bound)]
            lines.append(f"| {scenario} | {bound} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "![Share of violated bounds](../figures/occam-coverage.png)", ""])


def table(rows: list[Row]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["scenario", "bound", "bits_unpaid", "draws", "violated", "share", "low_99", "high_99"])
    for row in rows:
        low, high = row.interval()
        writer.writerow(
            [row.scenario, row.bound, row.unpaid, row.draws, row.violated, row.share, f"{low:.6f}", f"{high:.6f}"]
        )
    return buffer.getvalue()


def draw(rows: list[Row]) -> dict[str, bytes]:
    """Two panels, one a scenario with the uniform code; the same picture as png and pdf."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from intrinsic.report.style import INK, RED, saved, style

    with style():
        figure = Figure(figsize=(6.4, 3.0))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, scenario in zip(panels, SCENARIOS, strict=False):
            _panel(axes, [row for row in rows if row.scenario == scenario.name])
            axes.set_title(scenario.name, fontsize=8.5, color=INK, loc="left")
        allowed: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "color": RED, "va": "center", "fontsize": 7}
        panels[-1].annotate(f"allowed\n(δ = {DELTA:g})", (1.02, DELTA), **allowed)
        panels[0].set_ylabel("data sets in which the bound is wrong", color=INK)
        panels[0].legend(frameon=False, loc="lower right", labelcolor=INK)
        figure.subplots_adjust(left=0.11, right=0.91, top=0.91, bottom=0.15, wspace=0.06)
        return saved(figure, "occam-coverage", dpi=200)


def _panel(axes: Any, rows: list[Row]) -> None:
    from matplotlib.ticker import FuncFormatter

    from intrinsic.report.style import BLUE, GREEN, GREY, INK, ORANGE, RED

    looks = {"binomial tail": ("o", BLUE), "kl": ("s", GREEN), "Hoeffding": ("^", ORANGE)}
    for shift, (name, (marker, colour)) in enumerate(looks.items()):
        mine = [row for row in rows if row.bound == name]
        x, y = [row.unpaid + 0.06 * (shift - 1) for row in mine], [row.share for row in mine]
        bars = [abs(end - row.share) for row in mine for end in row.interval()]
        look: dict[str, Any] = {"marker": marker, "markersize": 4, "linewidth": 1, "capsize": 1.5, "color": colour}
        axes.errorbar(x, y, yerr=(bars[::2], bars[1::2]), label=name, **look)
    axes.axhline(DELTA, color=RED, linewidth=1, linestyle=(0, (5, 2)))
    axes.set_yscale("log")
    axes.set_ylim(1e-4, 1.3)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.3, BITS + 0.3)
    axes.set_xlabel(f"bits of the choice left unpaid, of {BITS} due", color=INK)
    axes.tick_params(which="minor", color=GREY, width=0.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000, help="data sets a scenario")
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--out", type=pathlib.Path, help="default: beside this script, the figure in ../figures")
    args = parser.parse_args()
    started = time.process_time()
    rows = [row for scenario in SCENARIOS for row in simulate(scenario, args.draws, args.seed)]
    seconds = time.process_time() - started
    out = args.out or HERE / "occam_coverage"
    figure = args.out or HERE.parent / "figures" / "occam-coverage"
    command = f"python experiments/occam_coverage.py --draws {args.draws} --seed {args.seed}"
    record = {"command": command, "seconds": round(seconds), "rows": list(map(asdict, rows))}
    out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    out.with_suffix(".md").write_text(markdown(rows, command, seconds))
    figure.with_suffix(".csv").write_text(table(rows))
    for name, data in draw(rows).items():
        figure.with_suffix(pathlib.Path(name).suffix).write_bytes(data)
    print(markdown(rows, command, seconds))


if __name__ == "__main__":
    main()

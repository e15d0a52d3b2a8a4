"""What do the intrinsic dimensions that papers publish certify about the error on new examples?

    python experiments/published_d90_bounds.py      # seconds

Writes published_d90_bounds.md and ../figures/published-d90-bounds.csv, .png and .pdf. What the papers do not tell is
taken in their favour (FAVOUR).
"""

from __future__ import annotations

import argparse
import csv
import io
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from intrinsic.bounds import nats, occam_binomial, theorem1_asymptotic, theorem1_gap

HERE = pathlib.Path(__file__).resolve().parent
DELTA = 0.05
WIDTHS = (1, 4, 16, 32)
FAVOUR = (
    "Both papers' networks are d float32 numbers beside a seed. Neither published training errors, or how d's grid was "
    "chosen, so everything unknown is taken in their favour: d was fixed beforehand, nothing but the d coordinates is "
    "charged, rounding them to fewer bits costs no accuracy, and training leaves no error, or as many as d90 allows on "
    "the evaluation split (10 %, if full fine-tuning were always right; 55 % for LeNet on CIFAR-10, at a baseline of "
    "0.5). What fails even so certifies nothing."
)
AGHAJANYAN = "Aghajanyan et al. 2020, Table 1"
LI = "Li et al. 2018"


@dataclass(frozen=True)
class Data:
    """A data set: its training examples, and the evaluation error of always answering the commonest class."""

    name: str
    samples: int
    majority_error: float


MRPC = Data("MRPC", 3668, 1 - 279 / 408)
QQP = Data("QQP", 363_846, 1 - 25_545 / 40_430)
MNIST = Data("MNIST", 60_000, 1 - 1135 / 10_000)
CIFAR = Data("CIFAR-10", 50_000, 0.9)
RANDOM = Data("MNIST, random labels", 60_000, 0.9)


@dataclass(frozen=True)
class Published:
    """An intrinsic dimension, as its source gives it."""

    source: str
    model: str
    method: str
    data: Data
    d: int
    error: float = 0.1
    """The share of evaluation examples that d90 lets be wrong at least; it stands in for the training error."""

    def bits(self, width: int) -> int:
        return width * self.d

    def gap(self, width: int) -> float:
        """Theorem 1's bound without a training error."""
        return theorem1_gap(self.d, float(width), self.data.samples, DELTA)

    def tail(self, width: int, training_error: float) -> float:
        """The best that these bits allow: the exact binomial tail."""
        errors = round(training_error * self.data.samples)
        return occam_binomial(errors, nats(self.bits(width)), self.data.samples, DELTA)

    def largest_training_error(self, width: int) -> float | None:
        """The training error up to which the binomial tail's bound is below the majority class's error.

        None: it is not even without a training error.
        """
        if self.tail(width, 0.0) >= self.data.majority_error:
            return None
        low, high = 0, self.data.samples  # the bound is below the majority's error at low, not at high
        while high - low > 1:
            middle = (low + high) // 2
            below = self.tail(width, middle / self.data.samples) < self.data.majority_error
            low, high = (middle, high) if below else (low, middle)
        return low / self.data.samples


def _aghajanyan() -> list[Published]:
    table = {
        "BERT-base": ((1608, 8030), (1861, 9295)),
        "BERT-large": ((1037, 1200), (2493, 1389)),
        "RoBERTa-base": ((896, 896), (1000, 1389)),
        "RoBERTa-large": ((207, 774), (322, 774)),
    }
    return [
        Published(AGHAJANYAN, model, method, data, dims[column])
        for column, data in enumerate((MRPC, QQP))
        for model, both in table.items()
        for method, dims in zip(("SAID", "DID"), both, strict=True)
    ]


PUBLISHED = (
    *_aghajanyan(),
    Published(LI, "784-200-200-10", "DID", MNIST, 750),
    Published(LI, "LeNet", "DID", MNIST, 290),
    Published(LI, "LeNet, shuffled pixels", "DID", MNIST, 1400),
    Published(LI, "fully connected", "DID", CIFAR, 9000),
    Published(LI, "LeNet", "DID", CIFAR, 1000, error=0.55),
    Published(LI, "MLP", "DID", RANDOM, 190_000),
)


def says(value: Published, width: int) -> str:
    """What is certified of the network at this many bits a coordinate, in words."""
    at_most = value.largest_training_error(width)
    if at_most is None:
        return "nothing, even without a training error"
    if at_most < value.error:
        return f"something, if under {at_most:.1%} of the training examples are wrong"
    return f"an error of at most {value.tail(width, value.error):.2f}, if that in training is {value.error:.2f}"


def table() -> list[dict[str, Any]]:
    """The table, one published value a row; numbers unrounded."""
    return [
        {
            **{"source": v.source, "model": v.model, "data": v.data.name, "method": v.method, "d": v.d},
            **{"m": v.data.samples, "majority_error": v.data.majority_error},
            "sqrt_d_over_m_not_a_bound": theorem1_asymptotic(v.d, v.data.samples),
            **{f"theorem1_{b}_bits_no_training_error": v.gap(b) for b in WIDTHS},
            **{f"binomial_tail_{b}_bits_no_training_error": v.tail(b, 0.0) for b in WIDTHS},
            "assumed_training_error": v.error,
            **{f"binomial_tail_{b}_bits_assumed_training_error": v.tail(b, v.error) for b in WIDTHS},
            **{f"largest_training_error_{b}_bits": v.largest_training_error(b) for b in WIDTHS},
            "says_at_32_bits": says(v, 32),
        }
        for v in PUBLISHED
    ]


def count(holds: Callable[[Published], bool], values: Sequence[Published]) -> str:
    return f"{sum(map(holds, values))} of {len(values)}"


def summary() -> list[str]:
    """What the table shows, counted."""
    by_data = {data: [v for v in PUBLISHED if v.data == data] for data in (MRPC, QQP, MNIST, CIFAR, RANDOM)}

    def silent(width: int) -> Callable[[Published], bool]:
        return lambda v: v.tail(width, v.error) >= v.data.majority_error

    def hopeless(width: int) -> Callable[[Published], bool]:
        return lambda v: v.largest_training_error(width) is None

    small = min((v for v in PUBLISHED if v.data == MRPC), key=lambda v: v.d)
    best_mnist = min(by_data[MNIST], key=lambda v: v.tail(32, v.error))
    return [
        f"**MRPC** ({MRPC.samples:,} examples): as stored, {count(hopeless(32), by_data[MRPC])} certify nothing, even "
        f"if training left no error; at 16 bits a coordinate {count(hopeless(16), by_data[MRPC])}. With 10 % errors "
        f"{count(silent(4), by_data[MRPC])} certify nothing at 4 bits, {count(silent(1), by_data[MRPC])} at 1 bit. The "
        f"d = {small.d} of {small.model} is a Theorem 1 gap of {small.gap(32):.2f} at 32 bits where sqrt(d/m) reads "
        f"{theorem1_asymptotic(small.d, MRPC.samples):.2f}.",
        f"**QQP** ({QQP.samples:,} examples, a hundred times as many): as stored, {count(hopeless(32), by_data[QQP])} "
        f"certify nothing even without a training error; with 10 % still {count(silent(32), by_data[QQP])}; the "
        "others beat the majority class. The many examples do that, the dimensions are no smaller than MRPC's.",
        f"**MNIST**: as stored, {count(silent(32), by_data[MNIST])} certify nothing; the best of them certifies "
        f"{best_mnist.tail(32, best_mnist.error):.2f} (d = {best_mnist.d}), where d90 means an error of 0.10. "
        f"**CIFAR-10**: {count(silent(32), by_data[CIFAR])} nothing.",
        f"**Random labels**: no use at any width down to 1 bit ({by_data[RANDOM][0].tail(1, 0.1):.3f} at a true error "
        "of 0.9), as it must be.",
    ]


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "# What published intrinsic dimensions certify",
        "",
        f"`python experiments/published_d90_bounds.py`, seconds. delta = {DELTA}. {FAVOUR}",
        "",
        *(f"- {told}" for told in summary()),
        "",
        "Theorem 1's gap is sqrt((d b ln 2 + ln(1/delta)) / 2m) at b bits a coordinate, the bound if training left no "
        "error; 1 and more says nothing, and sqrt(d/m), as papers quote the theorem, is not a bound. The last column "
        "holds the exact binomial tail, the least of the bounds for these bits and errors, against the majority class.",
        "",
        "| source | model | data | method | d | m | sqrt(d/m) | gap, 1 bit | 4 bits | 16 bits | 32 bits | majority "
        "| as stored (32 bits) it certifies |",
        "|---|---|---|---|" + "---:|" * 8 + "---|",
    ]
    for row in rows:
        gaps = " | ".join(f"{row[f'theorem1_{b}_bits_no_training_error']:.2f}" for b in WIDTHS)
        lines.append(
            f"| {row['source']} | {row['model']} | {row['data']} | {row['method']} | {row['d']:,} | {row['m']:,} | "
            f"{row['sqrt_d_over_m_not_a_bound']:.2f} | {gaps} | {row['majority_error']:.2f} "
            f"| {row['says_at_32_bits']} |"
        )
    return "\n".join([*lines, "", "![Theorem 1 at published dimensions](../figures/published-d90-bounds.png)", ""])


def table_csv(rows: Sequence[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def draw() -> dict[str, bytes]:
    """The figure, one published value a line: Theorem 1's gap at every width, the majority class's error as a bar."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from intrinsic.report.style import saved, style

    with style():
        figure = Figure(figsize=(6.4, 4.6))
        FigureCanvasAgg(figure)
        _panel(figure.add_axes((0.36, 0.105, 0.625, 0.845)))
        return saved(figure, "published-d90-bounds", dpi=200)


def _panel(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    from intrinsic.report.style import BLUE, GREEN, GREY, INK, ORANGE, RED

    looks = dict(zip(WIDTHS, (("o", BLUE), ("s", GREEN), ("D", ORANGE), ("^", RED)), strict=True))
    places = range(len(PUBLISHED), 0, -1)
    for place, value in zip(places, PUBLISHED, strict=True):
        gaps = [value.gap(width) for width in WIDTHS]
        axes.plot([gaps[0], gaps[-1]], [place, place], color="#cccccc", linewidth=0.8, zorder=1)
        axes.plot([value.data.majority_error], [place], marker="|", markersize=7, color=INK, linestyle="", zorder=3)
        axes.plot([theorem1_asymptotic(value.d, value.data.samples)], [place], marker="x", markersize=3.5, color=GREY)
        for width, gap in zip(WIDTHS, gaps, strict=True):
            marker, colour = looks[width]
            axes.plot([gap], [place], marker=marker, markersize=3.8, color=colour, linestyle="", zorder=2)
    for width, (marker, colour) in looks.items():
        label = f"{width} bit{'s' * (width > 1)}"
        axes.plot([], [], marker=marker, markersize=3.8, color=colour, linestyle="", label=label)
    axes.plot([], [], marker="|", markersize=7, color=INK, linestyle="", label="majority class's error")
    axes.plot([], [], marker="x", markersize=3.5, color=GREY, linestyle="", label="√(d/m), no bound")
    axes.set_xscale("log")
    right = 1.25 * max(value.gap(32) for value in PUBLISHED)
    axes.set_xlim(0.018, right)
    axes.axvspan(1, right, color="#f0f0f0", linewidth=0, zorder=0)
    axes.text(1.06, len(PUBLISHED) + 0.95, "vacuous", color=GREY, fontsize=6.5, va="center")
    axes.set_ylim(0.4, len(PUBLISHED) + 1.4)
    axes.set_yticks(list(places), [f"{v.model}, {v.data.name}, {v.method}: d = {v.d:,}" for v in PUBLISHED])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Theorem 1's bound if training left no error, by bits a coordinate", color=INK)
    axes.legend(frameon=False, loc="center right", labelcolor=INK, handletextpad=0.2)
    axes.set_axisbelow(True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, help="default: beside this script, the figure in ../figures")
    args = parser.parse_args()
    rows = table()
    out = args.out or HERE / "published_d90_bounds"
    figure = args.out or HERE.parent / "figures" / "published-d90-bounds"
    out.with_suffix(".md").write_text(markdown(rows))
    figure.with_suffix(".csv").write_text(table_csv(rows))
    for name, data in draw().items():
        figure.with_suffix(pathlib.Path(name).suffix).write_bytes(data)
    print(markdown(rows))


if __name__ == "__main__":
    main()

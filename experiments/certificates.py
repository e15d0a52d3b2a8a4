"""Certificates of the pages experiments/*-certificate.yaml: made, verified by another process, tabled and drawn.

    python experiments/certificates.py NAME ... --data data     # certify and verify: minutes each
    python experiments/certificates.py                          # table and figure from what is kept: seconds

A page holds the claim, published numbers, the spec as `intrinsic certify --config` reads it, and what came out. The
certificate and its message are kept in results/NAME/, where `intrinsic verify` checks them wherever the data are.
Writes certificates.md and ../figures/certificates.csv, .png and .pdf.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from intrinsic_cli.certify import resolve

from intrinsic.certificate.assumptions import SHARED_SOURCES
from intrinsic.certificate.record import CERTIFICATE_FILE, MESSAGE_FILE, Certificate, read_certificate
from intrinsic.certificate.spec import CertifySpec
from intrinsic.certificate.table import Evidence, certified

HERE = Path(__file__).resolve().parent
FIGURES = HERE.parent / "figures"
SUFFIX = "-certificate"
CHOICE_BITS = 8
"""The bits of a choice of features among 256, for the bound as it would be if that choice were charged."""
GAP = 0.02
"""The space between the figure's edge, the names of its lines and the axis, in shares of its width."""
OFFLINE = ("digits", "rotten-tomatoes")
"""Tasks whose data come with a package."""


@dataclass(frozen=True)
class Row:
    """A certificate, as the table, the CSV and the figure show it. Errors are shares."""

    name: str
    task: str
    features: str
    bound: float
    bits: int
    d: int
    train_error: float
    train_samples: int
    test_error: float
    test_set_bound: float
    choice_paid: float
    """The bound if CHOICE_BITS more were charged."""
    majority: float
    published: float | None
    """The bound of Lotfi et al. 2022, trained from scratch."""
    seconds: int
    verify_seconds: int
    vacuous: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the pages to run, without .yaml")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with mnist, fashion-mnist, sst2, mrpc")
    given = parser.parse_args()
    for name in given.names:
        make(name, given.data)
    rows = [row(page) for page in sorted(HERE.glob(f"*{SUFFIX}.yaml")) if "result" in read(page)]
    (HERE / "certificates.md").write_text(markdown(rows))
    (FIGURES / "certificates.csv").write_text(table(rows))
    for file, content in draw(rows).items():
        (FIGURES / file).write_bytes(content)
    print(markdown(rows))


def read(page: Path) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(page.read_text())
    return tree


def make(name: str, data: Path) -> None:
    """Run a page in two processes, certify and verify, and write down what came out."""
    path = HERE / f"{name}.yaml"
    spec = resolve({}, path)
    task = spec.grid.task.name
    folder = [] if task in OFFLINE else ["--data-dir", str(data / task)]
    with tempfile.TemporaryDirectory() as made:
        certify = ["certify", "--config", str(path), *folder, "--output-dir", made]
        seconds = timed(certify)
        verify_seconds = timed(["verify", f"{made}/{CERTIFICATE_FILE}", *folder])
        kept = HERE / "results" / name
        kept.mkdir(parents=True, exist_ok=True)
        for file in (CERTIFICATE_FILE, MESSAGE_FILE):
            shutil.copyfile(f"{made}/{file}", kept / file)
    path.write_text(yaml.safe_dump(written(name, spec, (seconds, verify_seconds)), sort_keys=False, width=100))


def timed(words: list[str]) -> int:
    started = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("intrinsic"), *words], check=True)
    return round(time.perf_counter() - started)


def written(name: str, spec: CertifySpec, seconds: tuple[int, int]) -> dict[str, Any]:
    """The page, its spec complete and its result that of the certificate."""
    page, made = read(HERE / f"{name}.yaml"), certificate(name)
    task = spec.grid.task.name
    folder = "" if task in OFFLINE else f" --data-dir data/{task}"
    return {
        "claim": page["claim"],
        **{key: page[key] for key in ("source", "remark") if key in page},
        "expected": page.get("expected") or {},
        "command": f"intrinsic certify --config experiments/{name}.yaml{folder} --output-dir certificates/{name}",
        "verify": f"intrinsic verify experiments/results/{name}/{CERTIFICATE_FILE}{folder}",
        "result": {
            "bound": made.bound,
            "bits": made.bits,
            "train_errors": made.train.errors,
            "test_errors": made.test.errors,
            "vacuous": made.is_vacuous,
            "seconds": seconds[0],
            "verify_seconds": seconds[1],
        },
        "spec": spec.model_dump(mode="json", exclude={"data_dir"}),
    }


def certificate(name: str) -> Certificate:
    return read_certificate(HERE / "results" / name / CERTIFICATE_FILE)


def row(page: Path) -> Row:
    told, made = read(page), certificate(page.stem)
    train, test = made.train, made.test
    paid = Evidence(train.errors, train.samples, made.bits + CHOICE_BITS, sum(made.delta.values()))
    return Row(
        name=page.stem,
        task=made.grid.task.name + (", random labels" if made.grid.random_labels else ""),
        features=", ".join(sorted({setting.network for setting in made.grid.settings})),
        bound=made.bound,
        bits=made.bits,
        d=made.dim,
        train_error=train.errors / train.samples,
        train_samples=train.samples,
        test_error=test.errors / test.samples,
        test_set_bound=next(bound.value for bound in made.bounds if bound.name == "test-set"),
        choice_paid=certified(paid),
        majority=made.constant_errors / train.samples,
        published=told["expected"].get("lotfi2022_from_scratch"),
        seconds=told["result"]["seconds"],
        verify_seconds=told["result"]["verify_seconds"],
        vacuous=made.is_vacuous,
    )


def markdown(rows: list[Row]) -> str:
    lines = [
        "# Certificates",
        "",
        "`python experiments/certificates.py NAME ... --data data` makes them, each with its own command in its page; "
        "the certificate and the message lie in results/NAME, and `intrinsic verify` said valid of every one. "
        "With probability 0.95 over the draw of the training examples the error on a new example is at most the "
        "certified value: Occam's bound with the exact binomial tail, the length of the whole message charged.",
        "",
        "| certificate | data | features | d | bits | train error | **certified** | test error | test-set bound "
        "| majority | Lotfi et al. 2022 | made, verified |",
        "|---|---|---|" + "---:|" * 9,
    ]
    for r in rows:
        certified_ = f"{r.bound:.4f}, vacuous" if r.vacuous else f"**{r.bound:.4f}**"
        certified_ += ", were its examples independent" if r.task in SHARED_SOURCES else ""
        published = "–" if r.published is None else f"{r.published:.3f}"
        data = f"{r.task}, n = {r.train_samples:,}"
        lines.append(
            f"| [{r.name.removesuffix(SUFFIX)}]({r.name}.yaml) | {data} | {r.features} | {r.d:,} "
            f"| {r.bits:,} | {r.train_error:.4f} | {certified_} | {r.test_error:.4f} | {r.test_set_bound:.4f} "
            f"| {r.majority:.4f} | {published} | {r.seconds:,} s, {r.verify_seconds:,} s |"
        )
    dearer = max((r.choice_paid - r.bound for r in rows), default=0.0)
    return "\n".join([*lines, "", *notes(dearer), "", "![Certified errors](../figures/certificates.png)", ""])


def notes(dearer: float) -> list[str]:
    return [
        "What is paid: d, the seed, the levels and their values, the scale, every level, and which of the grid's "
        "settings. The training's own settings (the learning rate, the weights of the bits, the epochs, the "
        "candidates of d) need no bits, because the message names the function without them.",
        "",
        "What is not: the grid is fixed and hashed before the run, but which frozen features it names was chosen by "
        "people who had seen earlier runs on the same training data. Had that choice been one of 256 and been charged "
        f"as {CHOICE_BITS} bits, no bound above would rise by more than {dearer:.4f}.",
        "",
        "The test-set bound is the reference: ten thousand unseen examples say more than any bound from training data "
        "alone; SST-2's 872 do not. But SST-2's phrases are parts of shared sentences, so they are not independent, "
        "and its test set holds whole sentences: its certificate says what would hold if they were. The last column "
        "but one is Lotfi et al.'s bound without pretraining.",
    ]


def table(rows: list[Row]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, rows))
    return buffer.getvalue()


def draw(rows: list[Row]) -> dict[str, bytes]:
    """A line a certificate: training error, test error, test-set bound, certified, published, majority class."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from intrinsic.report.style import BLUE, GREEN, GREY, INK, ORANGE, RED, saved, style

    marks: dict[str, tuple[str, str, str]] = {
        "training error": ("train_error", ".", GREY),
        "test error": ("test_error", "s", GREEN),
        "test-set bound": ("test_set_bound", "D", ORANGE),
        "certified": ("bound", "o", BLUE),
        "Lotfi et al. 2022": ("published", "^", RED),
        "majority class": ("majority", "|", INK),
    }
    with style():
        figure = Figure(figsize=(6.4, 0.9 + 0.28 * len(rows)))
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.235, 0.155, 0.56, 0.82))
        places = range(len(rows), 0, -1)
        for place, r in zip(places, rows, strict=True):
            axes.plot([r.train_error, r.bound], [place, place], color="#cccccc", linewidth=0.8, zorder=1)
        for label, (key, marker, colour) in marks.items():
            found = ((getattr(r, key), place) for r, place in zip(rows, places, strict=True))
            seen = [(value, place) for value, place in found if value is not None]
            look: dict[str, Any] = {"marker": marker, "color": colour, "linestyle": "", "markersize": 4, "zorder": 2}
            look |= {"fillstyle": "none"} if key in ("test_error", "test_set_bound") else {}
            axes.plot([x for x, _ in seen], [y for _, y in seen], label=label, **look)
        axes.set_yticks(list(places), [f"{r.task}, {r.bits:,} bits" for r in rows])
        axes.set_ylim(0.4, len(rows) + 0.6)
        axes.set_xlim(0, 1)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("error", color=INK)
        labels = (label.get_window_extent(canvas.get_renderer()).width for label in axes.get_yticklabels())
        left = max(labels) / figure.bbox.width + GAP
        axes.set_position((left, 0.155, 0.795 - left, 0.82))
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK, handletextpad=0.2)
        return saved(figure, "certificates", dpi=200)


if __name__ == "__main__":
    main()

"""The bounds of measurements in this folder: counts in, tables and figures out.

    intrinsic bound RUN_DIR --count --random-labels         # trains one trial a dimension again: minutes
    python experiments/bounds_of_runs.py RUN_DIR NAME       # takes over the errors counted there; NAME is in results/
    python experiments/bounds_of_runs.py                    # writes page and figures again: seconds

Keeps the counts in bounds_of_runs.json; writes bounds_of_runs.md and ../figures/bounds-NAME.csv, .png and .pdf.
"""

from __future__ import annotations

import argparse
import json
import pathlib

from intrinsic.certificate.record import read_certificate
from intrinsic.records import MeasureResult, TrialErrors
from intrinsic.report import words
from intrinsic.report.bounds import Material
from intrinsic.report.bounds.figure import render
from intrinsic.report.bounds.price import WIDTHS
from intrinsic.report.bounds.rows import COMPARISON, SQRT, BoundRow, Claim, representatives, rows_of
from intrinsic.report.bounds.tables import HEADER, by_dimension, table_csv
from intrinsic.report.bounds.verdict import findings
from intrinsic.store.counted import read_errors

HERE = pathlib.Path(__file__).resolve().parent
COUNTS = HERE / "bounds_of_runs.json"
FIGURES = HERE.parent / "figures"
DELTA = 0.05


def counts() -> dict[str, list[TrialErrors]]:
    """The errors counted on the trials of each measurement, by its name."""
    if not COUNTS.exists():
        return {}
    stored = json.loads(COUNTS.read_text())
    return {name: [TrialErrors.model_validate(one) for one in counted] for name, counted in stored.items()}


def take_over(folder: pathlib.Path, name: str) -> None:
    """Add a run's counts to the record, those of the measurement's own trials."""
    wanted = {trial.trial_id for trial in representatives(measurement(name))}
    kept = {**counts(), name: [one for one in read_errors(folder) if one.trial_id in wanted]}
    told = {key: [one.model_dump(mode="json") for one in kept[key]] for key in sorted(kept)}
    COUNTS.write_text(json.dumps(told, indent=1) + "\n")


def measurement(name: str) -> MeasureResult:
    return MeasureResult.model_validate_json((HERE / "results" / f"{name}.json").read_text())


def material(name: str, counted: list[TrialErrors]) -> Material:
    true = {one.trial_id: one for one in counted if not one.random_labels}
    shuffled = {one.trial_id: one for one in counted if one.random_labels}
    result = measurement(name)
    return Material(result, {}, true, DELTA, shuffled, claims(result))


def claims(result: MeasureResult) -> tuple[Claim, ...]:
    """The recorded certificates that speak of the same data."""
    found = map(read_certificate, sorted((HERE / "results").glob("*/certificate.json")))
    same = [c for c in found if c.hashes.data == result.meta.hashes["data"] and not c.grid.random_labels]
    return tuple(Claim("certificate", c.bound, sum(c.delta.values()), c.dim, c.bits) for c in same)


def section(name: str, there: Material, rows: list[BoundRow]) -> list[str]:
    """One measurement: findings, the table, the figure."""
    spec, counted = there.result.run.spec, [*there.errors.values(), *there.shuffled.values()]
    spent = sum(one.seconds for one in counted)
    header = ["d", *HEADER[1:3], *(f"Theorem 1, {cell}" for cell in HEADER[3:-1]), f"{SQRT}, no bound"]
    return [
        f"## {words.model(spec)} on {words.task(spec)}",
        "",
        f"The measurement [{name}]({name}.yaml), m = {words.count(there.result.result.num_train)}; counting trained "
        f"{len(counted)} networks in {words.duration(spent)}.",
        "",
        *(f"- {told}" for told in findings(there, rows)),
        "",
        f"| {' | '.join(header)} |",
        "|" + "---:|" * len(header),
        *(f"| {' | '.join(cells)} |" for cells in by_dimension(rows)),
        "",
        f"![Bounds against d](../figures/bounds-{name}.png)",
        "",
    ]


def page() -> tuple[str, dict[str, str | bytes]]:
    """The text of bounds_of_runs.md, and the figures' files by name."""
    lines = [
        "# Bounds of our own measurements",
        "",
        "`intrinsic bound RUN --count --random-labels`, then `python experiments/bounds_of_runs.py RUN NAME`. "
        f"delta = {DELTA}. At each d the trial of the first seed that ended is trained again and its errors are "
        "counted, as trained (32 bits a coordinate) and with its coordinates rounded to "
        f"{', '.join(map(str, WIDTHS[:-1]))} bits, without "
        "training for it. Every choice is paid: d of the grid, the seed's index, the bits a coordinate, the scale. "
        f"The bounds beside Theorem 1 (kl, binomial tail, PAC-Bayes, Catoni, and {COMPARISON}) are in the CSV.",
        "",
    ]
    files: dict[str, str | bytes] = {}
    for name, counted in counts().items():
        there = material(name, counted)
        rows = rows_of(there)
        lines += section(name, there, rows)
        files[f"bounds-{name}.csv"] = table_csv(there.result, rows)
        files |= {f"bounds-{name}.{kind.split('.')[1]}": data for kind, data in render(there, rows).items()}
    return "\n".join(lines), files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=pathlib.Path)
    parser.add_argument("name", nargs="?", help="of the measurement in results/")
    args = parser.parse_args()
    if args.run:
        take_over(args.run, args.name)
    text, files = page()
    (HERE / "bounds_of_runs.md").write_text(text)
    for name, data in files.items():
        path = FIGURES / name
        path.write_text(data) if isinstance(data, str) else path.write_bytes(data)
    print(text)


if __name__ == "__main__":
    main()

"""`intrinsic bound`: what an existing measurement proves about the error on new examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from intrinsic.errors import StoreError
from intrinsic.records import MeasureResult, TrialResult
from intrinsic.report import words
from intrinsic.report.bounds import write_bounds
from intrinsic.report.bounds.price import WIDTHS, bits_words
from intrinsic.report.bounds.rows import BoundRow, Claim, Material, representatives, rows_of
from intrinsic.report.bounds.tables import HEADER, all_bounds, by_dimension, chosen_dimension, facts, title
from intrinsic.report.bounds.verdict import assumptions, findings
from intrinsic.store import Store, read_measurement
from intrinsic.store.counted import read_errors, write_errors

from .facts import show_facts


def run(
    folder: Path = typer.Argument(metavar="DIR", help="The output folder of `intrinsic measure`."),
    measure_id: str | None = typer.Option(
        None, "--id", metavar="ID", help="An older result of that folder, by its name in results/."
    ),
    delta: float = typer.Option(0.05, metavar="P", help="The probability with which a bound may fail."),
    count: bool = typer.Option(
        False,
        "--count",
        help="Train one trial a dimension again and count its training errors, as trained and rounded to "
        f"{', '.join(map(str, WIDTHS[:-1]))} bits a coordinate: trials do not record them. Kept in DIR/errors.",
    ),
    random_labels: bool = typer.Option(
        False,
        "--random-labels",
        help="Train once more on shuffled labels, as a check: no bound may then lie below the majority class's error.",
    ),
    certificate: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="A certificate by `intrinsic certify` to show beside the bounds; default DIR/certificate.json.",
    ),
    output_dir: Path | None = typer.Option(None, metavar="PATH", help="Where the files go; default DIR."),
) -> None:
    """Read the record, count if asked to, write the files, print the bounds."""
    result = read_measurement(folder, measure_id)
    console = Console(highlight=False, markup=False)
    material = Material(result, _trials(folder, result), {}, delta, claims=_claims(folder, certificate, result))
    rows_of(material)  # what has no bound is refused before anything is trained
    if count or random_labels:
        _count(console, folder, material, (count, random_labels))
    counted = read_errors(folder)
    material = replace(
        material,
        errors={c.trial_id: c for c in counted if not c.random_labels},
        shuffled={c.trial_id: c for c in counted if c.random_labels},
    )
    rows = rows_of(material)
    show(console, material, rows, write_bounds(material, rows, output_dir or folder))


def show(console: Console, material: Material, rows: Sequence[BoundRow], written: Sequence[Path]) -> None:
    """Print the findings, the tables, what has to be true, and the files' names."""
    console.print(Text(title(material.result), style="bold"))
    for told in findings(material, rows):
        console.print(Text(told))
    console.print()
    show_facts(console, facts(material, rows))
    console.print()
    _print(console, HEADER, by_dimension(rows))
    d = chosen_dimension(material.result, rows)
    if d is not None and all_bounds(rows, d):
        console.print(f"every bound at d = {d}:")
        _print(console, ("bound", *HEADER[3:-1]), all_bounds(rows, d))
    console.print("What has to be true:")
    for told in assumptions(material):
        console.print(Text(f"- {told}"))
    console.print(Text(f"files: {written[0].parent}: {', '.join(path.name for path in written)}"))


def _print(console: Console, header: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, column in enumerate(header):
        table.add_column(column, justify="right" if place or header is HEADER else "left", overflow="fold")
    for row in body:
        table.add_row(*map(Text, row))
    console.print(table)
    console.print()


def _trials(folder: Path, result: MeasureResult) -> dict[str, TrialResult]:
    """The records of the trials that stand for their dimension, as far as the folder has them."""
    with Store(folder, read_only=True) as store:
        found = [store.get(trial.trial_id) for trial in representatives(result)]
    return {trial.run.trial_id: trial for trial in found if trial is not None}


def _claims(folder: Path, named: Path | None, result: MeasureResult) -> tuple[Claim, ...]:
    """The certificate in the folder, or the one named, if it speaks of the run's own data."""
    path = named or folder / "certificate.json"
    if not path.exists():
        if named is not None:
            raise StoreError(f"there is no certificate at {named}: name one that `intrinsic certify` wrote")
        return ()
    from intrinsic.certificate.record import read_certificate  # which loads torch

    found = read_certificate(path)
    data = result.meta.hashes.get("data")
    if data not in (None, found.hashes.data):
        raise StoreError(f"{path} speaks of other data than the run in {folder}: give one made with the same task")
    name = "certificate, shuffled labels" if found.grid.random_labels else "certificate"
    return (Claim(name, found.bound, sum(found.delta.values()), found.dim, found.bits),)


def _count(console: Console, folder: Path, material: Material, wanted: tuple[bool, bool]) -> None:
    """Count the errors of trials trained again, and keep them in the folder; what was counted before stays.

    wanted: whether to count at every dimension on the true labels, and at one dimension on shuffled labels.
    """
    known = {(c.trial_id, c.random_labels) for c in read_errors(folder)}
    rows, d90 = representatives(material.result), material.result.result.d90
    middle = d90 if d90 in {row.d for row in rows} else rows[len(rows) // 2].d
    asked = [(row, False) for row in rows if wanted[0]] + [(row, True) for row in rows if wanted[1] and row.d == middle]
    todo = [(row, shuffle) for row, shuffle in asked if (row.trial_id, shuffle) not in known]
    missing = [row.trial_id for row, _ in todo if row.trial_id not in material.trials]
    if missing:
        raise StoreError(
            f"to count errors the trials' records are needed, and {folder}/trials lacks {missing[0]}: "
            "measure again into this folder, or leave --count and --random-labels out"
        )
    seconds = sum(row.seconds for row, _ in todo)
    plan = f"{len(todo)} trials to train again, about {words.duration(seconds)} and a pass over the data for each"
    console.print(f"counting errors: {plan if todo else 'nothing left to count'}")
    for row, shuffle in todo:
        from intrinsic.trial.risk import count_errors

        found = count_errors(material.trials[row.trial_id].run.spec, WIDTHS, random_labels=shuffle)
        write_errors(folder, found)
        told = ", ".join(f"{c.train_errors} at {bits_words(c.bits)}" for c in found.counts)
        labels = ", shuffled labels" if shuffle else ""
        console.print(f"d = {row.d}{labels}: errors on {words.count(found.num_train)} training examples: {told}")

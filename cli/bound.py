"""`intrinsic bound`: the bounds on the error on new examples that an existing measurement proves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from intrinsic.bounding import DELTA, CountingBegins, ErrorsCounted, bound
from intrinsic.report import words
from intrinsic.report.bounds.price import WIDTHS, bits_words
from intrinsic.report.bounds.rows import BoundRow, Material
from intrinsic.report.bounds.tables import HEADER, all_bounds, by_dimension, chosen_dimension, facts, title
from intrinsic.report.bounds.verdict import assumptions, findings

from .facts import show_facts


def run(
    folder: Path = typer.Argument(metavar="DIR", help="The output folder of `intrinsic measure`."),
    measure_id: str | None = typer.Option(
        None, "--id", metavar="ID", help="An older result of that folder, by its name in results/."
    ),
    delta: float = typer.Option(DELTA, metavar="P", help="The probability with which a bound may fail."),
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
    """Read the record, count errors if asked to, write the files, print the bounds."""
    console = Console(highlight=False, markup=False)
    made = bound(
        folder,
        measure_id=measure_id,
        delta=delta,
        count=count,
        random_labels=random_labels,
        certificate=certificate,
        output_dir=output_dir,
        on_count=partial(_tell, console),
    )
    show(console, made.material, made.rows, made.files)


def _tell(console: Console, event: CountingBegins | ErrorsCounted) -> None:
    if isinstance(event, CountingBegins):
        about = f"about {words.duration(event.seconds)} and a pass over the data for each"
        plan = f"{event.trials} trials to train again, {about}" if event.trials else "nothing left to count"
        console.print(f"counting errors: {plan}")
        return
    told = ", ".join(f"{c.train_errors} at {bits_words(c.bits)}" for c in event.found.counts)
    labels = ", shuffled labels" if event.found.random_labels else ""
    number = words.count(event.found.num_train)
    console.print(f"d = {event.d}{labels}: errors on {number} training examples: {told}")


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

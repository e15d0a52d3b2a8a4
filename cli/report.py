"""`intrinsic report`: tables and figures from result.json, without training and without torch."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from intrinsic.report import write_report
from intrinsic.store import read_measurement

from .summary import show


def run(
    folder: Path = typer.Argument(metavar="DIR", help="The output folder of `intrinsic measure`."),
    measure_id: str | None = typer.Option(
        None, metavar="ID", help="An older result of that folder, by its name in results/."
    ),
) -> None:
    """Read the record, write the files, print the result."""
    result = read_measurement(folder, measure_id)
    show(Console(highlight=False, markup=False), result, write_report(result, folder))

"""`intrinsic report`: tables and figures from what is stored, without training and without torch."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from intrinsic.report import write_report
from intrinsic.report.comparison import write_comparison
from intrinsic.store import read_comparison, read_measurement

from .comparison import show as show_comparison
from .summary import show


def run(
    folder: Path = typer.Argument(metavar="DIR", help="The output folder of `intrinsic measure` or `compare`."),
    measure_id: str | None = typer.Option(
        None, metavar="ID", help="An older result of that folder, by its name in results/ or comparisons/."
    ),
) -> None:
    """Read the records, write the files, print the results; a folder may hold a measurement, a comparison or both."""
    console = Console(highlight=False, markup=False)
    compared = folder / ("comparison.json" if measure_id is None else f"comparisons/{measure_id}.json")
    if compared.is_file():
        comparison = read_comparison(folder, measure_id)
        show_comparison(console, comparison, [compared, *write_comparison(comparison, folder)])
    if not compared.is_file() or (measure_id is None and (folder / "result.json").is_file()):
        result = read_measurement(folder, measure_id)
        show(console, result, write_report(result, folder))

"""From a comparison's record to tables and a figure. Nothing here trains, and nothing imports torch.

comparison.md    the tables, for reading       comparison.tex   the same for a paper (booktabs)
comparison.csv   a line a method and size      pareto.png, pareto.pdf   score against parameters trained
smallest.csv     of --at: a line a method
"""

from __future__ import annotations

from pathlib import Path

from intrinsic.records import CompareResult
from intrinsic.store.disk import write_files

__all__ = ["contents", "write_comparison"]


def contents(result: CompareResult) -> dict[str, str | bytes]:
    """The files, by name. The same record gives the same bytes."""
    from intrinsic.report.comparison.pareto import render
    from intrinsic.report.comparison.tables import csv_table, latex, markdown, smallest_csv

    return {
        "comparison.md": markdown(result),
        "comparison.tex": latex(result),
        "comparison.csv": csv_table(result),
        **({"smallest.csv": smallest_csv(result)} if result.result.smallest else {}),
        **render(result),
    }


def write_comparison(result: CompareResult, folder: Path) -> list[Path]:
    """Write the files into `folder`, each whole or not at all, and name them.

    Raises StoreError where the folder cannot be written.
    """
    return write_files(folder, contents(result))

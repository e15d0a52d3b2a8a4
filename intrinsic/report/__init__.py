"""From a measurement's record to tables and figures. Nothing here trains, and nothing imports torch.

result.md    everything, for reading
result.tex   a row for the paper's table and the scores by dimension (booktabs)
curve.png, curve.pdf, curve.csv   score against d, and every number in the figure
"""

from __future__ import annotations

from pathlib import Path

from intrinsic.records import MeasureResult
from intrinsic.store.disk import write_files

__all__ = ["contents", "write_report"]


def contents(result: MeasureResult) -> dict[str, str | bytes]:
    """The report's files, by name. The same record gives the same bytes."""
    from intrinsic.report.curve import curve_csv
    from intrinsic.report.figure import render
    from intrinsic.report.tables import latex, markdown

    return {
        "result.md": markdown(result),
        "result.tex": latex(result),
        "curve.csv": curve_csv(result),
        **render(result),
    }


def write_report(result: MeasureResult, folder: Path) -> list[Path]:
    """Write the report's files into `folder`, each whole or not at all, and name them.

    Raises StoreError where the folder cannot be written.
    """
    return write_files(folder, contents(result))

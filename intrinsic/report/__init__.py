"""From a record to tables and figures. Nothing here trains, and nothing imports torch.

Of a measurement (of a comparison: see intrinsic.report.comparison):

result.md    everything, for reading
result.tex   a row for the paper's table and the scores by dimension (booktabs)
curve.png, curve.pdf, curve.csv   score against d, and every number in the figure
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from intrinsic.records import CompareResult, MeasureResult
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


def write_report(result: MeasureResult | CompareResult, folder: str | PathLike[str]) -> list[Path]:
    """Write the files of a measurement's or a comparison's report into `folder`, each whole or not at all; their paths.

    Raises StoreError where the folder cannot be written.
    """
    if isinstance(result, CompareResult):
        from intrinsic.report.comparison import write_comparison

        return write_comparison(result, Path(folder))
    return write_files(Path(folder), contents(result))

"""From a measurement to every bound it allows. Nothing here trains, and nothing imports torch.

bounds.md     findings, what was paid for, the bounds by dimension, what has to be true
bounds.tex    the table by dimension (booktabs)
bounds.csv, bounds.json            every number, one a row
bounds.png, bounds.pdf             the bounds against d
"""

from __future__ import annotations

from pathlib import Path

from intrinsic.report.bounds.rows import BoundRow, Material
from intrinsic.store.disk import write_files

__all__ = ["BoundRow", "Material", "contents", "write_bounds"]


def contents(material: Material, rows: list[BoundRow]) -> dict[str, str | bytes]:
    """The files, by name. The same material gives the same bytes."""
    from intrinsic.report.bounds.figure import render
    from intrinsic.report.bounds.tables import latex, markdown, table_csv, table_json

    return {
        "bounds.md": markdown(material, rows),
        "bounds.tex": latex(material, rows),
        "bounds.csv": table_csv(material.result, rows),
        "bounds.json": table_json(material, rows),
        **render(material, rows),
    }


def write_bounds(material: Material, rows: list[BoundRow], folder: Path) -> list[Path]:
    """Write the files into `folder`, each whole or not at all, and name them.

    Raises StoreError where the folder cannot be written.
    """
    return write_files(folder, contents(material, rows))

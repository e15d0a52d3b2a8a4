"""A result for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intrinsic.records import MeasureResult
from intrinsic.report import words
from intrinsic.report.tables import facts


def show(console: Console, result: MeasureResult, written: Sequence[Path]) -> None:
    """The facts (the dimension in bold), what the search says of itself, warnings, files, how to get it again."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    wanted = words.d_name(result.run.spec)
    for name, value in facts(result):
        table.add_row(name, Text(value, style="bold" if name == wanted else ""))
    table.add_row("search", Text(result.result.search.message))
    for warning in result.result.warnings:
        table.add_row(Text("warning", style="yellow"), Text(warning))
    if written:
        table.add_row("files", Text(f"{written[0].parent}: {', '.join(path.name for path in written)}"))
    table.add_row("again", Text(result.run.command))
    console.print()
    console.print(table)

"""The printing of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intrinsic.records import CompareResult
from intrinsic.report.comparison.notes import notes
from intrinsic.report.comparison.tables import facts, tables, title

from .facts import show_facts


def show(console: Console, result: CompareResult, written: Sequence[Path]) -> None:
    """Print the tables, the facts, notes, files, and the command that gives the result again."""
    console.print()
    console.print(Text(title(result), style="bold"))
    rows = [*facts(result), *(("note", note) for note in notes(result))]
    rows += [
        ("files", f"{written[0].parent}: {', '.join(path.name for path in written)}"),
        ("again", result.run.command),
    ]
    for heading, (header, cells) in tables(result):
        table = Table(title=heading, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
        for number, column in enumerate(header):
            table.add_column(column, justify="right" if number else "left", no_wrap=number > 0, overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        console.print()
        console.print(table)
    console.print()
    show_facts(console, rows)

"""The printing of a measurement's result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from intrinsic.records import MeasureResult
from intrinsic.report import words
from intrinsic.report.tables import facts

from .facts import show_facts


def show(console: Console, result: MeasureResult, written: Sequence[Path]) -> None:
    """Print the facts (the dimension in bold), the search's message, warnings, files, and how to get it again."""
    wanted = words.d_name(result.run.spec)
    rows: list[tuple[Text | str, Text | str]] = [
        (name, Text(value, style="bold" if name == wanted else "")) for name, value in facts(result)
    ]
    rows.append(("search", result.result.search.message))
    rows += [(Text("warning", style="yellow"), warning) for warning in result.result.warnings]
    if written:
        rows.append(("files", f"{written[0].parent}: {', '.join(path.name for path in written)}"))
    console.print()
    show_facts(console, [*rows, ("again", result.run.command)])

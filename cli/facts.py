"""The printing of names and values, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

WHOLE = ("again",)
"""Names of values that are never folded in a file: commands, which are copied."""


def show_facts(console: Console, facts: Sequence[tuple[Text | str, Text | str]]) -> None:
    """Print names and values, folded to the console's width; in a file lines end without blanks."""
    rows = [(_text(name), _text(value)) for name, value in facts]
    if not console.is_terminal:
        width = max(len(name) for name, _ in rows) + 2
        for name, value in rows:
            for line in _lines(name.plain, value.plain, width, console.width):
                console.print(Text(line), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


def _text(part: Text | str) -> Text:
    return part if isinstance(part, Text) else Text(part)


def _lines(name: str, value: str, indent: int, width: int) -> list[str]:
    start, further = f"{name:<{indent}}", " " * indent
    if name in WHOLE:
        return [start + value]
    return wrap(value, width, initial_indent=start, subsequent_indent=further, break_on_hyphens=False) or [name]

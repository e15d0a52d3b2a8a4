"""Text from records, made safe for Markdown, LaTeX and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "[": "{[}",  # after \\ or \midrule a bracket would open an optional argument
    "]": "{]}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "–": "--",
    "…": r"\ldots{}",
}
"""LaTeX for a character, by character."""
MARKDOWN = {
    "\\": "\\\\",
    "|": r"\|",
    "`": r"\`",
    "*": r"\*",
    "<": "&lt;",
    ">": "&gt;",
    "[": r"\[",
    "]": r"\]",
    "#": r"\#",
}
"""Markdown for a character, by character."""


def one_line(value: object) -> str:
    """The value as text without control characters and line ends: they would end a table's row or a code block."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", str(value))


def for_latex(value: object) -> str:
    """The value as text that LaTeX sets as it is."""
    return "".join(LATEX.get(c, c) for c in one_line(value))


def for_markdown(value: object) -> str:
    """The value as text that Markdown shows as it is."""
    return "".join(MARKDOWN.get(c, c) for c in one_line(value))


def for_html(value: object) -> str:
    """The value as text for HTML, within elements and within quoted attributes."""
    return html.escape(one_line(value))


def markdown_row(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(map(for_markdown, cells))} |"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; every column but the first is aligned to the right."""
    return [markdown_row(header), "|---" + "|---:" * (len(header) - 1) + "|", *map(markdown_row, rows)]


def markdown_facts(facts: Sequence[tuple[str, str]]) -> list[str]:
    """The lines of a Markdown table of names and values, without column titles."""
    return ["| | |", "|---|---|", *map(markdown_row, facts)]

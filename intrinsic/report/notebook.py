"""Measurements, comparisons and bounds as HTML, the way a notebook shows them.

The HTML stands alone: the figure is within it, nothing is fetched, no script runs, and no colour of text or page is
set, so that it can be read on a light and on a dark page.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence

from matplotlib.figure import Figure

from intrinsic.records import CompareResult, MeasureResult
from intrinsic.report import words
from intrinsic.report.bounds.rows import BoundRow, Material
from intrinsic.report.escape import for_html

DPI = 150
"""Resolution of the figure, in pixels an inch."""
LEFT, RIGHT = ' style="text-align:left"', ' style="text-align:right"'
"""Attributes of a cell: notebooks align cells to the right by themselves."""


def measurement(result: MeasureResult) -> str:
    """A measurement as HTML: facts, the search's message, warnings and the figure."""
    from intrinsic.report.figure import draw
    from intrinsic.report.tables import facts

    spec, outcome = result.run.spec, result.result
    title = f"{words.d_name(spec)} of {words.model(spec)} on {words.task(spec)}: {words.dimension(outcome, spec)}"
    return _page(
        _heading(title),
        _facts(facts(result)),
        _paragraph(outcome.search.message),
        *(_paragraph(warning, "Warning. ") for warning in outcome.warnings),
        _figure(lambda: draw(result), "Score against the subspace dimension"),
        _command(result.run.command),
    )


def comparison(result: CompareResult) -> str:
    """A comparison as HTML: facts, warnings and notes, every table that has rows, and the figure."""
    from intrinsic.report.comparison.notes import notes
    from intrinsic.report.comparison.pareto import draw
    from intrinsic.report.comparison.tables import facts, tables, title

    return _page(
        _heading(title(result)),
        _facts(facts(result)),
        *(_paragraph(note, "Warning. " if note in result.result.warnings else "Note. ") for note in notes(result)),
        *(_table(heading, header, rows) for heading, (header, rows) in tables(result)),
        _figure(lambda: draw(result), "Score against parameters trained"),
        _command(result.run.command),
    )


def bounds(material: Material, rows: Sequence[BoundRow]) -> str:
    """Bounds as HTML: findings, facts, the table by dimension, what has to be true, and the figure."""
    from intrinsic.report.bounds.figure import draw
    from intrinsic.report.bounds.tables import HEADER, by_dimension, facts, title
    from intrinsic.report.bounds.verdict import assumptions, findings

    return _page(
        _heading(title(material.result)),
        *map(_paragraph, findings(material, rows)),
        _facts(facts(material, rows)),
        _table("Theorem 1 with every bit paid, by dimension", HEADER, by_dimension(rows)),
        *(_paragraph(told, "Has to be true. ") for told in assumptions(material)),
        _figure(lambda: draw(material, rows), "Bounds against the subspace dimension"),
    )


def _page(*parts: str) -> str:
    return "\n".join(["<div>", *parts, "</div>"])


def _heading(text: str) -> str:
    return f"<h4>{for_html(text)}</h4>"


def _paragraph(text: str, mark: str = "") -> str:
    return f"<p>{f'<strong>{mark}</strong>' if mark else ''}{for_html(text)}</p>"


def _command(text: str) -> str:
    return f"<p>To get this again: <code>{for_html(text)}</code></p>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    """A table of names and values, a pair a row."""
    rows = (f'<th scope="row"{LEFT}>{for_html(name)}</th><td{LEFT}>{for_html(value)}</td>' for name, value in facts)
    return "\n".join(["<table><tbody>", *(f"<tr>{row}</tr>" for row in rows), "</tbody></table>"])


def _table(heading: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table under its heading; every column but the first is aligned to the right."""
    head = "".join(f'<th scope="col"{side}>{for_html(cell)}</th>' for cell, side in _sides(header))
    body = ("".join(f"<td{side}>{for_html(cell)}</td>" for cell, side in _sides(row)) for row in rows)
    return "\n".join(
        [
            f"<table><caption{LEFT}>{for_html(heading)}</caption>",
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *(f"<tr>{cells}</tr>" for cells in body),
            "</tbody></table>",
        ]
    )


def _sides(cells: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((cell, RIGHT if place else LEFT) for place, cell in enumerate(cells))


def _figure(draw: Callable[[], Figure], words_instead: str) -> str:
    """The figure as a PNG within the page; words_instead: what a reader without images gets."""
    from intrinsic.report.style import image, style

    with style():
        data = b64encode(image(draw(), "png", DPI)).decode("ascii")
    return f'<img alt="{for_html(words_instead)}" style="max-width:100%" src="data:image/png;base64,{data}">'

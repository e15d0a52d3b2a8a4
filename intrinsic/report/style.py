"""How figures look, whatever the user's matplotlib is set to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
"""Okabe and Ito (2008): distinct to colour-blind readers. Kinds of marks differ in shape or dash as well."""
INK, GREY = "#222222", "#595959"
SIZE = (3.4, 2.75)
"""Inches; the width of a column in a two-column paper, so that the words keep their size there."""
WORDS, SMALL = 7.5, 6.5
"""Points."""
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": WORDS,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "legend.fontsize": SMALL,
    "pdf.fonttype": 42,
    "path.simplify": False,
}


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's own defaults and STYLE, whatever the user has set; what was set comes back afterwards."""
    settings: Any = dict(matplotlib.rcParamsDefault) | STYLE | {"backend": "agg"}
    with matplotlib.rc_context(settings):
        yield


def saved(figure: Figure, stem: str, dpi: int = 300) -> dict[str, bytes]:
    """{"<stem>.png": ..., "<stem>.pdf": ...}: the same figure twice, without date or program, so the same bytes again.

    To be called inside `style()`.
    """
    undated = {"png": {"Software": None}, "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer"))}
    files = {}
    for kind, metadata in undated.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
        files[f"{stem}.{kind}"] = buffer.getvalue()
    return files

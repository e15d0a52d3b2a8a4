"""Look of the figures, whatever the user's matplotlib is set to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
"""Colours of Okabe and Ito (2008), distinct to colour-blind readers. Kinds of marks differ in shape or dash as well."""
INK, GREY = "#222222", "#595959"
"""Colours of words: those that matter most, and the others."""
SIZE = (3.4, 2.75)
"""Width and height in inches; the width of a column in a two-column paper, so that the words keep their size there."""
WORDS, SMALL = 7.5, 6.5
"""Sizes of words, in points."""
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
"""matplotlib's settings for every figure."""
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
}
"""The entries of a file's metadata that are left out, by its kind."""


@contextmanager
def style() -> Iterator[None]:
    """A context in which matplotlib has its own defaults and STYLE; the user's settings come back after it."""
    settings: Any = dict(matplotlib.rcParamsDefault) | STYLE | {"backend": "agg"}
    with matplotlib.rc_context(settings):
        yield


def saved(figure: Figure, stem: str, dpi: int = 300) -> dict[str, bytes]:
    """The figure as two files: {"<stem>.png": ..., "<stem>.pdf": ...}.

    They name no date and no program, so that the same figure gives the same bytes. dpi: pixels an inch of the PNG. To
    be called inside `style()`.
    """
    return {f"{stem}.{kind}": image(figure, kind, dpi) for kind in METADATA}


def image(figure: Figure, kind: str, dpi: int) -> bytes:
    """The figure as the bytes of a `png` or `pdf` file, dpi pixels an inch; to be called inside `style()`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=dpi, metadata=METADATA[kind])
    return buffer.getvalue()

"""A bench as tables and files: for the terminal, Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict

from intrinsic.bench import Bench, ProjectionRow, TransformRow
from intrinsic.bench.transforms import OURS, PASS

Rows = list[tuple[str, ...]]
"""The lines of a table, as texts."""
TRANSFORMS = ("device", "rows x p", "library", "ms", "x pass", "x intrinsic")
"""The columns of :func:`transform_rows`."""
PROJECTIONS = ("device", "projection", "d", "n, M", "pass", "forward", "x pass", "adjoint", "x pass")
"""The columns of :func:`projection_rows`: times in milliseconds, n in millions. The kernels are those that a user gets
unless others are named."""


def transform_rows(made: Bench) -> Rows:
    """The lines of each library at each size: milliseconds, against one pass over the floats, against ours."""
    return [
        (
            _where(row),
            f"{row.rows} x {row.p}",
            name,
            _ms(timing.best),
            f"{timing.best / row.times[PASS].best:.2f}",
            f"{timing.best / row.times[OURS].best:.2f}",
        )
        for row in made.transforms
        for name, timing in row.times.items()
    ]


def projection_rows(made: Bench) -> Rows:
    """The lines of each projection at each (d, n): milliseconds both ways, and against one pass over n floats."""
    return [
        (
            _where(row),
            _who(row),
            str(row.case.d),
            f"{row.case.n / 1e6:.3g}",
            _ms(row.floor.best),
            _ms(row.forward.best),
            _passes(row.forward.best / row.floor.best),
            _ms(row.adjoint.best),
            _passes(row.adjoint.best / row.floor.best),
        )
        for row in made.projections
    ]


def facts(made: Bench) -> list[str]:
    """The machine, in lines, and what was not measured."""
    m = made.machine
    load = "not told" if m.load is None else f"{m.load:.1f}"
    kernels = (
        f"kernels for {', '.join(m.instruction_sets)} (the first is used)"
        if m.instruction_sets
        else "the C kernels were not built"
    )
    return [
        f"{m.processor}, {m.cores} cores, {kernels}",
        f"{m.system}, Python {m.python}, torch {m.torch}, GPUs: {', '.join(m.devices) or 'none'}",
        f"{m.started}, load before the start: {load}; each time is the least of many",
        *(f"not measured: {what}" for what in made.not_measured),
    ]


def markdown(made: Bench) -> str:
    """The facts and both tables in Markdown."""
    lines = [*(f"- {fact}" for fact in facts(made)), ""]
    return "\n".join(
        [
            *lines,
            "Device: with its threads on a CPU. Times in milliseconds; pass: one read and write of the same floats.",
            "",
            "## Walsh-Hadamard transform",
            "",
            *_table(TRANSFORMS, transform_rows(made), 3),
            "",
            "## W = W_0 + lambda P theta (forward) and P^T g (adjoint)",
            "",
            *_table(PROJECTIONS, projection_rows(made), 2),
            "",
        ]
    )


def to_csv(made: Bench) -> str:
    """The points of the figure as CSV, a line each: kind, device, threads, sizes, library, seconds, and the pass's."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(("kind", "device", "threads", "n", "d_or_p", "who", "seconds", "pass_seconds"))
    for t in made.transforms:
        for name, timing in t.times.items():
            write(("fwht", t.device, t.threads, t.rows * t.p, t.p, name, timing.best, t.times[PASS].best))
    for p in made.projections:
        for kind, timing in (("forward", p.forward), ("adjoint", p.adjoint)):
            write((kind, p.device, p.threads, p.case.n, p.case.d, _who(p), timing.best, p.floor.best))
    return out.getvalue()


def to_json(made: Bench) -> str:
    """The whole record as JSON."""
    return json.dumps(asdict(made), indent=1) + "\n"


def _who(row: ProjectionRow) -> str:
    return row.case.name if row.case.path == "auto" else f"{row.case.name} {row.case.path.removeprefix('native ')}"


def _where(row: TransformRow | ProjectionRow) -> str:
    """The device, a CPU with its threads: `cpu, 2`."""
    return row.device if row.device != "cpu" else f"cpu, {row.threads}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g}" if seconds < 0.9995 else f"{1000 * seconds:.0f}"


def _passes(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 1000 else f"{ratio:.0f}"


def _table(header: Sequence[str], rows: Rows, words: int) -> list[str]:
    """The lines of a table in Markdown; `words`: the number of columns, the first, that are aligned left."""
    rule = "|".join("---" if i < words else "---:" for i in range(len(header)))
    return [f"| {' | '.join(header)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]

"""bounds.md, bounds.tex, bounds.csv and bounds.json: the same rows four times."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict

from intrinsic.records import MeasureResult
from intrinsic.report import words
from intrinsic.report.bounds.price import WIDTHS, bits_words, choice_bits, code_bits
from intrinsic.report.bounds.rows import (
    BOUNDS,
    COMPARISON,
    EVALUATION,
    SQRT,
    TEST_SET,
    THEOREM1,
    TRAINING,
    BoundRow,
    Material,
    at,
    function_of,
    representatives,
)
from intrinsic.report.bounds.verdict import assumptions, best, findings, majority_error, verdict
from intrinsic.report.escape import for_latex, for_markdown, markdown_facts, markdown_table

SCHEMA_VERSION = 1
"""Version of bounds.json."""
COLUMNS = ("name", "kind", "d", "width", "bits", "errors", "samples", "value", "verdict")
"""Columns of bounds.csv."""
HEADER = ("d", "evaluation error", "test set", *map(bits_words, WIDTHS), SQRT)
"""Columns of the table by dimension; those named by bits hold Theorem 1."""


def by_dimension(rows: Sequence[BoundRow]) -> list[tuple[str, ...]]:
    """The table by dimension, with the columns HEADER: Theorem 1 at every width between other numbers."""
    return [
        (
            str(d),
            _cell(at(rows, EVALUATION, d)),
            _cell(at(rows, TEST_SET, d)),
            *(_cell(at(rows, THEOREM1, d, width)) for width in WIDTHS),
            _cell(at(rows, SQRT, d)),
        )
        for d in dimensions_of(rows)
    ]


def all_bounds(rows: Sequence[BoundRow], d: int) -> list[tuple[str, ...]]:
    """The table of all bounds at dimension d: a bound's name, and its value at every width."""
    names = (TRAINING, *BOUNDS, COMPARISON)
    return [(name, *(_cell(at(rows, name, d, width)) for width in WIDTHS)) for name in names if at(rows, name, d)]


def dimensions_of(rows: Sequence[BoundRow]) -> list[int]:
    """The measurement's dimensions, ascending; that of a certificate, which may be another, is left out."""
    return sorted({row.d for row in rows if row.d is not None and row.kind != "claimed"})


def chosen_dimension(result: MeasureResult, rows: Sequence[BoundRow]) -> int | None:
    """The dimension whose bounds are all shown: d90 if it has rows, else that of the least bound, else the largest."""
    dims = dimensions_of(rows)
    least = best(rows)
    return result.result.d90 if result.result.d90 in dims else least.d if least else max(dims, default=None)


def ledger(material: Material, d: int) -> list[tuple[str, str]]:
    """Names and values of what is paid for at dimension d: the code at every width, then the choices by evaluation."""
    trial = next(t for t in representatives(material.result) if t.d == d)
    function = function_of(material, trial)
    if function is None:
        return []
    codes = [(f"code at {bits_words(width)}", code_bits(material.result, function, width)) for width in WIDTHS]
    paid = [*codes, ("choice by evaluation", choice_bits(material.result, function))]
    return [
        (name, f"{sum(parts.values()):,.1f} bits: " + ", ".join(f"{k} {_bits(v)}" for k, v in parts.items() if v))
        for name, parts in paid
    ]


def _bits(count: float) -> str:
    return f"{count:,.0f}" if count == round(count) else f"{count:.2f}"


def title(result: MeasureResult) -> str:
    """The title: what the bounds are of."""
    spec = result.run.spec
    return f"Bounds for {words.model(spec)} on {words.task(spec)}, {words.method_settings(spec)}"


def facts(material: Material, rows: Sequence[BoundRow]) -> list[tuple[str, str]]:
    """Names and values of what the bounds rest on."""
    outcome, majority = material.result.result, majority_error(material.result)
    d = chosen_dimension(material.result, rows)
    return [
        ("samples", f"m = {words.count(outcome.num_train)} training, {words.count(outcome.num_eval)} evaluation"),
        ("delta", f"{material.delta:g}, for each bound alone"),
        ("majority class", words.DASH if majority is None else f"error {words.score(majority)}"),
        *([] if d is None else [(f"paid at d = {d}", ""), *ledger(material, d)]),
    ]


def markdown(material: Material, rows: Sequence[BoundRow]) -> str:
    """The text of bounds.md."""
    d = chosen_dimension(material.result, rows)
    lines = [f"# {for_markdown(title(material.result))}", ""]
    lines += [f"{for_markdown(told)}\n" for told in findings(material, rows)]
    lines += [*markdown_facts(facts(material, rows)), ""]
    lines += ["![Bounds against the subspace dimension](bounds.png)", ""]
    lines += [
        "## By dimension",
        "",
        "Theorem 1 with every bit paid, at 1 to 32 bits a coordinate. ≥: the least it could be,",
    ]
    lines += [f"training errors not counted. 1 and more says nothing. {SQRT} is not a bound.", ""]
    lines += [*markdown_table(HEADER, by_dimension(rows)), ""]
    if d is not None and all_bounds(rows, d):
        lines += [f"## Every bound at d = {d}", ""]
        lines += [*markdown_table(("bound", *HEADER[3:-1]), all_bounds(rows, d)), ""]
        lines += [f"{COMPARISON}: charges less than a prefix code costs, for comparison only.", ""]
    lines += ["## What has to be true", "", *(f"- {for_markdown(told)}" for told in assumptions(material)), ""]
    return "\n".join(lines)


def latex(material: Material, rows: Sequence[BoundRow]) -> str:
    """The text of bounds.tex: one table, which needs booktabs."""
    spec, outcome = material.result.run.spec, material.result.result
    widths = " & ".join(bits_words(width).replace(" ", r"\,") for width in WIDTHS)
    body = [" & ".join(for_latex(cell) for cell in row) + r" \\" for row in by_dimension(rows)]
    model, task = for_latex(words.model(spec)), for_latex(words.task(spec))
    caption = (
        rf"Bounds on the error of {model} on {task} by subspace dimension $d$ "
        rf"($m = {outcome.num_train}$, $\delta = {material.delta:g}$): the evaluation split's, and Theorem 1 with "
        r"every bit paid at 1 to 32 bits a coordinate. $\ge$: training errors not counted, the least it could be. "
        r"Values of 1 and more are vacuous; $\sqrt{d/m}$ is not a bound."
    )
    return "\n".join(
        [
            r"% Made by `intrinsic bound`; needs \usepackage{booktabs}.",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{caption}}}",
            rf"  \label{{tab:bounds-{material.result.run.measure_id}}}",
            r"  \begin{tabular}{rrrrrrrr}",
            r"    \toprule",
            rf"    $d$ & error & test set & {widths} & $\sqrt{{d/m}}$ \\",
            r"    \midrule",
            *(f"    {line}" for line in body),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def table_csv(result: MeasureResult, rows: Sequence[BoundRow]) -> str:
    """The text of bounds.csv, with the columns COLUMNS: one row a number, at full precision."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_written(row, majority_error(result)) for row in rows)
    return text.getvalue()


def table_json(material: Material, rows: Sequence[BoundRow]) -> str:
    """The text of bounds.json: the rows, what they rest on, and what has to be true."""
    majority = majority_error(material.result)
    record = {
        "schema_version": SCHEMA_VERSION,
        "measure_id": material.result.run.measure_id,
        "delta": material.delta,
        "majority_error": majority,
        "findings": findings(material, rows),
        "assumptions": assumptions(material),
        "rows": [_written(row, majority) for row in rows],
    }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _written(row: BoundRow, majority: float | None) -> dict[str, object]:
    return {**asdict(row), "verdict": verdict(row, majority)}


def _cell(row: BoundRow | None) -> str:
    if row is None:
        return words.DASH
    return f"{'≥ ' if row.kind == 'floor' else ''}{row.value:.4f}"

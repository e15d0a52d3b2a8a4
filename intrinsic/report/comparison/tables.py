"""A comparison's tables, cell by cell in words; the terminal, Markdown and LaTeX show the same cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from intrinsic.methods.catalogue import letter_of
from intrinsic.records import CompareResult, CompareRow, Latency, SmallestSize
from intrinsic.report import words
from intrinsic.report.comparison.notes import count, notes, one_size
from intrinsic.report.comparison.paired import LEVEL, Paired, against_full, gaps
from intrinsic.report.escape import for_latex, for_markdown, markdown_facts, markdown_table, one_line
from intrinsic.spec import FULL

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""A table: its header and its rows."""
AGAINST = "score less full fine-tuning's, mean over the seeds that both have"
GAP = "optimisation gap: training loss of full fine-tuning less the method's, mean over the same seeds"
"""Meaning of the columns `against full` and `gap`, in words."""


def name(label: str, method: str, size: int | None) -> str:
    """The name of a method at a size: lora r=8, said d=100, bitfit."""
    return label if size is None else f"{label} {letter_of(method)}={size}"


def short_labels(result: CompareResult) -> dict[str, str]:
    """The short form of every label: the method alone where no other label begins with the same one."""
    labels = [contender.label for contender in result.run.spec.contenders]
    heads = {label: label.split(":")[0] for label in labels}
    return {label: head if list(heads.values()).count(head) == 1 else label for label, head in heads.items()}


def _named(result: CompareResult) -> list[tuple[str, CompareRow]]:
    """The rows, each with the name that tables give it."""
    short = short_labels(result)
    return [(name(short[row.label], row.method.name, row.size), row) for row in result.result.rows]


def scores(result: CompareResult) -> Table:
    """The table of scores, and of what a step of training costs."""
    header = ("method", "score", "n", "rate", "s a step", "memory")
    return header, [(called, *_score_cells(row)) for called, row in _named(result)]


def _score_cells(row: CompareRow) -> tuple[str, ...]:
    spread = "" if row.std is None else f" ± {row.std:.4f}"
    failed = f" ({row.failed} failed)" if row.failed else ""
    return (
        words.DASH if row.mean is None else f"{row.mean:.4f}{spread}",
        f"{len(row.scores)}{failed}",
        words.rate(row.learning_rate),
        words.DASH if row.seconds_per_step is None else f"{row.seconds_per_step:.3g}",
        words.DASH if row.profile is None else words.size(row.profile.peak_bytes),
    )


def differences(result: CompareResult) -> Table:
    """The table of differences to full fine-tuning, in score and training loss, over the seeds that both have."""
    paired = zip(_named(result), against_full(result), gaps(result), strict=True)
    return ("method", "against full", "gap"), [
        (called, _paired(against, 4), _paired(gap, 3)) for (called, row), against, gap in paired if row.label != FULL
    ]


def _paired(found: Paired | None, digits: int) -> str:
    if found is None:
        return words.DASH
    return f"{found.mean:+.{digits}f}" + ("" if found.half is None else f" ± {found.half:.{digits}f}")


def parameters(result: CompareResult) -> Table:
    """The table of parameters and bytes; the head's parameters are among those trained."""
    header = ("method", "trained", "head", "stored", "on disk")
    return header, [
        (
            called,
            count(row.parameters_trained),
            count(row.head_parameters),
            count(row.parameters_stored),
            words.DASH if row.artefact_bytes is None else words.size(row.artefact_bytes),
        )
        for called, row in _named(result)
    ]


def latencies(result: CompareResult) -> Table:
    """The table of latencies: milliseconds for full fine-tuning, multiples of the full model's for the others."""
    sizes = next((_sizes(row) for row in result.result.rows if row.profile is not None), ())
    header = ("method", *(f"batch {size}" for size in sizes), *(f"merged {size}" for size in sizes))
    return header, [(called, *_latency_cells(row, len(sizes))) for called, row in _named(result)]


def _sizes(row: CompareRow) -> tuple[int, ...]:
    return () if row.profile is None else tuple(latency.batch_size for latency in row.profile.latencies)


def _latency_cells(row: CompareRow, columns: int) -> tuple[str, ...]:
    measured = () if row.profile is None else row.profile.latencies
    missing = [words.DASH] * (columns - len(measured))
    full = row.method.name == FULL
    unmerged = [f"{x.full:.3g} ms" if full else _ratio(x, x.unmerged) for x in measured]
    return (
        *(unmerged + missing),
        *([_ratio(x, x.merged) for x in measured] + missing),
    )


def _ratio(latency: Latency, value: float | None) -> str:
    return words.DASH if value is None or not latency.full else f"×{value / latency.full:.2f}"


def smallest(result: CompareResult) -> Table:
    """The table of the smallest sizes that reach the target; for a method of one size, whether that does."""
    header = ("method", "smallest size", "interval", "parameters", "trials", "status")
    short = short_labels(result)
    methods = {contender.label: contender.method.name for contender in result.run.spec.contenders}
    searched = [(short[found.label], *_smallest_cells(found, methods[found.label])) for found in result.result.smallest]
    miss = "stays below" if result.result.higher_is_better else "stays above"
    others = [(short[r.label], *_one_size_cells(r, "reaches it" if ok else miss)) for r, ok in one_size(result)]
    return header, [*searched, *others]


def _one_size_cells(row: CompareRow, status: str) -> tuple[str, ...]:
    return "one size", words.DASH, count(row.parameters_trained), str(len(row.scores) + row.failed), status


def _smallest_cells(found: SmallestSize, method: str) -> tuple[str, ...]:
    search = found.search
    bound = "≤ " if search.status == "met-at-lowest" else ""
    return (
        words.DASH if search.d is None else f"{letter_of(method)} {bound or '= '}{search.d}",
        words.interval(search) if search.d is not None or search.interval != (None, None) else words.DASH,
        count(found.parameters_trained),
        str(len(search.points)),
        search.status.replace("-", " "),
    )


def facts(result: CompareResult) -> list[tuple[str, str]]:
    """Names and values of what a reader needs to judge the tables."""
    base, outcome = result.run.spec.base, result.result
    rows = [
        ("task", f"{words.task(base)} ({outcome.num_train} train, {outcome.num_eval} evaluation)"),
        ("model", words.model(base)),
        ("training", words.budget(base.optim)),
        ("metric", words.metric(outcome.metric, outcome.higher_is_better)),
        ("chance", words.score(outcome.chance)),
    ]
    if outcome.target is not None:
        rule = base.target.model_copy(update={"fraction": result.run.spec.at})
        rows.append(("target", f"{words.score(outcome.target)} = {words.target_rule(rule)}"))
    cut = [label for label, short in short_labels(result).items() if short != label]
    if cut:
        rows.append(("settings", "; ".join(_settings(label) for label in cut)))
    spread = any(row.std is not None for row in outcome.rows)
    rows.append(("score", "mean over n seeds" + " ± their standard deviation" * spread))
    half = f"; ±: half its {100 * LEVEL:g} % interval, the spread pooled over all methods"
    rows.append(("memory", "most that is held in training, weights and the optimiser's state among it"))
    known = [any(found and found.half is not None for found in some) for some in (against_full(result), gaps(result))]
    less = "; less is better" * (not outcome.higher_is_better)
    told = [("against full", AGAINST + half * known[0] + less), ("gap", GAP + "; ± likewise" * known[1])]
    return [*rows, *told, ("cost", words.cost(outcome.cost))]


def _settings(label: str) -> str:
    """A method's settings from its label: mam: length=2, mlp_width=none."""
    head, *options = label.split(":")
    return f"{head}: {', '.join(options)}"


def tables(result: CompareResult) -> list[tuple[str, Table]]:
    """Every table that has rows, with its title."""
    parts = [
        ("Scores, and the cost of training", scores(result)),
        ("Parameters", parameters(result)),
        ("Latency in inference", latencies(result)),
    ]
    if any(row.label != FULL for row in result.result.rows):
        parts.insert(1, ("Differences to full fine-tuning, paired by seed", differences(result)))
    if result.result.smallest:
        share = f"{100 * (result.run.spec.at or 0):g} %"
        parts.insert(0, (f"Smallest size at {share} of full fine-tuning", smallest(result)))
    return parts


def title(result: CompareResult) -> str:
    """The title: what was compared."""
    base = result.run.spec.base
    return f"Methods for {words.model(base)} on {words.task(base)}"


def markdown(result: CompareResult) -> str:
    """The text of comparison.md."""
    lines = [f"# {for_markdown(title(result))}", "", *markdown_facts(facts(result))]
    lines += ["", "![Score against parameters trained](pareto.png)"]
    for heading, (header, rows) in tables(result):
        lines += ["", f"## {for_markdown(heading)}", "", *markdown_table(header, rows)]
    lines += ["", *(f"- {for_markdown(note)}" for note in notes(result)), ""]
    lines += ["## To get this again", "", f"    {one_line(result.run.command)}", ""]
    run, device = result.run, for_markdown(result.meta.device)
    return "\n".join([*lines, f"Comparison {run.compare_id}, started {run.started}, on {device}.", ""])


def latex(result: CompareResult) -> str:
    r"""The text of comparison.tex: the tables for `\input`, which need booktabs and nothing else."""
    lines = ["% Made from comparison.json by `intrinsic report`; needs \\usepackage{booktabs}."]
    called, budget = for_latex(title(result)), for_latex(words.budget(result.run.spec.base.optim))
    for number, (heading, (header, rows)) in enumerate(tables(result)):
        lines += [
            "\\begin{table}",
            "  \\centering",
            f"  \\caption{{{called}: {for_latex(_lower(heading))} ({budget}).{for_latex(_told(result, header))}}}",
            f"  \\label{{tab:compare-{result.run.compare_id}-{number}}}",
            f"  \\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            "    \\toprule",
            f"    {' & '.join(map(for_latex, header))} \\\\",
            "    \\midrule",
            *(f"    {' & '.join(map(for_latex, row))} \\\\" for row in rows),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
        ]
    return "\n".join(lines) + "\n"


def _lower(heading: str) -> str:
    return heading[0].lower() + heading[1:]


def _told(result: CompareResult, header: tuple[str, ...]) -> str:
    """Sentences for a table's caption: what its columns hold, and what it needs to be read alone."""
    known = dict(facts(result))
    told = [f"{column}: {known[column]}" for column in header if column in known]
    if "interval" in header and "target" in known:
        told.append(f"target: {known['target']}" + f"; {known['metric']}" * (not result.result.higher_is_better))
    if "score" in header:
        told += [f"task: {known['task']}; {known['metric']}, of which chance is {known['chance']}"]
        told += [f"settings: {known['settings']}"] if "settings" in known else []
    return "".join(f" {text[0].upper()}{text[1:]}." for text in told)


FIELDS = (
    *("label", "size_name", "size", "mean", "std", "failed", "learning_rate", "parameters_trained"),
    *("parameters_stored", "head_parameters", "artefact_bytes", "seconds_per_step", "train_loss", "optimisation_gap"),
)
"""Columns of comparison.csv that are fields of a row."""
PAIRED = ("optimisation_gap_half", "against_full", "against_full_half")
"""Columns of comparison.csv after FIELDS; a half is half the interval of the column before it."""
SMALLEST_FIELDS = (
    *("label", "size_name", "size", "low", "high", "parameters_trained", "trials", "status", "reached", "target"),
)
"""Columns of smallest.csv."""


def smallest_csv(result: CompareResult) -> str:
    """The text of smallest.csv, one method a row; where nothing was searched, status `one-size` and no interval."""
    rows: list[Sequence[object]] = []
    target = result.result.target
    for found in result.result.smallest:
        s, low_high = found.search, found.search.interval
        cells = (found.label, found.size_name, s.d, *low_high, found.parameters_trained, len(s.points), s.status)
        rows.append((*cells, s.d is not None, target))
    for row, reached in one_size(result):
        counts = (row.parameters_trained, len(row.scores) + row.failed)
        rows.append((row.label, None, None, None, None, *counts, "one-size", reached, target))
    return _csv(result, SMALLEST_FIELDS, rows)


def csv_table(result: CompareResult) -> str:
    """The text of comparison.csv, one method and size a row, numbers at full precision."""
    sizes = next((_sizes(row) for row in result.result.rows if row.profile is not None), ())
    kinds = ("full", "unmerged", "merged")
    latency_fields = [f"{kind}_ms_batch_{size}" for size in sizes for kind in kinds]
    rows: list[Sequence[object]] = []
    for row, against, gap in zip(result.result.rows, against_full(result), gaps(result), strict=True):
        latencies = () if row.profile is None else row.profile.latencies
        rows.append(
            [
                *(getattr(row, field) for field in FIELDS),
                None if gap is None else gap.half,
                *((None, None) if against is None else (against.mean, against.half)),
                " ".join(map(repr, row.scores)),
                None if row.profile is None else row.profile.peak_bytes,
                *(getattr(latency, kind) for latency in latencies for kind in kinds),
            ]
        )
    return _csv(result, (*FIELDS, *PAIRED, "scores", "peak_bytes", *latency_fields), rows)


def _csv(result: CompareResult, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The text of a file; where lower scores are better, a last column `better` says so in every row."""
    out = io.StringIO()
    lower = not result.result.higher_is_better
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, *["better"] * lower])
    writer.writerows([*row, *["lower"] * lower] for row in rows)
    return out.getvalue()

"""A comparison's tables, cell by cell in words; the terminal, Markdown and LaTeX show the same cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from intrinsic.records import CompareResult, CompareRow, Latency, SmallestSize
from intrinsic.report import words
from intrinsic.report.comparison.paired import LEVEL, Paired, against_full, gaps
from intrinsic.report.tables import LATEX, MARKDOWN, one_line
from intrinsic.spec import size_letter

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Header and rows."""
AGAINST = "score less full fine-tuning's, mean over the seeds that both have"
GAP = "optimisation gap: training loss of full fine-tuning less the method's, mean over the same seeds"
"""What a column says that its name does not."""
STEADY = 1.3
"""The factor that the full model's own latencies may be apart before none is worth reading."""


def name(label: str, size_name: str | None, size: int | None) -> str:
    """lora r=8; said d=100; bitfit."""
    return label if size_name is None or size is None else f"{label} {size_letter(size_name)}={size}"


def short_labels(result: CompareResult) -> dict[str, str]:
    """Label -> the method alone, where no other label begins with the same one."""
    labels = [contender.label for contender in result.run.spec.contenders]
    heads = {label: label.split(":")[0] for label in labels}
    return {label: head if list(heads.values()).count(head) == 1 else label for label, head in heads.items()}


def _named(result: CompareResult) -> list[tuple[str, CompareRow]]:
    """The rows, each with the name that tables give it."""
    short = short_labels(result)
    return [(name(short[row.label], row.size_name, row.size), row) for row in result.result.rows]


def scores(result: CompareResult) -> Table:
    """What each method reaches, and what a step of training costs."""
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
    """Score and training loss of each method against full fine-tuning's, over the seeds that both have."""
    paired = zip(_named(result), against_full(result), gaps(result), strict=True)
    return ("method", "against full", "gap"), [
        (called, _paired(against, 4), _paired(gap, 3)) for (called, row), against, gap in paired if row.label != "full"
    ]


def _paired(found: Paired | None, digits: int) -> str:
    if found is None:
        return words.DASH
    return f"{found.mean:+.{digits}f}" + ("" if found.half is None else f" ± {found.half:.{digits}f}")


def parameters(result: CompareResult) -> Table:
    """The four counts; the head's own entries are among those trained."""
    header = ("method", "trained", "head", "stored", "on disk")
    return header, [
        (
            called,
            _count(row.parameters_trained),
            _count(row.head_parameters),
            _count(row.parameters_stored),
            words.DASH if row.artefact_bytes is None else words.size(row.artefact_bytes),
        )
        for called, row in _named(result)
    ]


def latencies(result: CompareResult) -> Table:
    """Inference: the full model in milliseconds, the others as multiples of it in the same run."""
    sizes = next((_sizes(row) for row in result.result.rows if row.profile is not None), ())
    header = ("method", *(f"batch {size}" for size in sizes), *(f"merged {size}" for size in sizes))
    return header, [(called, *_latency_cells(row, len(sizes))) for called, row in _named(result)]


def _sizes(row: CompareRow) -> tuple[int, ...]:
    return () if row.profile is None else tuple(latency.batch_size for latency in row.profile.latencies)


def _latency_cells(row: CompareRow, columns: int) -> tuple[str, ...]:
    measured = () if row.profile is None else row.profile.latencies
    missing = [words.DASH] * (columns - len(measured))
    full = row.method.name == "full"
    unmerged = [f"{x.full:.3g} ms" if full else _ratio(x, x.unmerged) for x in measured]
    return (
        *(unmerged + missing),
        *([_ratio(x, x.merged) for x in measured] + missing),
    )


def _ratio(latency: Latency, value: float | None) -> str:
    return words.DASH if value is None or not latency.full else f"×{value / latency.full:.2f}"


def smallest(result: CompareResult) -> Table:
    """The smallest size of each method that reaches the target; of those with one size, whether it does."""
    header = ("method", "smallest size", "interval", "parameters", "trials", "status")
    short = short_labels(result)
    one_size = [(short[row.label], *_one_size_cells(row, reached)) for row, reached in _one_size(result)]
    return header, [*((short[f.label], *_smallest_cells(f)) for f in result.result.smallest), *one_size]


def _one_size(result: CompareResult) -> list[tuple[CompareRow, bool]]:
    """The methods of one size besides full fine-tuning that have a score, and whether it is enough."""
    rows = [row for row in result.result.rows if row.size_name is None and row.label != "full"]
    if result.result.target is None:
        return []
    return [(row, _reaches(result, row.mean)) for row in rows if row.mean is not None]


def _one_size_cells(row: CompareRow, reached: bool) -> tuple[str, ...]:
    status = "reaches it" if reached else "stays below"
    return "one size", words.DASH, _count(row.parameters_trained), str(len(row.scores) + row.failed), status


def _smallest_cells(found: SmallestSize) -> tuple[str, ...]:
    search = found.search
    bound = "≤ " if search.status == "met-at-lowest" else ""
    return (
        words.DASH if search.d is None else f"{size_letter(found.size_name)} {bound or '= '}{search.d}",
        words.interval(search) if search.d is not None or search.interval != (None, None) else words.DASH,
        _count(found.parameters_trained),
        str(len(search.points)),
        search.status.replace("-", " "),
    )


def _count(value: int | None) -> str:
    return words.DASH if value is None else words.count(value)


def facts(result: CompareResult) -> list[tuple[str, str]]:
    """What a reader needs to judge the tables."""
    base, outcome = result.run.spec.base, result.result
    rows = [
        ("task", f"{words.task(base)} ({outcome.num_train} train, {outcome.num_eval} evaluation)"),
        ("model", words.model(base)),
        ("training", words.budget(base.optim)),
        ("metric", outcome.metric.replace("_", " ") + ("" if outcome.higher_is_better else " (lower is better)")),
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
    told = [
        ("against full", AGAINST + half * any(found and found.half is not None for found in against_full(result))),
        ("gap", GAP + "; ± likewise" * any(found and found.half is not None for found in gaps(result))),
    ]
    return [*rows, *told, ("cost", words.cost(outcome.cost))]


def _settings(label: str) -> str:
    """mam: length=2, mlp_width=none."""
    head, *options = label.split(":")
    return f"{head}: {', '.join(options)}"


def tables(result: CompareResult) -> list[tuple[str, Table]]:
    """Every table that has rows, with its title."""
    parts = [
        ("Scores, and the cost of training", scores(result)),
        ("Parameters", parameters(result)),
        ("Latency in inference", latencies(result)),
    ]
    if any(row.label != "full" for row in result.result.rows):
        parts.insert(1, ("Differences to full fine-tuning, paired by seed", differences(result)))
    if result.result.smallest:
        share = f"{100 * (result.run.spec.at or 0):g} %"
        parts.insert(0, (f"Smallest size at {share} of full fine-tuning", smallest(result)))
    return parts


def title(result: CompareResult) -> str:
    """What was compared."""
    base = result.run.spec.base
    return f"Methods for {words.model(base)} on {words.task(base)}"


def markdown(result: CompareResult) -> str:
    """comparison.md."""
    lines = [f"# {_md(title(result))}", "", "| | |", "|---|---|"]
    lines += [f"| {_md(key)} | {_md(value)} |" for key, value in facts(result)]
    lines += ["", "![Score against parameters trained](pareto.png)"]
    for heading, (header, rows) in tables(result):
        lines += ["", f"## {_md(heading)}", "", _row_md(header), "|---" + "|---:" * (len(header) - 1) + "|"]
        lines += [_row_md(row) for row in rows]
    lines += ["", *(f"- {_md(note)}" for note in notes(result)), ""]
    lines += ["## To get this again", "", f"    {one_line(result.run.command)}", ""]
    lines += [f"Comparison {result.run.compare_id}, started {result.run.started}, on {_md(result.meta.device)}.", ""]
    return "\n".join(lines)


def notes(result: CompareResult) -> list[str]:
    """Warnings, and what the searches say of themselves."""
    searches = [_search_note(result, found) for found in result.result.smallest]
    return [*result.result.warnings, *_probe_note(result), *searches, *_latency_note(result)]


def _search_note(result: CompareResult, found: SmallestSize) -> str:
    """What the search says, from its own trials; and that the row of its size, from its own, says otherwise."""
    told = f"{found.label}: {found.search.message}"
    size = (found.label, found.search.d)
    row = next((row for row in result.result.rows if (row.label, row.size) == size), None)
    if row is None or row.mean is None or _reaches(result, row.mean):
        return told
    seeds = f"{len(row.scores)} seed{'s' * (len(row.scores) != 1)}"
    return f"{told} In the table of scores its mean, {words.score(row.mean)} over {seeds}, does not reach the target."


def _reaches(result: CompareResult, score: float) -> bool:
    target, sign = result.result.target, 1 if result.result.higher_is_better else -1
    return target is not None and sign * (score - target) >= 0


def _probe_note(result: CompareResult) -> list[str]:
    """Where the head alone is enough, what is trained beside it is no cost of the task's."""
    probes = [row for row, reached in _one_size(result) if reached and row.method.name == "probe"]
    return [
        f"the head alone ({_count(row.parameters_trained)} parameters) reaches the target: the smallest sizes of "
        "methods that train it too say nothing about them"
        for row in probes[:1]
    ]


def _latency_note(result: CompareResult) -> list[str]:
    """Full fine-tuning's model is timed beside every method: how far its own times are apart says what theirs mean."""
    profiles = [row.profile for row in result.result.rows if row.profile is not None]
    told = []
    for size in sorted({x.batch_size for p in profiles for x in p.latencies}):
        times = [x.full for p in profiles for x in p.latencies if x.batch_size == size]
        if max(times) > STEADY * min(times):
            told.append(f"{min(times):.3g} to {max(times):.3g} ms at batch {size}")
    if not told:
        return []
    return [
        f"the full model itself took {', '.join(told)}, from one method's turn to the next: the machine was busy with "
        "other work, so read no latencies there"
    ]


def _row_md(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_md, cells)) + " |"


def _md(text: str) -> str:
    return "".join(MARKDOWN.get(c, c) for c in one_line(text))


def latex(result: CompareResult) -> str:
    r"""comparison.tex: the tables for `\input`; needs booktabs and nothing else."""
    lines = ["% Made from comparison.json by `intrinsic report`; needs \\usepackage{booktabs}."]
    budget = _tex(words.budget(result.run.spec.base.optim))
    for number, (heading, (header, rows)) in enumerate(tables(result)):
        lines += [
            "\\begin{table}",
            "  \\centering",
            f"  \\caption{{{_tex(title(result))}: {_tex(_lower(heading))} ({budget}).{_tex(_told(result, header))}}}",
            f"  \\label{{tab:compare-{result.run.compare_id}-{number}}}",
            f"  \\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            "    \\toprule",
            f"    {' & '.join(map(_tex, header))} \\\\",
            "    \\midrule",
            *(f"    {' & '.join(map(_tex, row))} \\\\" for row in rows),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
        ]
    return "\n".join(lines) + "\n"


def _lower(heading: str) -> str:
    return heading[0].lower() + heading[1:]


def _told(result: CompareResult, header: tuple[str, ...]) -> str:
    """What the facts say of a table's columns, and what every table needs to be read alone."""
    known = dict(facts(result))
    told = [f"{column}: {known[column]}" for column in header if column in known]
    if "interval" in header:
        told.append(f"target: {known['target']}")
    if "score" in header:
        told += [f"task: {known['task']}; {known['metric']}, of which chance is {known['chance']}"]
        told += [f"settings: {known['settings']}"] if "settings" in known else []
    return "".join(f" {text[0].upper()}{text[1:]}." for text in told)


def _tex(text: str) -> str:
    return "".join(LATEX.get(c, c) for c in one_line(text))


FIELDS = (
    *("label", "size_name", "size", "mean", "std", "failed", "learning_rate", "parameters_trained"),
    *("parameters_stored", "head_parameters", "artefact_bytes", "seconds_per_step", "train_loss", "optimisation_gap"),
)
PAIRED = ("optimisation_gap_half", "against_full", "against_full_half")
"""Halves are those of the intervals."""


def smallest_csv(result: CompareResult) -> str:
    """smallest.csv, of --at: a line a method; status `one-size` and no interval where there was nothing to search."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fields = (
        "label",
        "size_name",
        "size",
        "low",
        "high",
        "parameters_trained",
        "trials",
        "status",
        "reached",
        "target",
    )
    writer.writerow(fields)
    target = result.result.target
    for found in result.result.smallest:
        s, low_high = found.search, found.search.interval
        cells = (found.label, found.size_name, s.d, *low_high, found.parameters_trained, len(s.points), s.status)
        writer.writerow([*cells, s.d is not None, target])
    for row, reached in _one_size(result):
        counts = (row.parameters_trained, len(row.scores) + row.failed)
        writer.writerow([row.label, None, None, None, None, *counts, "one-size", reached, target])
    return out.getvalue()


def csv_table(result: CompareResult) -> str:
    """comparison.csv: a line a method and size, numbers at full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    sizes = next((_sizes(row) for row in result.result.rows if row.profile is not None), ())
    kinds = ("full", "unmerged", "merged")
    latency_fields = [f"{kind}_ms_batch_{size}" for size in sizes for kind in kinds]
    writer.writerow([*FIELDS, *PAIRED, "scores", "peak_bytes", *latency_fields])
    for row, against, gap in zip(result.result.rows, against_full(result), gaps(result), strict=True):
        latencies = () if row.profile is None else row.profile.latencies
        writer.writerow(
            [
                *(getattr(row, field) for field in FIELDS),
                None if gap is None else gap.half,
                *((None, None) if against is None else (against.mean, against.half)),
                " ".join(map(repr, row.scores)),
                None if row.profile is None else row.profile.peak_bytes,
                *(getattr(latency, kind) for latency in latencies for kind in kinds),
            ]
        )
    return out.getvalue()

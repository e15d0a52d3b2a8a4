"""Tables from a measurement: Markdown for reading, LaTeX for the paper.

Templates write their variables as << name >> and escape every one of them; only what is wrapped in Raw goes
through as it is.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from intrinsic.records import MeasureResult, TrialRow
from intrinsic.report import words
from intrinsic.report.shown import SAME, rate_in_use

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


class Raw(str):
    """Text that is in the target language already."""


@dataclass(frozen=True)
class DimensionRow:
    """The trials at one dimension and one rate, in words."""

    d: str
    rate: str
    trials: str
    mean: str
    std: str
    reached: str


def markdown(result: MeasureResult) -> str:
    """result.md: facts, warnings, scores by dimension, every trial, how to get it again."""
    return _environment(_escaper(MARKDOWN)).get_template("result.md").render(_context(result))


def latex(result: MeasureResult) -> str:
    """result.tex: two tables for `\\input`; needs booktabs and nothing else."""
    return _environment(_escaper(LATEX)).get_template("result.tex").render(_context(result))


def facts(result: MeasureResult) -> list[tuple[str, str]]:
    """What a reader needs to judge the number, each with its name; also what the terminal shows."""
    spec, outcome = result.run.spec, result.result
    baseline = outcome.baseline
    rows = [
        ("task", f"{words.task(spec)} ({outcome.num_train} train, {outcome.num_eval} evaluation)"),
        ("model", words.model(spec)),
        ("method", words.method_settings(spec)),
        ("training", words.budget(spec.optim)),
        ("metric", outcome.metric.replace("_", " ") + ("" if outcome.higher_is_better else " (lower is better)")),
        ("chance", words.score(outcome.chance)),
    ]
    if baseline is not None:
        spread = words.mean_and_spread(baseline.mean, baseline.std, len(baseline.scores))
        rows.append(("baseline", f"{spread}, rate {words.rate(baseline.learning_rate)}"))
    if outcome.target is not None:
        rows.append(("target", f"{words.score(outcome.target)} = {words.target_rule(spec.target)}"))
    if outcome.subspace_learning_rate is not None:
        rows.append(("subspace rate", _subspace_rate(result, outcome.subspace_learning_rate)))
    rows.append((words.d_name(spec), words.dimension(outcome, spec)))
    if outcome.share is not None:
        rows.append(("share of D", f"{words.percent(outcome.share)} of {words.count(outcome.full_dim)}"))
    if outcome.artefact_bytes is not None:
        rows.append(("artefact", words.size(outcome.artefact_bytes)))
    return [*rows, ("cost", words.cost(outcome.cost))]


def _subspace_rate(result: MeasureResult, chosen: float) -> str:
    """The rate that the pilots chose, or the one that a guard took the search over to."""
    used = rate_in_use(result) or chosen
    return words.rate(chosen) if abs(used / chosen - 1) < SAME else f"{words.rate(used)}, was {words.rate(chosen)}"


def by_dimension(result: MeasureResult) -> list[DimensionRow]:
    """Scores by (d, rate), ascending, of the trials that speak for them.

    Trials that took part in a choice do not (pilots of the rate, a guard's first look): the best of several is biased.
    """
    first_look = result.run.spec.search.seeds
    groups: dict[tuple[int, float], list[TrialRow]] = defaultdict(list)
    for trial in result.result.trials:
        chosen = trial.role == "subspace-rate" or (trial.role == "guard" and trial.seed == first_look)
        if trial.d is not None and not chosen:
            groups[trial.d, trial.learning_rate].append(trial)
    return [_dimension_row(result, *key, groups[key]) for key in sorted(groups)]


def _dimension_row(result: MeasureResult, d: int, rate: float, trials: list[TrialRow]) -> DimensionRow:
    scores = [t.score for t in trials if t.score is not None]
    mean = statistics.fmean(scores) if scores else None
    return DimensionRow(
        d=str(d),
        rate=words.rate(rate),
        trials=str(len(trials))
        if len(scores) == len(trials)
        else f"{len(trials)} ({len(trials) - len(scores)} failed)",
        mean=words.score(mean),
        std=words.score(statistics.stdev(scores) if len(scores) > 1 else None),
        reached=words.DASH if mean is None else _reached(result, mean),
    )


def _reached(result: MeasureResult, mean: float) -> str:
    outcome = result.result
    if outcome.target is None:
        return words.DASH
    return "yes" if (mean >= outcome.target) == outcome.higher_is_better or mean == outcome.target else "no"


def _context(result: MeasureResult) -> dict[str, object]:
    return {
        "run": result.run,
        "spec": result.run.spec,
        "outcome": result.result,
        "meta": result.meta,
        "facts": facts(result),
        "dimensions": by_dimension(result),
        "words": words,
        "raw": lambda text: Raw(one_line(text)),
        "d_number": words.d_name(result.run.spec).removeprefix("d"),
    }


def _environment(escape: Callable[[object], object]) -> Environment:
    return Environment(
        loader=PackageLoader("intrinsic.report"),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=escape,
        autoescape=False,  # finalize escapes for the target language; HTML's rules would be wrong
    )


def one_line(value: object) -> str:
    """Control characters and line ends become spaces: they would end a table's row or a code block."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", str(value))


def _escaper(table: dict[str, str]) -> Callable[[object], object]:
    def escape(value: object) -> object:
        return value if isinstance(value, Raw) else "".join(table.get(c, c) for c in one_line(value))

    return escape

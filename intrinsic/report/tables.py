"""Tables from a measurement: Markdown for reading, LaTeX for the paper.

Templates write their variables as << name >> and escape every one of them; only what is wrapped in Raw goes
through as it is.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from intrinsic.problems.metrics import signed
from intrinsic.records import MeasureResult, TrialRow
from intrinsic.report import words
from intrinsic.report.escape import for_latex, for_markdown, one_line
from intrinsic.report.shown import SAME, rate_in_use


class Raw(str):
    """Text that is in the target language already."""


@dataclass(frozen=True)
class DimensionRow:
    """The trials at one dimension and one rate, in words."""

    d: str
    rate: str
    """The learning rate."""
    trials: str
    """Number of trials, and of those that failed."""
    mean: str
    std: str
    """Standard deviation of the scores."""
    reached: str
    """Whether the mean reaches the target: yes, no or a dash."""


def markdown(result: MeasureResult) -> str:
    """The text of result.md: facts, warnings, scores by dimension, every trial, how to get it again."""
    return _environment(_unless_raw(for_markdown)).get_template("result.md").render(_context(result))


def latex(result: MeasureResult) -> str:
    """The text of result.tex: two tables for `\\input`, which need booktabs and nothing else."""
    return _environment(_unless_raw(for_latex)).get_template("result.tex").render(_context(result))


def facts(result: MeasureResult) -> list[tuple[str, str]]:
    """Names and values of what a reader needs to judge the result; the terminal shows them too."""
    spec, outcome = result.run.spec, result.result
    baseline = outcome.baseline
    rows = [
        ("task", f"{words.task(spec)} ({outcome.num_train} train, {outcome.num_eval} evaluation)"),
        ("model", words.model(spec)),
        ("method", words.method_settings(spec)),
        ("training", words.budget(spec.optim)),
        ("metric", words.metric(outcome.metric, outcome.higher_is_better)),
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
    """Scores by dimension and rate, ascending, without those of trials that took part in a choice.

    These are the pilots of the rate and a guard's first look: the best score of several is biased.
    """
    groups: dict[tuple[int, float], list[TrialRow]] = defaultdict(list)
    for trial in result.result.trials:
        if trial.d is not None and trial.role != "subspace-rate" and not trial.first_look:
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
    higher = outcome.higher_is_better
    return "yes" if signed(mean, higher) >= signed(outcome.target, higher) else "no"


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


def _unless_raw(escape: Callable[[object], str]) -> Callable[[object], object]:
    return lambda value: value if isinstance(value, Raw) else escape(value)

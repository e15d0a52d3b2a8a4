"""Numbers and settings as a person reads them: one wording for the terminal, the tables and the figure."""

from __future__ import annotations

import math
import os
from pathlib import PurePath

from intrinsic.records import Cost, MeasureOutcome, SearchResult
from intrinsic.spec import MeasureSpec, OptimSpec, OptionValue, TargetSpec

DASH = "–"
"""Sign for a number that is not there."""


def score(value: float | None) -> str:
    """A score with four decimals, which tell one example in ten thousand: 0.7745; a dash for none."""
    return DASH if value is None else f"{value:.4f}"


def mean_and_spread(mean: float, std: float | None, count: int) -> str:
    """A mean, its standard deviation and the number of scores: 0.7745 ± 0.0031 (3 seeds)."""
    spread = "" if std is None else f" ± {std:.4f}"
    return f"{mean:.4f}{spread} ({count} seed{'s' if count != 1 else ''})"


def count(value: int) -> str:
    """A count with its thousands apart: 12,345,678."""
    return f"{value:,}"


def percent(share: float) -> str:
    """The share in two significant digits, never in powers of ten: 0.0059 %, 12 %."""
    if share <= 0:
        return "0 %"
    decimals = max(0, 1 - math.floor(math.log10(100 * share)))
    return f"{100 * share:.{decimals}f} %"


def rate(value: float) -> str:
    """A learning rate in its shortest form: 0.004, 2.5e-05."""
    return f"{value:g}"


def size(nbytes: int) -> str:
    """A size in bytes, from 10,000 bytes on in kB or MB (powers of ten): 2,948 bytes, 49.4 kB, 49.4 MB."""
    if nbytes < 10_000:
        return f"{nbytes:,} bytes"
    return f"{nbytes / 1e3:,.1f} kB" if nbytes < 1e6 else f"{nbytes / 1e6:,.1f} MB"


def duration(seconds: float) -> str:
    """A duration in one or two units: 4.2 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def short_name(name: str) -> str:
    """The last part of a folder's path; a name on the Hub as it is."""
    return PurePath(name).name if os.path.isabs(name) or name.startswith((".", "~")) else name


def task(spec: MeasureSpec) -> str:
    """The task's name: rotten-tomatoes; of the user's own files theirs."""
    if spec.task.name == "files" and spec.task.data_dir:
        return PurePath(spec.task.data_dir).name or "files"
    return spec.task.name


def method(spec: MeasureSpec) -> str:
    """The method's name: SAID (Aghajanyan et al. 2020; it has scales), DID (without them), or SAID of lora."""
    return ("SAID" if spec.structure_aware else "DID") + (f" of {spec.of.name}" if spec.of else "")


def method_settings(spec: MeasureSpec) -> str:
    """The method with its settings: SAID (a scale per layer), fastfood projection, head in-subspace, all parameters."""
    scales = f" (a scale per {spec.lambdas})" if spec.structure_aware else ""
    if spec.of is not None:
        options = ", ".join(f"{name}={_option(value)}" for name, value in spec.of.options)
        inner = f" ({options})" if options else ""
        return f"{method(spec)}{inner}{scales}, {spec.projection} projection, head {spec.head}"
    trained = "all parameters" if spec.parameters == "all" else "without embeddings"
    return f"{method(spec)}{scales}, {spec.projection} projection, head {spec.head}, {trained}"


def _option(value: OptionValue) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def model(spec: MeasureSpec) -> str:
    """The model's name, and how many of its layers are used: minilm (2 layers)."""
    layers = spec.model.layers
    cut = "" if layers is None else f" ({layers} layer{'s' if layers > 1 else ''})"
    return short_name(spec.model.name) + cut


def budget(optim: OptimSpec) -> str:
    """The length of training and the examples of a step: 100 steps, batch 32."""
    number, unit = (f"{optim.epochs:g}", "epoch") if optim.steps is None else (str(optim.steps), "step")
    length = f"{number} {unit}{'' if number == '1' else 's'}"
    return f"{length}, batch {optim.batch_size * optim.accumulate}"


def metric(name: str, higher_is_better: bool) -> str:
    """The metric's name, with its direction where lower is better: macro f1, mse (lower is better)."""
    return name.replace("_", " ") + ("" if higher_is_better else " (lower is better)")


def d_name(spec: MeasureSpec) -> str:
    """The dimension's name by the target's fraction: d90 for 0.9."""
    return f"d{100 * spec.target.fraction:.6g}"


def target_rule(target: TargetSpec) -> str:
    """The rule by which the target follows from the baseline: 0.9 × baseline."""
    fraction = f"{target.fraction:g}"
    return {
        "own": f"{fraction} × baseline",
        "global": f"{fraction} × {target.value}",
        "chance-corrected": f"chance + {fraction} × (baseline − chance)",
    }[target.kind]


def interval(search: SearchResult) -> str:
    """The interval for d, rounded outwards: [512, 1024]; an end outside of the search's range is open: (…, 1024]."""
    low, high = search.interval
    left = "(…" if low is None else f"[{math.floor(low)}"
    return f"{left}, " + ("…)" if high is None else f"{math.ceil(high)}]")


def dimension(outcome: MeasureOutcome, spec: MeasureSpec) -> str:
    """The dimension as far as it was found, with its interval: 512, 95 % interval [256, 1024]."""
    search = outcome.search
    sure = f"{100 * search.confidence:g} % interval {interval(search)}"
    if search.status == "never-met":
        tried = f"not reached up to {max((p.d for p in search.points), default=spec.search.high)}"
        return tried if search.interval[0] is None else f"{tried}, {sure}"
    if outcome.d90 is None:
        return f"unknown ({search.status.replace('-', ' ')})"
    if search.status == "met-at-lowest":
        return f"at most {outcome.d90} (reached at the lowest dimension tried)"
    return f"{outcome.d90}, {sure}"


def dimension_cell(outcome: MeasureOutcome) -> str:
    """The dimension for a table's cell: 512, ≤ 4, a dash, or ≥ 26: the interval's lower end where no d is enough."""
    low, _ = outcome.search.interval
    if outcome.search.status == "never-met" and low is not None:
        return f"≥ {math.floor(low)}"
    if outcome.d90 is None:
        return DASH
    return f"≤ {outcome.d90}" if outcome.search.status == "met-at-lowest" else str(outcome.d90)


def interval_cell(outcome: MeasureOutcome) -> str:
    """The interval for a table's cell; a dash where the search claims none."""
    claimed = outcome.d90 is not None or outcome.search.interval != (None, None)
    return interval(outcome.search) if claimed else DASH


def baseline_cell(outcome: MeasureOutcome) -> str:
    """The baseline for a table's cell: 0.7745 ± 0.0031, or a dash."""
    if outcome.baseline is None:
        return DASH
    spread = "" if outcome.baseline.std is None else f" ± {score(outcome.baseline.std)}"
    return f"{score(outcome.baseline.mean)}{spread}"


def cost(spent: Cost) -> str:
    """The cost in trials, steps and time: 54 trials (2 reused), 5,400 steps, 25 min 12 s."""
    reused = f" ({spent.reused} reused)" if spent.reused else ""
    return f"{spent.trials} trials{reused}, {spent.steps:,} steps, {duration(spent.seconds)}"

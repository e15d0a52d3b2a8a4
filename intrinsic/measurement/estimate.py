"""The cost of a measurement, estimated before it is run."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from intrinsic.measurement.rates import EXTENSIONS
from intrinsic.search import dimensions
from intrinsic.spec import FULL, SUBSPACE, MeasureSpec, digest
from intrinsic.store import Store
from intrinsic.store.index import Summary, optim_scope

Range = tuple[float, float]
"""A lower and an upper limit, both inclusive."""

WORKER_START = 12.0
"""Seconds until a worker process of --jobs begins its first trial: it imports torch and transformers, once."""


@dataclass(frozen=True)
class Estimate:
    """The expected cost of a measurement. Every value is a pair of a lower and an upper limit, both inclusive."""

    trials: tuple[int, int]
    """Number of trials."""
    steps: tuple[int, int] | None
    """Number of optimiser steps of all trials together; None if nothing tells how many training examples there are."""
    seconds: Range | None
    """Sum of the trials' wall-clock seconds (loading, training, evaluation), as if one ran after another; None unless
    trials of the same task and model in the output directory show how long one takes."""


def estimate(spec: MeasureSpec, output_dir: str | os.PathLike[str] | None = None) -> Estimate:
    """The cost of measure(spec, output_dir) without any stored result, found without training or loading anything.

    Trials that are stored in output_dir show how many steps and seconds one takes; they are not subtracted. The range
    of trials covers about 95 % of simulated searches; a hard case costs more, up to the search's max_trials.
    """
    full, subspace = _trials(spec)
    trials = (full[0] + subspace[0], full[1] + subspace[1])
    known = _known(spec, output_dir)
    steps = _steps(spec, known)
    if steps is None:
        return Estimate(trials, None, None)
    per_step = _per_step(known, FULL), _per_step(known, SUBSPACE)
    cost = [_seconds(full, per_step[0], steps), _seconds(subspace, per_step[1], steps)]
    seconds = None if None in cost else (sum(c[0] for c in cost if c), sum(c[1] for c in cost if c))
    return Estimate(trials, (trials[0] * steps, trials[1] * steps), seconds)


def _trials(spec: MeasureSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """The numbers of trials of full fine-tuning and of subspaces, a lower and an upper limit each."""
    baseline, pilot = _choice(spec.baseline_rates), _choice(spec.subspace_rates)
    search = _search_trials(spec)
    full = (baseline[0] + spec.baseline_seeds, baseline[1] + spec.baseline_seeds)
    return full, (pilot[0] + search[0], pilot[1] + search[1])


def _choice(rates: Iterable[float]) -> tuple[int, int]:
    count = len(set(rates))
    return (0, 0) if count == 1 else (count, count + EXTENSIONS)


def _search_trials(spec: MeasureSpec) -> tuple[int, int]:
    asked = spec.search
    count = len(dimensions(asked))
    if asked.kind == "grid":
        return (min(count * asked.seeds, asked.max_trials),) * 2
    # Fitted to searches over simulated curves: about 95 % of them lie within.
    halvings = math.ceil(math.log2(count))
    low = halvings + 1
    high = halvings + 2 + len(asked.guard_rates) + 7 * (asked.seeds - 1)
    return min(low, asked.max_trials), min(high, asked.max_trials)


def _known(spec: MeasureSpec, output_dir: str | os.PathLike[str] | None) -> list[Summary]:
    """The trials in the directory that ended well and have the spec's task and model."""
    if output_dir is None or not os.path.isdir(output_dir):
        return []
    scope = digest(spec.task.model_dump(mode="json"))
    model = digest(spec.model.model_dump(mode="json"))
    with Store(output_dir, read_only=True) as store:
        lines = store.summaries()
    return [x for x in lines if x.data_scope == scope and x.model_scope == model and x.status == "ok"]


def _steps(spec: MeasureSpec, known: list[Summary]) -> int | None:
    """The number of optimiser steps of one trial; None if it is not known."""
    if spec.optim.steps is not None:
        return spec.optim.steps
    alike = [line.steps for line in known if line.optim_scope == optim_scope(spec.optim)]
    if alike:
        return round(median(alike))
    return None if spec.task.limit is None else spec.optim.total_steps(spec.task.limit)


def _per_step(known: list[Summary], method: str) -> float | None:
    """Median seconds of a trial of this method, loading and evaluation included, divided by its steps."""
    found = [line.seconds / line.steps for line in known if line.method == method and line.steps]
    return median(found) if found else None


def _seconds(trials: tuple[int, int], per_step: float | None, steps: int) -> Range | None:
    return None if per_step is None else (trials[0] * per_step * steps, trials[1] * per_step * steps)

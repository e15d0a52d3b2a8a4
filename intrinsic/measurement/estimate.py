"""What a measurement will cost, before it is run."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from intrinsic.measurement.rates import EXTENSIONS
from intrinsic.search import dimensions
from intrinsic.spec import MeasureSpec, digest
from intrinsic.store import Store
from intrinsic.store.index import Summary

Range = tuple[float, float]

WORKER_START = 12.0
"""Seconds until a worker process of --jobs begins its first trial: it imports torch and transformers, once."""


@dataclass(frozen=True)
class Estimate:
    """From and to, both inclusive; None where nothing is known that it could be computed from."""

    trials: tuple[int, int]
    steps: tuple[int, int] | None
    """Optimiser steps of all trials."""
    seconds: Range | None
    """Sum of the trials' own seconds on the clock (loading, training, evaluation), as if one ran after another; from
    what like trials in the output directory took."""


def estimate(spec: MeasureSpec, output_dir: str | os.PathLike[str] | None = None) -> Estimate:
    """The cost of measure(spec, output_dir) from nothing, without training or loading anything.

    The range of trials holds what about 95 % of simulated searches took; a hard case costs more, up to the
    search's max_trials.
    """
    full, subspace = _trials(spec)
    trials = (full[0] + subspace[0], full[1] + subspace[1])
    known = _known(spec, output_dir)
    steps = _steps(spec, known)
    if steps is None:
        return Estimate(trials, None, None)
    per_step = _per_step(known, "full"), _per_step(known, "subspace")
    cost = [_seconds(full, per_step[0], steps), _seconds(subspace, per_step[1], steps)]
    seconds = None if None in cost else (sum(c[0] for c in cost if c), sum(c[1] for c in cost if c))
    return Estimate(trials, (trials[0] * steps, trials[1] * steps), seconds)


def _trials(spec: MeasureSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """Trials of full fine-tuning and of subspaces, each from and to."""
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
    """Trials in the directory of the same task and model that ended well."""
    if output_dir is None or not os.path.isdir(output_dir):
        return []
    scope = digest(spec.task.model_dump(mode="json"))
    with Store(output_dir, read_only=True) as store:
        lines = store.summaries()
    return [x for x in lines if x.data_scope == scope and x.model == spec.model.name and x.status == "ok"]


def _steps(spec: MeasureSpec, known: list[Summary]) -> int | None:
    """Optimiser steps of one trial."""
    optim = spec.optim
    if optim.steps is not None:
        return optim.steps
    if known:
        return round(median(line.steps for line in known))
    if spec.task.limit is None or optim.epochs is None:
        return None
    return math.ceil(optim.epochs * math.ceil(spec.task.limit / (optim.batch_size * optim.accumulate)))


def _per_step(known: list[Summary], method: str) -> float | None:
    """Seconds of such a trial, start and evaluation included, for each of its steps."""
    found = [line.seconds / line.steps for line in known if line.method == method and line.steps]
    return median(found) if found else None


def _seconds(trials: tuple[int, int], per_step: float | None, steps: int) -> Range | None:
    return None if per_step is None else (trials[0] * per_step * steps, trials[1] * per_step * steps)

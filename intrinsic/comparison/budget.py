"""From a number of parameters to the size of a method that trains about as many."""

from __future__ import annotations

from intrinsic.comparison.field import Entry
from intrinsic.errors import SpecError
from intrinsic.methods import attach
from intrinsic.spec import CompareSpec, Contender, MeasureSpec
from intrinsic.trial.ingredients import model_of, task_of

PROBES = {"subspace_dim": (1024, 2048)}
"""Sizes at which the count is taken; else 1 and 2. A small d may not pay for its lambdas."""


def size_for(base: MeasureSpec, contender: Contender, parameters: int) -> int:
    """The nearest size, by parameters_trained(size) = a + b size, with a and b from two sizes laid over the model.

    Raises SpecError if even size 1 trains more than 1.5 times as many.
    """
    spec = CompareSpec(base=base, contenders=(Contender(label="full", method={"name": "full"}, rates=(1.0,)),))
    low, high = PROBES.get(str(contender.size), (1, 2))
    first, second = (_count(spec, contender, size) for size in (low, high))
    slope = (second - first) / (high - low)
    size = max(1, round(low + (parameters - first) / slope)) if slope else 1
    least = first - slope * (low - 1)
    if least > 1.5 * parameters:
        raise SpecError(
            f"{contender.label}: at its smallest size it trains {least:,.0f} parameters, got params={parameters}: "
            "name more, or leave it out"
        )
    return size


def _count(spec: CompareSpec, contender: Contender, size: int) -> int:
    trial = Entry(contender, size, 1.0, 0).trial(spec)
    task, _ = task_of(trial.task)
    return attach(model_of(trial, task), trial.method, trial.seeds).parameters_trained

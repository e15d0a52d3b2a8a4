"""Checks of a measurement's settings before anything is trained. Most of them load nothing; torch is imported late."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from intrinsic.errors import SpecError
from intrinsic.measurement.planned import MeasureTrial
from intrinsic.methods import check_under_subspace
from intrinsic.models import check_model
from intrinsic.problems import METRICS
from intrinsic.search import dimensions
from intrinsic.spec import MeasureSpec, SearchSpec, TargetSpec, TrialSpec
from intrinsic.tasks import check_task

Answer = TypeVar("Answer")
"""The type of what a check returns."""

FINEST = 1.001
"""Smallest ratio of neighbouring dimensions: closer ones cannot be told apart, and would make an endless list."""
MOST_DIMENSIONS = 300
"""Largest number of dimensions: the cost of the fit grows with its cube, and is seconds a search at 300."""
DEFAULTS = MeasureSpec()
"""Settings of a measurement where nothing is given."""


def check_settings(spec: MeasureSpec, *, aimed: bool = True) -> None:
    """Refuse settings that are wrong or would change nothing, as far as they alone show it; nothing is read.

    A setting that has its default is never refused: the record of a run, which can serve as a configuration, holds all
    of them. aimed: whether the target is used, as it is not by a comparison without a search.

    Raises SpecError (UnknownName for the task), ModelError for a model of another kind than the task.
    """
    info = check_task(spec.task)
    check_model(spec.model, info.kind)
    if not spec.structure_aware and spec.lambdas != DEFAULTS.lambdas:
        raise SpecError(
            f"lambdas are the scales of SAID, and DID (--did) has none: expected {DEFAULTS.lambdas!r}, "
            f"got {spec.lambdas!r}; leave --lambdas out, or use --said"
        )
    if spec.of is not None:
        check_under_subspace(spec.of.name)
    _check_search(spec.search)
    if aimed:
        _check_target(spec.target, info.metrics[0])


def check_start(spec: MeasureSpec) -> tuple[str, ...]:
    """Check what a run checks at its start, without reading a weight or asking the Hub.

    Returns phrases for what could not be checked that way. Raises SpecError, DataError and ModelError as a run would.
    """
    from intrinsic.trial import outline_trial

    check_settings(spec)
    return check_bracket(spec, outline_trial)


def check_bracket(spec: MeasureSpec, check: Callable[[TrialSpec], Answer]) -> Answer:
    """Call check() on those trials of a measurement that show whether all of it can run.

    They are one of the baseline, one of the method under the subspaces, and those at both ends of the bracket. Returns
    what check() returns for the last one. Raises SpecError for another package's projection that cannot be used, and
    what check() raises; a SpecError for an end of the bracket is raised
    again with the bracket's flags in its sentence.
    """
    from intrinsic.projections import projection_named

    projection_named(spec.projection)
    baseline = MeasureTrial("baseline", 0, spec.baseline_rates[0]).trial_spec(spec)
    check(baseline)
    if spec.of is not None:
        check(baseline.model_copy(update={"method": spec.of}))
    dims = dimensions(spec.search)
    first, last = (MeasureTrial("search", 0, spec.subspace_rates[0], d).trial_spec(spec) for d in (dims[0], dims[-1]))
    try:
        check(first)
        return check(last)
    except SpecError as error:
        raise SpecError(
            f"the bracket from d={dims[0]} to d={dims[-1]} (--low and --high, or --grid): {error}"
        ) from error


def _check_search(search: SearchSpec) -> None:
    if not search.grid and search.resolution < FINEST:
        raise SpecError(f"resolution must be {FINEST:g} or more, got {search.resolution:g}: neighbours need a distance")
    number = len(dimensions(search))
    if number > MOST_DIMENSIONS:
        raise SpecError(
            f"the bracket holds {number:,} dimensions, {MOST_DIMENSIONS} are the most that a fit is made over: "
            "give a coarser --resolution, or move --low and --high closer together"
        )
    if 1.0 in search.guard_rates:
        raise SpecError(
            "guard_rates are factors on the rate that was tried, so 1 guards nothing: leave it out, got 1.0"
        )
    if search.kind == "grid" and search.guard_rates not in ((), DEFAULTS.search.guard_rates):
        raise SpecError(
            f"--search grid tries every dimension at one rate and guards none: got guard_rates {search.guard_rates}; "
            "leave --guard-rates out, or use --search adaptive"
        )


def check_direction(target: TargetSpec, metric: str, higher_is_better: bool) -> None:
    """Raise SpecError for a target that is a share of the score, if a lower score is better."""
    if not higher_is_better and target.kind != "chance-corrected":
        raise SpecError(
            f"target {target.kind!r} is a share of a score, but {metric} is better when lower: "
            "use --target chance-corrected"
        )


def _check_target(target: TargetSpec, name: str) -> None:
    metric = METRICS[name]
    check_direction(target, name, metric.higher_is_better)
    if target.kind != "global" or target.value is None:
        return
    low, high = metric.range
    goal = target.fraction * target.value
    if not low < goal <= high:
        what = "no training can reach" if goal > high else "every training reaches"
        raise SpecError(
            f"target 'global' asks for {target.fraction:g} x {target.value:g} = {goal:g}, which {what}: "
            f"expected a score within {name}'s range, {low:g} to {high:g}; give a share and no percentage, "
            "as in --target global:0.95"
        )

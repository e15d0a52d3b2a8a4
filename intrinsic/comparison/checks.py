"""Checks of a comparison before any trial is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from intrinsic.comparison.planned import CompareTrial
from intrinsic.errors import ModelError, SpecError
from intrinsic.methods import letter_of
from intrinsic.spec import CompareSpec, Contender, TrialSpec

Answer = TypeVar("Answer")
"""The type of what a check returns."""


def check_sizes(spec: CompareSpec) -> None:
    """Raise SpecError for a method of exactly one size if the smallest is searched for: there is nothing to search."""
    for contender in spec.contenders if spec.at is not None else ():
        if len(contender.sizes) == 1:
            size, letter = contender.sizes[0], letter_of(contender.method.name)
            raise SpecError(
                f"{contender.label}: --at searches over a method's sizes and needs two or more, got {letter}="
                f"{size}: name more, as in {letter}={size},{2 * size}, or leave the size out"
            )


def check_start(spec: CompareSpec) -> None:
    """Load data and model and attach every method, at both ends of its sizes, before any trial is run.

    Raises SpecError, DataError and ModelError as a run would.
    """
    from intrinsic.trial import check_trial

    _check(spec, check_trial)


def outline_start(spec: CompareSpec) -> tuple[str, ...]:
    """Check what `check_start` checks, as far as that goes without reading a weight or asking the Hub.

    Returns phrases for what stays unchecked. Raises SpecError, DataError and ModelError as a run would.
    """
    from intrinsic.trial import outline_trial

    return tuple(dict.fromkeys(what for told in _check(spec, outline_trial) for what in told))


def fitting(spec: CompareSpec) -> tuple[CompareSpec, tuple[str, ...]]:
    """The comparison without the methods whose parts the model lacks, and the labels of those methods.

    If not even full fine-tuning fits, the comparison is returned as it came, with no label: the run will say why.
    """
    from intrinsic.trial import outline_trial

    kept, left = [], []
    for contender in spec.contenders:
        try:
            for trial in _ends(spec, contender):
                outline_trial(trial)
        except ModelError:
            left.append(contender.label)
        else:
            kept.append(contender)
    if "full" in left:  # then the model itself does not fit, and the run says so
        return spec, ()
    return spec.model_copy(update={"contenders": tuple(kept)}), tuple(left)


def _check(spec: CompareSpec, check: Callable[[TrialSpec], Answer]) -> list[Answer]:
    from intrinsic.measurement.checks import check_settings

    check_settings(spec.base, aimed=spec.at is not None)
    check_sizes(spec)
    return [check(trial) for contender in spec.contenders for trial in _ends(spec, contender)]


def _ends(spec: CompareSpec, contender: Contender) -> Iterator[TrialSpec]:
    for size in sorted({contender.sizes[0], contender.sizes[-1]}) if contender.sizes else [None]:
        yield CompareTrial(contender, size, contender.rates[0], 0).trial_spec(spec)

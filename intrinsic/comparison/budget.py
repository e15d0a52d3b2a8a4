"""The size at which a method trains about a given number of parameters."""

from __future__ import annotations

from functools import cache, partial
from itertools import pairwise

from intrinsic.comparison.planned import CompareTrial
from intrinsic.errors import SpecError
from intrinsic.methods import METHODS, Size, attach, options_of
from intrinsic.spec import FULL, CompareSpec, Contender, MeasureSpec, MethodSpec
from intrinsic.trial.ingredients import model_of, task_of

REFERENCE = Contender(label=FULL, method=MethodSpec(name=FULL), rates=(1.0,))
"""Full fine-tuning, which trains as many parameters as a budget may ask for."""
TOLERANCE = 1.5
"""Largest factor between the number of parameters asked for and the number that the size found trains."""
TRIES = 24
"""Largest number of sizes counted after the first two: enough to halve the range between 1 and any size that a model
can hold."""


def size_for(base: MeasureSpec, contender: Contender, parameters: int) -> int:
    """The size at which the number of trained parameters, counted by attaching the method, is nearest to `parameters`.

    The first guess is the line parameters_trained(size) = a + b size through two sizes. Methods whose count is no line
    (AdaLoRA rounds its first rank up, RandLoRA trains fewer at a larger rank) are bisected from there.

    Raises SpecError if full fine-tuning trains fewer than `parameters`, or if no size comes within a factor of
    TOLERANCE; DataError and ModelError as a run would, for task and model are loaded.
    """
    count = partial(_trained, base, contender)
    most = _trained(base, REFERENCE, None)
    if parameters > most:
        raise SpecError(
            f"{contender.label}: params must be at most the {most:,} that full fine-tuning trains, got {parameters:,}"
        )
    low, high = _size(contender).probes
    counts = {low: count(low), high: count(high)}
    guess = _line(counts, parameters)
    for _ in range(TRIES):
        if guess in counts:
            break
        counts[guess] = count(guess)
        guess = _between(counts, parameters)
    size = min(counts, key=lambda tried: (abs(counts[tried] - parameters), tried))
    _check(contender, parameters, counts[size])
    return size


def _line(counts: dict[int, int], parameters: int) -> int:
    (low, first), (high, second) = sorted(counts.items())
    slope = (second - first) / (high - low)
    return max(1, round(low + (parameters - first) / slope)) if slope > 0 else 2 * high


def _between(counts: dict[int, int], parameters: int) -> int:
    """The next size to count: between two neighbours whose counts lie on either side, or twice the largest.

    A size that was counted already means that no other is worth a try.
    """
    tried = sorted(counts)
    for low, high in pairwise(tried):
        one, other = counts[low] - parameters, counts[high] - parameters
        if one * other < 0 and high - low > 1:
            return min(high - 1, max(low + 1, round(low + (high - low) * one / (one - other))))
    away = [abs(counts[size] - parameters) for size in tried[-2:]]
    crossed = any((counts[tried[0]] - parameters) * (counts[size] - parameters) <= 0 for size in tried)
    return tried[-1] if crossed or away[-1] >= away[0] else 2 * tried[-1]


def _check(contender: Contender, parameters: int, nearest: int) -> None:
    if 1 / TOLERANCE <= nearest / parameters <= TOLERANCE:
        return
    option, words = _size(contender).besides or ("", "")
    counted = option and getattr(options_of(contender.method), option) is not None
    hint = f"; {words}" if counted else ""
    raise SpecError(
        f"{contender.label}: the size nearest to params={parameters} trains {nearest:,} parameters: name about as "
        f"many, or leave it out{hint}"
    )


def _size(contender: Contender) -> Size:
    size = METHODS[contender.method.name].size
    assert size is not None  # a contender without sizes is given no budget
    return size


@cache
def _trained(base: MeasureSpec, contender: Contender, size: int | None) -> int:
    """The number of parameters that the method trains at this size. Cached, as each count attaches it to a model."""
    spec = CompareSpec(base=base, contenders=(REFERENCE,))
    trial = CompareTrial(contender, size, 1.0, 0).trial_spec(spec)
    task, _ = task_of(trial.task)
    return attach(model_of(trial, task), trial.method, trial.seeds).parameters_trained

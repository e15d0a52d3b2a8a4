"""Arguments of bounds: each is checked here, and moved outward by its own rounding (see `exact`)."""

from __future__ import annotations

import math
import numbers
from decimal import Decimal
from typing import NoReturn

from intrinsic.bounds.exact import ONE, ULP, above, below
from intrinsic.errors import SpecError

MAX_SAMPLES = 2**53
"""The most samples that a double counts without a gap."""


def read_risk(risk: float) -> Decimal:
    """Check an empirical risk in [0, 1]; from above."""
    if not 0 <= (value := read_number(risk, "the empirical risk", "a number from 0 to 1")) <= 1:
        refuse("the empirical risk", "a number from 0 to 1, errors / samples say", risk)
    return min(above(value), ONE)


def read_complexity(complexity: float) -> Decimal:
    """Check a complexity in nats, KL(posterior || prior) or a code's length in bits times ln 2; from above."""
    return read_nonnegative(complexity, "the complexity in nats")


def read_nonnegative(value: float, what: str) -> Decimal:
    """Check a finite number of at least 0, called `what` in the refusal; from above."""
    if not (number := read_number(value, what, "a finite number of at least 0")) >= 0 or math.isinf(number):
        refuse(what, "a finite number of at least 0", value)
    return above(number)


def read_positive(value: float, what: str) -> Decimal:
    """Check a setting above 0 that the caller chose; taken as it is, as no data were rounded into it."""
    if not (number := read_number(value, what, "a finite number above 0")) > 0 or math.isinf(number):
        refuse(what, "a finite number above 0", value)
    return Decimal(number)


def read_delta(delta: float) -> Decimal:
    """Check delta in (0, 1), the probability with which the bound may fail; from below.

    Above 1/2 it is moved by half a unit in the last place, the rounding of a number as it is written, and no more: near
    1 its logarithm, which is all that is paid there, is of the size of these units.
    """
    if not 0 < (value := read_number(delta, "delta", "a probability between 0 and 1")) < 1:
        refuse("delta", "a probability between 0 and 1, both excluded", delta)
    return below(value) if value <= 0.5 else Decimal(value) - ULP / 4


def read_samples(samples: int, what: str = "the number of samples") -> int:
    """Check a number of samples, from 1 to MAX_SAMPLES."""
    return read_integer(samples, what, 1, MAX_SAMPLES)


def read_errors(errors: int, samples: int) -> int:
    """Check a number of errors, from 0 to the number of samples."""
    return read_integer(errors, "the number of errors", 0, samples)


def read_rest(samples: int, prior_samples: int) -> int:
    """The number of samples left for the bound once a prior was made from the first `prior_samples` of them."""
    n = read_samples(samples)
    return n - read_integer(prior_samples, "prior_samples, which the bound no longer counts,", 0, n - 1)


def read_integer(value: int, what: str, low: int, high: int) -> int:
    """Check an integer from low to high, called `what` in the refusal."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not low <= value <= high:
        refuse(what, f"an integer from {low} to {high}", value)
    return int(value)


def read_number(value: float, what: str, expected: str) -> float:
    """Check a real number, called `what` in the refusal, and take it as a double."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        refuse(what, expected, value)
    try:
        return float(value)
    except OverflowError:
        refuse(what, expected, value)


def paid(complexity: float, delta: float) -> Decimal:
    """The nats that a union bound over a prefix code pays: complexity + ln(1/delta)."""
    return read_complexity(complexity) - read_delta(delta).ln()


def refuse(what: str, expected: str, value: object) -> NoReturn:
    """Raise SpecError: what was expected, and what came."""
    told = repr(value)
    raise SpecError(f"{what} must be {expected}; got {told if len(told) < 80 else told[:76] + '...'}")

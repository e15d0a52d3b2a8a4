"""Arithmetic that is right to the last bit: decimal numbers of 60 digits, then one rounding outward.

Python's `decimal` rounds +, -, *, /, sqrt, exp and ln correctly on every platform (General Decimal Arithmetic; libm
promises nothing of the kind), so that two machines get the same double, and a certificate can be checked to one unit in
the last place.

Two roundings separate a bound in a paper from a double, and both are outward here:

- Arguments. k/n, L ln 2 and 0.05 are seldom doubles. `above` and `below` move an argument by a share of 2^-52, at least
  one unit in the last place and so more than the rounding of one product or quotient, before it is used. 0 stays 0.
- Results. `up` and `down` give the nearest double on the safe side of the value moved by a share of 1e-30. The formulas
  are chains of fewer than 10^7 correctly rounded operations on 60 digits without cancellation (what could cancel is
  computed with more digits, see `one_minus_exp`), so their own error is below that.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DivisionByZero, InvalidOperation, localcontext
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

DIGITS = 60
CONTEXT = Context(prec=DIGITS, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[InvalidOperation, DivisionByZero])
SLACK = Decimal("1e-30")
ULP = Decimal(2) ** -52
ONE = Decimal(1)


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function with DIGITS digits, whatever decimal context the caller has."""

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(CONTEXT):
            return function(*args, **kwargs)

    return inside


def up(value: Decimal) -> float:
    """The least double that is not below value * (1 + SLACK)."""
    safe = value + abs(value) * SLACK
    nearest = float(safe)
    return nearest if Decimal(nearest) >= safe else math.nextafter(nearest, math.inf)


def down(value: Decimal) -> float:
    """The greatest double that is not above value * (1 - SLACK)."""
    return 0.0 - up(-value)  # not -up(...), which makes -0.0 of 0


def above(value: float) -> Decimal:
    """An upper limit of the numbers of which `value` may be the rounding."""
    return Decimal(value) * (1 + ULP)


def below(value: float) -> Decimal:
    """A lower limit of the numbers of which `value` may be the rounding."""
    return Decimal(value) * (1 - ULP)


def one_minus_exp(x: Decimal) -> Decimal:
    """The value 1 - exp(-x) for x >= 0, to DIGITS digits however small x is."""
    with localcontext() as context:
        context.prec += leading_zeros(x)
        return 1 - (-x).exp()


def leading_zeros(x: Decimal) -> int:
    """The number of zeros after the point before x begins: 2 for 0.0012."""
    return max(0, -x.adjusted() - 1) if x else 0


def log2(x: Decimal) -> Decimal:
    """The logarithm to base 2."""
    return x.ln() / ln2()


def ln2() -> Decimal:
    """The natural logarithm of 2, to the working precision."""
    return Decimal(2).ln()

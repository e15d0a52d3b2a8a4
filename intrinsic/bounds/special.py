"""Factorials and Maurer's xi, with errors far below `exact.SLACK`."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext

STIRLING = (
    *((1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156), (-3617, 122400)),
    *((43867, 244188), (-174611, 125400), (77683, 5796), (-236364091, 1506960)),
)
"""Stirling's coefficients c_j = B_2j / (2j (2j-1)), j = 1..12:

ln n! = (n + 1/2) ln n - n + ln(2 pi)/2 + sum_j c_j / n^(2j-1), DLMF 5.11.1."""
STIRLING_FROM = 256
"""The least n for the series: its error, below its first omitted term, is under 2e-57 from here on."""
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
XI_SERIES_UP_TO = 10**5
"""The largest n for which xi is summed."""
SERIES_BELOW = Decimal("0.05")
"""The |x| below which x - ln(1 + x) is taken from its series."""


def log_factorial(n: int) -> Decimal:
    """The logarithm ln n!, to an absolute error of 1e-56 and the working precision."""
    if n < STIRLING_FROM:
        return Decimal(math.factorial(n)).ln()
    x = Decimal(n)
    return (x + Decimal("0.5")) * x.ln() - x + (2 * PI).ln() / 2 + _stirling(x)


def _stirling(x: Decimal) -> Decimal:
    total, power, square = Decimal(0), x, x * x
    for numerator, denominator in STIRLING:
        total += numerator / (denominator * power)
        power *= square
    return total


def log_choose(n: int, k: int) -> Decimal:
    """The logarithm of the binomial coefficient C(n, k)."""
    return log_factorial(n) - log_factorial(k) - log_factorial(n - k)


def xi(n: int) -> Decimal:
    """Maurer's xi(n) = sum_k C(n,k) (k/n)^k (1-k/n)^(n-k), from above; between sqrt(n) and 2 sqrt(n).

    By Abel's identity it is 1 + sum_{i>=1} prod_{j<i} (1 - j/n), one more than Ramanujan's Q(n), whose terms fall like
    exp(-i^2/2n): about 12 sqrt(n) of them count. Above XI_SERIES_UP_TO the sum is n! e^n / (2 n^n) + 1 - theta, where
    theta exceeds 1/3 + 4/(135 (n + 8/45)) by less than 0.003/n^2 (Flajolet, Grabner, Kirschenhofer and Prodinger, "On
    Ramanujan's Q-function", 1995).
    """
    if n > XI_SERIES_UP_TO:
        x = Decimal(n)
        theta = Decimal(1) / 3 + 4 / (135 * (x + Decimal(8) / 45))
        return (2 * PI * x).sqrt() * _stirling(x).exp() / 2 + 1 - theta
    total, term = Decimal(2), Decimal(1)
    for i in range(1, n):
        term = term * (n - i) / n
        total += term
        if term * n < i * total * Decimal("1e-45"):  # the rest is below term * n/i: each next ratio is under 1 - i/n
            return total + term * n / i
    return total


def less_log(x: Decimal, whole: Decimal) -> Decimal:
    """The difference x - ln(whole), whole = 1 + x: at least 0, and to all digits where x is small."""
    return less_log_series(x) if abs(x) < SERIES_BELOW else x - whole.ln()


def less_log_series(x: Decimal) -> Decimal:
    """The series x - ln(1 + x) = x^2/2 - x^3/3 + ..., to the working precision, for |x| well below 1."""
    term, k = x * x, 2
    total, least = term / 2, abs(term) * Decimal(10) ** -(getcontext().prec + 2)
    while abs(term) > least:
        term *= -x
        k += 1
        total += term / k
    return total

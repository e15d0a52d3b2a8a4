"""Independent answers for the bounds: mpmath with 60 digits, plain sums and bisection, arguments as exact numbers.

Nothing is shared with intrinsic.bounds: it works in `decimal`, by Newton's method and by series from the largest term.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from mpmath import mp, mpf

mp.dps = 60
Number = mpf | str | int | Fraction


def number(value: Number) -> mpf:
    """The exact number: one twentieth for the text "0.05", a quotient for a Fraction, its binary value for a float."""
    return mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpf(value)


def kl(q: mpf, p: mpf) -> mpf:
    first = q * mp.log(q / p) if q else mpf(0)
    if p == 1:
        return mp.inf if q != 1 else mpf(0)
    second = (1 - q) * mp.log((1 - q) / (1 - p)) if q != 1 else mpf(0)
    return first + second


def bisect(holds: Callable[[mpf], bool], low: mpf, high: mpf) -> mpf:
    """The end of the range on which `holds` is true, which begins at low and ends below high."""
    for _ in range(230):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def kl_upper(q: Number, budget: Number) -> mpf:
    q, budget = number(q), number(budget)
    return mpf(1) if q == 1 else bisect(lambda p: kl(q, p) <= budget, q, mpf(1))


def kl_lower(q: Number, budget: Number) -> mpf:
    """The lower inverse of kl in p, by bisection over ln p, as p may be too small for a fixed step."""
    q, budget = number(q), number(budget)
    return mp.exp(-bisect(lambda t: kl(q, mp.exp(-t)) <= budget, -mp.log(q), mpf(10) ** 8))


def binomial_cdf(errors: int, samples: int, p: mpf) -> mpf:
    """The sum P(Bin(n, p) <= k), from the first term up."""
    term = (1 - p) ** samples
    total, odds = term, p / (1 - p)
    for i in range(errors):
        term *= odds * (samples - i) / (i + 1)
        total += term
    return total


def paid(complexity: Number, delta: Number) -> mpf:
    return number(complexity) + mp.log(1 / number(delta))


def hoeffding(risk: Number, complexity: Number, samples: int, delta: Number) -> mpf:
    return number(risk) + mp.sqrt(paid(complexity, delta) / (2 * samples))


def occam_kl(risk: Number, complexity: Number, samples: int, delta: Number) -> mpf:
    return kl_upper(risk, paid(complexity, delta) / samples)


def xi(samples: int) -> Fraction:
    """Maurer's sum by its definition, in integers, so exact."""
    n = samples
    total, choose = 0, 1
    for k in range(n + 1):
        total += choose * k**k * (n - k) ** (n - k)
        choose = choose * (n - k) // (k + 1)
    return Fraction(total, n**n)


def maurer_budget(complexity: Number, samples: int, delta: Number) -> mpf:
    return (paid(complexity, delta) + mp.log(2 * mp.sqrt(samples))) / samples


def pac_bayes_kl(risk: Number, complexity: Number, samples: int, delta: Number) -> mpf:
    return kl_upper(risk, maurer_budget(complexity, samples, delta))


def pac_bayes_kl_exact(risk: Number, complexity: Number, samples: int, delta: Number) -> mpf:
    return kl_upper(risk, (paid(complexity, delta) + mp.log(number(xi(samples)))) / samples)


def mcallester(risk: Number, complexity: Number, samples: int, delta: Number) -> mpf:
    return number(risk) + mp.sqrt(maurer_budget(complexity, samples, delta) / 2)


def quadratic(risk: Number, complexity: Number, samples: int, delta: Number) -> mpf:
    half = maurer_budget(complexity, samples, delta) / 2
    return (mp.sqrt(number(risk) + half) + mp.sqrt(half)) ** 2


def catoni(risk: Number, complexity: Number, samples: int, delta: Number, inverse_temperature: Number) -> mpf:
    a = number(inverse_temperature) / samples
    inner = number(risk) + paid(complexity, delta) / number(inverse_temperature)
    return (1 - mp.exp(-a * inner)) / (1 - mp.exp(-a))


def theorem1_gap(dim: int, bits: Number, samples: int, delta: Number) -> mpf:
    return mp.sqrt((dim * number(bits) * mp.log(2) + mp.log(1 / number(delta))) / (2 * samples))

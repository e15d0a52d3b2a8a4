"""Catoni's bound, whose free parameter lambda must be paid for when the data choose it.

Assumptions as in `pac_bayes`. With Phi_a^-1(x) = (1 - exp(-a x)) / (1 - exp(-a)) and a = lambda/n,

    risk of Q <= Phi_a^-1( risk + (KL + ln(1/delta)) / lambda )

for one lambda > 0, the inverse temperature, fixed before the data were seen (Catoni 2007, "PAC-Bayesian supervised
classification"; in this form also in Alquier 2021, "User-friendly introduction to PAC-Bayes bounds").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext

from intrinsic.bounds.arguments import paid, read_positive, read_risk, read_samples, refuse
from intrinsic.bounds.exact import exact, ln2, one_minus_exp, up

DEFAULT_GRID = tuple(math.sqrt(2**i) for i in range(2 * 57))
"""The lambdas of `catoni_grid`, unless others are given."""
WIDEST = Decimal(1000)
"""The largest lambda that is sought, in multiples of n; there 1 - exp(-lambda/n) has long been 1."""
SCAN, GOLDEN = 200, Decimal("0.618033988749895")
SEARCH_DIGITS, NARROWEST = 30, Decimal("1e-9")


@exact
def catoni(risk: float, complexity: float, samples: int, delta: float, inverse_temperature: float) -> float:
    """Catoni's bound at one lambda, the inverse temperature, fixed before the data were seen.

    Formula: Phi_a^-1(risk + (KL + ln(1/delta)) / lambda) with a = lambda/n.
    """
    lam = read_positive(inverse_temperature, "the inverse temperature")
    return up(_phi_inverse(lam / read_samples(samples), read_risk(risk) + paid(complexity, delta) / lam))


@exact
def catoni_grid(
    risk: float, complexity: float, samples: int, delta: float, grid: Sequence[float] | None = None
) -> float:
    """The best of `catoni` over a grid of lambdas fixed beforehand, each at delta / len(grid).

    The default grid, 2^(i/2) for i = 0 .. 113, depends on nothing, so that more samples never cost more. It holds every
    lambda from 1 to 16 times the most samples to a factor of 1.19: on bounds of common size the result is within 1 % of
    the best lambda for free.
    """
    try:
        given = DEFAULT_GRID if grid is None else tuple(grid)
    except TypeError:
        refuse("the grid of inverse temperatures", "a sequence of numbers above 0", grid)
    if not given:
        refuse("the grid of inverse temperatures", "at least one number above 0", grid)
    share = paid(complexity, delta) + Decimal(len(given)).ln()
    observed, n = read_risk(risk), read_samples(samples)
    lambdas = [read_positive(lam, "an inverse temperature of the grid") for lam in given]
    return min(up(_phi_inverse(lam / n, observed + share / lam)) for lam in lambdas)


@exact
def zhou_lotfi(risk: float, complexity: float, samples: int, delta: float, alpha: float = 1.0001) -> float:
    """Catoni's bound at the best lambda > 1, which is paid for; offered for comparison.

    Formula: inf over lambda > 1 of Phi_a^-1(risk + (alpha/lambda) (KL + ln(1/delta) + 2 ln(2 + ln(lambda)/ln(alpha)))),
    a = lambda/n.

    This is the form of Zhou et al. 2019 after Catoni 2007, as in Lotfi et al. 2022, whose published code takes
    alpha = 1.0001 and KL = `universal_prior_nats(bits)`. Every lambda above 1 may be chosen by the data; alpha > 1 is
    fixed beforehand. The infimum is sought with fewer digits, and the bound then computed at the lambda found, where it
    is valid whatever the search did.
    """
    base, nats, observed = _read_base(alpha), paid(complexity, delta), read_risk(risk)
    n = read_samples(samples)
    lam = _best_lambda(observed, nats, n, base)
    return up(_phi_inverse(lam / n, observed + base * (nats + _price(lam, base)) / lam))


@exact
def zhou_lotfi_bits(risk: float, complexity: float, samples: int, delta: float, alpha: float = 1.0001) -> float:
    """The bits that `zhou_lotfi` adds to those of KL, rounded up: 2 log2(2 + ln(lambda)/ln(alpha)) for the choice of
    lambda, and (alpha - 1) times all that is paid."""
    base, nats = _read_base(alpha), paid(complexity, delta)
    price = _price(_best_lambda(read_risk(risk), nats, read_samples(samples), base), base)
    return up((base * price + (base - 1) * nats) / ln2())


def _read_base(alpha: float) -> Decimal:
    if (base := read_positive(alpha, "alpha")) <= 1:
        refuse("alpha", "a number above 1, fixed before the data were seen", alpha)
    return base


def _price(lam: Decimal, base: Decimal) -> Decimal:
    """The price in nats of a lambda that the data chose."""
    return 2 * (2 + lam.ln() / base.ln()).ln()


def _best_lambda(observed: Decimal, nats: Decimal, n: int, base: Decimal) -> Decimal:
    """The lambda of `zhou_lotfi`, to a share of about 1e-9. Decimal too, so that every machine finds the same one."""

    def height(log_lam: Decimal) -> Decimal:
        lam = log_lam.exp()
        price = nats + 2 * (2 + log_lam / slope).ln()
        return _phi_inverse(lam / n, observed + base * price / lam)

    with localcontext() as context:
        context.prec = SEARCH_DIGITS
        slope = base.ln()
        return _minimiser(height, Decimal(0), (n * WIDEST).ln()).exp()


def _phi_inverse(a: Decimal, x: Decimal) -> Decimal:
    return one_minus_exp(a * x) / one_minus_exp(a)


def _minimiser(height: Callable[[Decimal], Decimal], low: Decimal, high: Decimal) -> Decimal:
    """The point where height is least: the best of SCAN points, then golden section between its neighbours."""
    width = (high - low) / SCAN
    best = min(range(SCAN + 1), key=lambda i: height(low + i * width))
    left, right = low + max(best - 1, 0) * width, low + min(best + 1, SCAN) * width
    while right - left > NARROWEST * high:
        inner, outer = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
        left, right = (left, outer) if height(inner) <= height(outer) else (inner, right)
    return (left + right) / 2

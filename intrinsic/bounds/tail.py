"""A binomial tail over its largest index's term, from above: by its sum, or by an integral where that is long.

P(Bin(n, p) <= k) / P(Bin(n, p) = k) = 1 + (q/p) k/(n-k+1) + (q/p)^2 k(k-1)/((n-k+1)(n-k+2)) + ...,   q = 1 - p,

whose terms fall like exp(-z i/s - i^2/2s^2), s^2 = npq: some 13 s of them count. The same number is

    (n-k)/q  int_0^q exp(h(x)) dx,   h(x) = k ln(1 + x/p) + (n-k-1) ln(1 - x/q)      (DLMF 8.17.4, 8.17.5),

a log-concave integrand on the scale s/n, for which a few dozen points are enough however large n is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

from intrinsic.bounds.exact import ONE, exact
from intrinsic.bounds.special import less_log_series

NEGLIGIBLE_TERM = Decimal("1e-40")
LEAST_VARIANCE = 150**2
"""The least npq for the integral: x/p and x/q then stay below a fifth, where the logarithm's series is short."""
MOST_TERMS = 2000
"""The most terms that are summed where the integral would serve."""
DEPTH = 45
"""The depth at which the integral ends: the integrand is about exp(-45); what lies beyond is bounded and added."""
POINTS, PANEL = 28, 5
"""The Gauss-Legendre points a panel, and a panel's greatest width in standard deviations."""
QUADRATURE_DIGITS = 32
QUADRATURE_MARGIN = Decimal("1e-18")
"""A relative margin above the quadrature's error. On a panel, |y| <= 1, the integrand is exp(-a y - b y^2) but for
factors near 1, with b <= PANEL^2 / 8 and a <= DEPTH / 2. On the ellipse of semi-axes (4 +- 1/4) / 2 around it, where it
is analytic, it is below e^30 of its largest value, so that the error is below 5 e^30 4^(-2 POINTS) = 1e-20 of that (the
bound for Gauss quadrature of analytic functions, Trefethen 2008); against the sum it was 1e-22 and less."""


def tail_over_top(count: int, samples: int, p: Decimal) -> Decimal:
    """The ratio P(Bin(samples, p) <= count) / P(Bin(samples, p) = count), from above, to a share of 1e-18 or less."""
    shape = _Shape(count, samples, p)
    if shape.variance < LEAST_VARIANCE or shape.terms() < MOST_TERMS:
        return _sum(count, samples, (1 - p) / p)
    return _integral(shape)


def _sum(count: int, samples: int, odds: Decimal) -> Decimal:
    term = total = ONE
    for left in range(count, 0, -1):
        ratio = odds * left / (samples - left + 1)
        term *= ratio
        total += term
        if ratio < 1 and term < total * NEGLIGIBLE_TERM * (1 - ratio):
            # Ratios fall, so that a geometric series bounds the rest.
            return total + term * ratio / (1 - ratio)
    return total


@dataclass(frozen=True)
class _Shape:
    """The shape of the integrand."""

    count: int
    samples: int
    p: Decimal

    @property
    def variance(self) -> Decimal:
        return self.samples * self.p * (1 - self.p)

    @property
    def width(self) -> Decimal:
        """The standard deviation, were the integrand Gaussian."""
        return self.variance.sqrt() / self.samples

    @property
    def beyond(self) -> Decimal:
        """The distance of p beyond the mode, in widths; negative before it."""
        return (self.p - Decimal(self.count) / self.samples) / self.width

    def reach(self, depth: int) -> Decimal:
        """The distance from p, in widths, at which the integrand is about exp(-depth) of its largest value."""
        past = max(self.beyond, Decimal(0))
        return (past * past + 2 * depth).sqrt() - past + max(-self.beyond, Decimal(0))

    def terms(self) -> Decimal:
        """The number, roughly, of the sum's terms that count."""
        return self.variance.sqrt() * self.reach(92)

    def slope(self, x: Decimal) -> Decimal:
        """The derivative h'(x)."""
        return self.count / (self.p + x) - (self.samples - self.count - 1) / (1 - self.p - x)


def _integral(shape: _Shape) -> Decimal:
    """The ratio by Gauss-Legendre quadrature in panels; the rest is below exp(h)/-h', as h is concave."""
    p, q, others = shape.p, 1 - shape.p, shape.samples - shape.count - 1
    first = shape.slope(Decimal(0))  # the difference of two large numbers: at full precision
    end = shape.reach(DEPTH) * Decimal("1.1") * shape.width
    with localcontext() as context:
        context.prec = QUADRATURE_DIGITS

        def density(x: Decimal) -> Decimal:
            return (first * x - shape.count * less_log_series(x / p) - others * less_log_series(-x / q)).exp()

        panels = math.ceil(end / (PANEL * shape.width))
        half = end / (2 * panels)
        total = Decimal(0)
        for panel in range(panels):
            middle = (2 * panel + 1) * half
            total += sum(
                (w * (density(middle - half * y) + density(middle + half * y)) for y, w in _rule()), Decimal(0)
            )
        inside = half * total * (1 + QUADRATURE_MARGIN)
        return (inside - density(end) / shape.slope(end)) * (shape.samples - shape.count) / q


@cache
@exact
def _rule() -> tuple[tuple[Decimal, Decimal], ...]:
    """The positive half of the Gauss-Legendre points on [-1, 1], and their weights; POINTS is even."""
    return tuple(_point(Decimal(math.cos(math.pi * (i + 0.75) / (POINTS + 0.5)))) for i in range(POINTS // 2))


def _point(y: Decimal) -> tuple[Decimal, Decimal]:
    """The root of the Legendre polynomial near y by Newton's method, and 2 / ((1 - y^2) P'(y)^2)."""
    for _ in range(6):
        before, value = ONE, y
        for k in range(2, POINTS + 1):
            before, value = value, ((2 * k - 1) * y * value - (k - 1) * before) / k
        slope = POINTS * (y * value - before) / (y * y - 1)
        y -= value / slope
    return y, 2 / ((1 - y * y) * slope * slope)

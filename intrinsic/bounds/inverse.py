"""Inverses of the binary relative entropy and of the binomial tail, and the confidence limits they give.

Each is found by Newton's method in decimal arithmetic from a side on which it cannot overstep: kl(q || p) is convex in
p, and the logarithm of a binomial tail is concave in p (a Beta distribution function is log-concave), so from a start
beyond the root every iterate stays beyond it. Wherever the iteration ends, the answer is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Literal

from intrinsic.bounds.arguments import (
    read_delta,
    read_errors,
    read_integer,
    read_nonnegative,
    read_risk,
    read_samples,
    refuse,
)
from intrinsic.bounds.exact import ONE, down, exact, leading_zeros, one_minus_exp, up
from intrinsic.bounds.special import log_choose

Side = Literal["upper", "lower"]

MAX_BINOMIAL_SAMPLES = 10**9
LEAST_NATS = Decimal("1e-17")
NEGLIGIBLE_STEP = Decimal("1e-32")
NEGLIGIBLE_TAIL = Decimal("1e-40")
MOST_STEPS = 1000


@exact
def kl_inverse(risk: float, nats_per_sample: float, side: Side = "upper") -> float:
    """The p furthest from the risk q with kl(q || p) <= nats_per_sample, rounded away from q.

    kl(q || p) = q ln(q/p) + (1-q) ln((1-q)/(1-p)), the relative entropy of two coins. `upper` gives
    sup{p >= q}, rounded up, `lower` inf{p <= q}, rounded down. Both arguments are taken as they are.

    Source: Langford and Caruana 2001; Seeger 2002. Raises SpecError unless 0 <= risk <= 1 and nats_per_sample >= 0.
    """
    check_side(side)
    read_risk(risk), read_nonnegative(nats_per_sample, "nats_per_sample")
    if nats_per_sample == 0:
        return float(risk)
    root = kl_root(Decimal(float(risk)), Decimal(float(nats_per_sample)), side)
    return min(1.0, up(root)) if side == "upper" else down(root)


@exact
def binomial_tail_inverse(errors: int, samples: int, nats: float, side: Side = "upper") -> float:
    """The furthest p under which what was seen still has a probability of at least exp(-nats).

    `upper`: sup{p : P(Bin(n, p) <= k) >= exp(-nats)}, rounded up. `lower`: inf{p : P(Bin(n, p) >= k) >= exp(-nats)},
    rounded down. The probability is given by its logarithm, as delta 2^-L has none but that beyond L = 1074 bits. nats
    below 1e-17 count as 1e-17, which is the safe side. n is at most 10^9: time grows with sqrt(n), to seconds there.

    Source: Langford 2005, "Tutorial on practical prediction theory for classification", Section 3.1.
    """
    check_side(side)
    count = read_counts(errors, samples)
    read_nonnegative(nats, "nats")
    root = binomial_root(*count, Decimal(float(nats)), side)
    return min(1.0, up(root)) if side == "upper" else down(root)


@exact
def clopper_pearson(errors: int, samples: int, delta: float, side: Side = "upper") -> float:
    """A confidence limit for a proportion: the error rate is beyond it with probability at most delta.

    `upper`: the p with P(Bin(n, p) <= k) = delta; `lower`: the p with P(Bin(n, p) >= k) = delta. One-sided: for an
    interval of confidence 1 - delta ask for both at delta / 2. Assumes n independent draws.

    Source: Clopper and Pearson 1934.
    """
    check_side(side)
    root = binomial_root(*read_counts(errors, samples), -read_delta(delta).ln(), side)
    return min(1.0, up(root)) if side == "upper" else down(root)


def check_side(side: str) -> None:
    if side not in ("upper", "lower"):
        refuse("side", "'upper' or 'lower'", side)


def read_counts(errors: int, samples: int) -> tuple[int, int]:
    n = read_integer(samples, "the number of samples of a binomial tail", 1, MAX_BINOMIAL_SAMPLES)
    return read_errors(errors, read_samples(n)), n


def kl_root(q: Decimal, nats: Decimal, side: Side) -> Decimal:
    """The p on the named side of q with kl(q || p) = nats, from outside; q itself where nats is 0."""
    if not nats or q == (1 if side == "upper" else 0):
        return q
    if q == 0:
        return one_minus_exp(nats)
    if q == 1:
        return (-nats).exp()
    with localcontext() as context:
        context.prec += 2 * leading_zeros(nats)  # kl is near (p-q)^2: half of its digits cancel
        start = _kl_start(q, nats, side)
        if start >= 1 or start <= 0:  # closer to the end than the working precision can tell
            return min(max(start, Decimal(0)), ONE)

        def step(p: Decimal) -> Decimal:
            entropy = q * (q / p).ln() + (1 - q) * ((1 - q) / (1 - p)).ln()
            return (entropy - nats) * p * (1 - p) / (p - q)

        return _newton(step, start, side)


def _kl_start(q: Decimal, nats: Decimal, side: Side) -> Decimal:
    """Beyond the root: the nearer of Pinsker's bound and of dropping one term of kl = -H(q) + q ln(1/p) + ..."""
    surprise = nats - q * q.ln() - (1 - q) * (1 - q).ln()
    pinsker = (nats / 2).sqrt()
    if side == "upper":
        return min(q + pinsker, 1 - (-surprise / (1 - q)).exp())
    return max(q - pinsker, (-surprise / q).exp())


def binomial_root(errors: int, samples: int, nats: Decimal, side: Side) -> Decimal:
    """The p at which the tail's logarithm is -nats, from outside."""
    nats = max(nats, LEAST_NATS)
    if errors == (samples if side == "upper" else 0):
        return ONE if side == "upper" else Decimal(0)
    if errors == 0:
        return one_minus_exp(nats / samples)
    if errors == samples:
        return (-nats / samples).exp()
    start = kl_root(Decimal(errors) / samples, nats / samples, side)  # Chernoff: the tail is below exp(-n kl)
    if start >= 1 or start <= 0:
        return start
    choose = log_choose(samples, errors)

    def step(p: Decimal) -> Decimal:
        top = choose + errors * p.ln() + (samples - errors) * (1 - p).ln()
        if side == "upper":
            series = _tail_over_top(errors, samples, (1 - p) / p)
            slope = -(samples - errors) / ((1 - p) * series)
        else:
            series = _tail_over_top(samples - errors, samples, p / (1 - p))
            slope = errors / (p * series)
        return (top + series.ln() + nats) / slope

    return _newton(step, start, side)


def _tail_over_top(count: int, samples: int, odds: Decimal) -> Decimal:
    """sum_{i<=k} C(n,i) a^i / (C(n,k) a^k) with odds = 1/a, from above: the tail over its largest index's term."""
    term = total = ONE
    for left in range(count, 0, -1):
        ratio = odds * left / (samples - left + 1)
        term *= ratio
        total += term
        if ratio < 1 and term < total * NEGLIGIBLE_TAIL * (1 - ratio):
            # Ratios fall, so that a geometric series bounds the rest.
            return total + term * ratio / (1 - ratio)
    return total


def _newton(step: Callable[[Decimal], Decimal], start: Decimal, side: Side) -> Decimal:
    """From outside towards the root; ends when a step is negligible or rounding would turn it outward."""
    p = start
    for _ in range(MOST_STEPS):
        change = step(p)
        if (change if side == "upper" else -change) <= p * NEGLIGIBLE_STEP:
            break
        p -= change
    return p

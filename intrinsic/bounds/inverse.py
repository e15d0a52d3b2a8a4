"""Inverses of the binary relative entropy and of the binomial tail, and the confidence limits they give.

Each is found by Newton's method in decimal arithmetic from a side on which it cannot overstep: kl(q || p) is convex in
p, and the logarithm of a binomial tail is concave in p (a Beta distribution function is log-concave), so from a start
beyond the root every iterate stays beyond it. Wherever the iteration ends, the answer is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal

from intrinsic.bounds.arguments import (
    read_delta,
    read_errors,
    read_nonnegative,
    read_risk,
    read_samples,
    refuse,
)
from intrinsic.bounds.exact import ONE, down, exact, one_minus_exp, up
from intrinsic.bounds.special import less_log, log_choose
from intrinsic.bounds.tail import tail_over_top

Side = Literal["upper", "lower"]

LEAST_NATS = Decimal("1e-17")
NEGLIGIBLE_STEP = Decimal("1e-32")
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
    between 0 and 1e-17 count as 1e-17, which is the safe side.

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
    """Raise SpecError unless the side is `upper` or `lower`."""
    if side not in ("upper", "lower"):
        refuse("side", "'upper' or 'lower'", side)


def read_counts(errors: int, samples: int) -> tuple[int, int]:
    """Check the pair (errors, samples)."""
    n = read_samples(samples)
    return read_errors(errors, n), n


def kl_root(q: Decimal, nats: Decimal, side: Side) -> Decimal:
    """The p on the named side of q with kl(q || p) = nats, from outside; q itself where nats is 0.

    Both sides are one problem. With h = q and r = 1 - q above q, h = 1 - q and r = q below it, a = |p - q| the unknown,
    and l = r - a,

        kl = h f(a/h) + r f(-a/r),   f(x) = x - ln(1 + x) >= 0,   d kl/da = a / ((h + a) l),

    where nothing cancels. a and l are both carried, as either may be far smaller than the other.
    """
    here, room = (q, 1 - q) if side == "upper" else (1 - q, q)
    if not nats or not room:
        return q
    if q in (0, 1):
        return one_minus_exp(nats) if side == "upper" else (-nats).exp()
    apart, left = _kl_start(here, room, nats)
    for _ in range(MOST_STEPS):
        if not left:  # the end is nearer than the working precision can tell
            break
        entropy = here * less_log(apart / here, 1 + apart / here) + room * less_log(-apart / room, left / room)
        change = (entropy - nats) * (here + apart) * left / apart
        if change <= (here + apart if side == "upper" else left) * NEGLIGIBLE_STEP:
            break
        apart, left = apart - change, left + change
    return min(here + apart, ONE) if side == "upper" else left


def _kl_start(here: Decimal, room: Decimal, nats: Decimal) -> tuple[Decimal, Decimal]:
    """The pair (a, l) beyond the root: the nearer of Pinsker's and of where h ln(h) + r ln(r/l) <= kl reaches nats."""
    pinsker = (nats / 2).sqrt()
    surprise = (nats + here * (room + less_log(-room, here))) / room  # (nats - h ln(h)) / r
    apart = room * one_minus_exp(surprise)
    return (pinsker, room - pinsker) if pinsker < apart else (apart, room * (-surprise).exp())


def binomial_root(errors: int, samples: int, nats: Decimal, side: Side) -> Decimal:
    """The p at which the tail's logarithm is -nats, from outside."""
    if errors == (samples if side == "upper" else 0):
        return ONE if side == "upper" else Decimal(0)
    if not nats:  # only p = 0, or 1, makes what was seen certain
        return Decimal(0) if side == "upper" else ONE
    nats = max(nats, LEAST_NATS)
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
            series = tail_over_top(errors, samples, p)
            slope = -(samples - errors) / ((1 - p) * series)
        else:
            series = tail_over_top(samples - errors, samples, 1 - p)
            slope = errors / (p * series)
        return (top + series.ln() + nats) / slope

    return _newton(step, start, side)


def _newton(step: Callable[[Decimal], Decimal], start: Decimal, side: Side) -> Decimal:
    """Go from outside towards the root; end when a step is negligible or rounding would turn it outward."""
    p = start
    for _ in range(MOST_STEPS):
        change = step(p)
        if (change if side == "upper" else -change) <= p * NEGLIGIBLE_STEP:
            break
        p -= change
    return p

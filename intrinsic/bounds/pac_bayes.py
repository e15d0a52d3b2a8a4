"""PAC-Bayes bounds on the risk of a random function.

Common assumptions: n i.i.d. samples; a loss in [0, 1]; a prior P fixed before the data were seen; risk is the
expected empirical risk under the posterior Q, complexity KL(Q || P) in nats. With probability 1 - delta over
the samples the bound holds for all Q at once. A single function of code length L is the posterior that is
certain of it: KL = L ln 2, and then `occam` is tighter. Values of 1 and more say nothing.
"""

from __future__ import annotations

from decimal import Decimal

from intrinsic.bounds.arguments import paid, read_nonnegative, read_rest, read_risk, read_samples, refuse
from intrinsic.bounds.exact import exact, ln2, log2, up
from intrinsic.bounds.inverse import kl_root
from intrinsic.bounds.special import xi


@exact
def pac_bayes_quadratic(risk: float, complexity: float, samples: int, delta: float) -> float:
    """The quadratic bound: (sqrt(risk + A) + sqrt(A))^2 with A = (KL + ln(2 sqrt(n)/delta)) / (2n).

    Below McAllester's for risks under about a quarter, above it elsewhere; it is the relaxation that
    training minimises. Source: Rivasplata et al. 2019; Perez-Ortiz et al. 2021.
    """
    half = _budget(complexity, samples, delta) / 2
    return up(((read_risk(risk) + half).sqrt() + half.sqrt()) ** 2)


@exact
def pac_bayes_mcallester(risk: float, complexity: float, samples: int, delta: float) -> float:
    """McAllester's bound: risk + sqrt((KL + ln(2 sqrt(n)/delta)) / (2n)).

    Source: McAllester 1999 with the constant of Maurer 2004 (Pinsker's inequality on `pac_bayes_kl`).
    """
    return up(read_risk(risk) + (_budget(complexity, samples, delta) / 2).sqrt())


@exact
def pac_bayes_kl(risk: float, complexity: float, samples: int, delta: float) -> float:
    """Seeger's bound by the relative entropy: sup{p : kl(risk || p) <= (KL + ln(2 sqrt(n)/delta)) / n}.

    Source: Seeger 2002 with the constant of Maurer 2004, "A note on the PAC Bayesian theorem"; Maurer asks for n >= 8,
    below which xi(n) <= 2 sqrt(n) holds too (tests/bounds/test_bounds_special.py).
    """
    return min(1.0, up(kl_root(read_risk(risk), _budget(complexity, samples, delta), "upper")))


@exact
def pac_bayes_kl_exact(risk: float, complexity: float, samples: int, delta: float) -> float:
    """The bound `pac_bayes_kl` with xi(n) = sum_k C(n,k) (k/n)^k (1-k/n)^(n-k) itself in place of 2 sqrt(n).

    Source: Maurer 2004, whose proof bounds this sum; sqrt(n) <= xi(n) <= 2 sqrt(n).
    """
    budget = (paid(complexity, delta) + xi(read_samples(samples)).ln()) / samples
    return min(1.0, up(kl_root(read_risk(risk), budget, "upper")))


@exact
def pac_bayes_bits(samples: int, *, exactly: bool = False) -> float:
    """The bits that the theorem adds to those of KL, rounded up: log2(2 sqrt(n)), or log2 of xi(n) if `exactly`.

    The former belong to `pac_bayes_kl`, `pac_bayes_mcallester` and `pac_bayes_quadratic`, the latter to
    `pac_bayes_kl_exact`.
    """
    n = read_samples(samples)
    return up(log2(xi(n) if exactly else 2 * Decimal(n).sqrt()))


def pac_bayes_split(risk: float, complexity: float, samples: int, prior_samples: int, delta: float) -> float:
    """The bound `pac_bayes_kl_exact` with a prior trained on the first `prior_samples` of n samples.

    risk is measured on the other n - prior_samples, which are all that the bound counts; complexity is KL(Q || P) to
    that prior. The split itself must not depend on the data.

    Source: Ambroladze, Parrado-Hernandez and Shawe-Taylor 2006; Dziugaite et al. 2021.
    """
    return pac_bayes_kl_exact(risk, complexity, read_rest(samples, prior_samples), delta)


@exact
def universal_prior_nats(bits: float) -> float:
    """The nats that Zhou et al. 2019 and Lotfi et al. 2022 charge for a program of L >= 1 bits: (L + 2 log2 L) ln 2.

    For comparison only. It is the length of no prefix code: 2^L strings of every length L at 2^-(L + 2 log2 L) each sum
    to sum_L 1/L^2 = 1.64 > 1, by Kraft's inequality 0.72 bits too little; and the decoder is charged nothing.
    """
    if (length := read_nonnegative(bits, "the number of bits")) < 1:
        refuse("the number of bits", "at least 1, as log2 of less is negative", bits)
    return up(length * ln2() + 2 * length.ln())


def _budget(complexity: float, samples: int, delta: float) -> Decimal:
    """The nats a sample, (KL + ln(2 sqrt(n)/delta)) / n."""
    n = Decimal(read_samples(samples))
    return (paid(complexity, delta) + (2 * n.sqrt()).ln()) / n

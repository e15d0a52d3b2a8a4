"""Bounds for one function of a countable set: a prefix code says how much of delta each function may use.

Common assumptions: n i.i.d. samples; a loss in [0, 1] (0 or 1 for `occam_binomial`); a code fixed before the data were
seen, in which the function chosen has length L bits, with sum_h 2^-L(h) <= 1 (Kraft). The complexity is L ln 2 nats
(`nats`). The bound of function h may fail with probability delta 2^-L(h), so all hold together with probability
1 - delta, and the function may be chosen in any way by the same data. Values of 1 and more say nothing.
"""

from __future__ import annotations

from intrinsic.bounds.arguments import paid, read_nonnegative, read_rest, read_risk, read_samples
from intrinsic.bounds.exact import exact, ln2, up
from intrinsic.bounds.inverse import binomial_root, clopper_pearson, kl_root, read_counts


@exact
def nats(bits: float) -> float:
    """The complexity of a code's length in nats: bits * ln 2, rounded up."""
    return up(read_nonnegative(bits, "the number of bits") * ln2())


@exact
def occam_hoeffding(risk: float, complexity: float, samples: int, delta: float) -> float:
    """Occam's bound by Hoeffding's inequality: risk + sqrt((complexity + ln(1/delta)) / (2n)).

    Source: Blumer et al. 1987 (Occam's razor) with Hoeffding 1963, Theorem 2; Langford 2005, Section 4.1.
    """
    gap = (paid(complexity, delta) / (2 * read_samples(samples))).sqrt()
    return up(read_risk(risk) + gap)


@exact
def occam_kl(risk: float, complexity: float, samples: int, delta: float) -> float:
    """Occam's bound by the relative entropy: sup{p : kl(risk || p) <= (complexity + ln(1/delta)) / n}.

    It is never above Hoeffding's, by Pinsker's inequality.

    Source: Chernoff's bound (Hoeffding 1963, Theorem 1, for losses in [0, 1]); Langford 2005, Section 4.1.
    """
    budget = paid(complexity, delta) / read_samples(samples)
    return min(1.0, up(kl_root(read_risk(risk), budget, "upper")))


@exact
def occam_binomial(errors: int, complexity: float, samples: int, delta: float) -> float:
    """Occam's bound by the exact binomial tail: sup{p : P(Bin(n, p) <= errors) >= delta exp(-complexity)}.

    For the 0-1 loss; never above `occam_kl`. Nothing is lost here but in the union over the code.

    Source: Langford 2005, Section 4.1 (the Occam's razor bound).
    """
    return min(1.0, up(binomial_root(*read_counts(errors, samples), paid(complexity, delta), "upper")))


def occam_split(errors: int, complexity: float, samples: int, prior_samples: int, delta: float) -> float:
    """The bound `occam_binomial` where the first `prior_samples` of n samples chose the code.

    errors are counted on the other n - prior_samples, which are all that the bound counts; complexity is the length in
    the code that the first part chose, in any way. The split itself must not depend on the data.

    Source: Ambroladze, Parrado-Hernandez and Shawe-Taylor 2006; Dziugaite et al. 2021; Lotfi et al. 2022.
    """
    return occam_binomial(errors, complexity, read_rest(samples, prior_samples), delta)


def held_out_bound(errors: int, samples: int, delta: float) -> float:
    """The test-set bound, a reference for all others: the exact binomial tail at delta, without complexity.

    For the 0-1 loss on n i.i.d. samples that had no part in choosing the function, or in choosing what to report.

    Source: Langford 2005, Section 3.1 (the test set bound).
    """
    return clopper_pearson(errors, samples, delta)

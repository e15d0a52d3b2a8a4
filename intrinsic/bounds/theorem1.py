"""Theorem 1 of Aghajanyan et al. with its constants written out."""

from __future__ import annotations

import math
from decimal import Decimal

from intrinsic.bounds.arguments import paid, read_nonnegative, read_risk, read_samples
from intrinsic.bounds.exact import exact, ln2, up


@exact
def theorem1_gap(subspace_dim: int, bits_per_coordinate: float, samples: int, delta: float) -> float:
    """The gap by which the risk can exceed the empirical risk: sqrt((d b ln 2 + ln(1/delta)) / (2m)).

    Theorem 1 of Aghajanyan et al. 2020 says L0(f) <= L0_hat(f) + O(sqrt(d/m)) by Theorem 2.1 of Arora et al. 2018,
    which for a network of q parameters of r values each says O(sqrt(q ln r / m)): a union over r^q functions and
    Hoeffding's inequality, whose constants stand here, with q = d and r = 2^b levels a coordinate.

    Holds with probability 1 - delta over m i.i.d. samples for a loss in [0, 1], if all but the d coordinates (the
    projection, theta_0, the levels' values, b, d) was fixed before the data were seen. Of f it holds as quantised.
    """
    dim = read_samples(subspace_dim, "subspace_dim")
    bits = read_nonnegative(bits_per_coordinate, "bits_per_coordinate")
    return up(((dim * bits * ln2() + paid(0.0, delta)) / (2 * read_samples(samples))).sqrt())


@exact
def theorem1(risk: float, subspace_dim: int, bits_per_coordinate: float, samples: int, delta: float) -> float:
    """The bound of Theorem 1, for the quantised network: risk + theorem1_gap(...). Values of 1 and more say nothing."""
    gap = theorem1_gap(subspace_dim, bits_per_coordinate, samples, delta)
    return up(read_risk(risk) + Decimal(gap))


def theorem1_asymptotic(subspace_dim: int, samples: int) -> float:
    """The rate sqrt(d/m), as papers quote Theorem 1. NOT A BOUND: the O hides the constants. Rounded to nearest."""
    return math.sqrt(read_samples(subspace_dim, "subspace_dim") / read_samples(samples))

"""Factorials and Maurer's xi against 60-digit arithmetic and their definitions."""

from __future__ import annotations

import bounds_oracle as oracle
import pytest
from mpmath import mp, mpf

from intrinsic.bounds import special
from intrinsic.bounds.exact import exact


@pytest.mark.parametrize("n", [1, 2, 3, 8, 50, 400])
def test_xi_is_its_definition(n):
    assert 0 <= mpf(str(exact(special.xi)(n))) / oracle.number(oracle.xi(n)) - 1 < mpf("1e-25")


def test_xi_is_at_most_two_root_n_where_maurer_did_not_say():
    assert all(oracle.xi(n) ** 2 <= 4 * n for n in range(1, 9))


def test_xi_beyond_the_series():
    """Ramanujan's Q(n) = sqrt(pi n/2) - 1/3 + sqrt(pi/(288 n)) - 4/(135 n) + ..., Knuth 1973, 1.2.11.3."""
    for n in (special.XI_SERIES_UP_TO, special.XI_SERIES_UP_TO + 1, 10**9):
        expansion = mp.sqrt(mp.pi * n / 2) + mpf(2) / 3 + mp.sqrt(mp.pi / (288 * mpf(n))) - mpf(4) / (135 * n)
        assert abs(mpf(str(exact(special.xi)(n))) - expansion) < mpf(1) / mpf(n) ** mpf("1.5")


@pytest.mark.parametrize("n", [0, 1, 2, 255, 256, 257, 1000, 67_349, 10**9])
def test_log_factorial(n):
    assert abs(mpf(str(exact(special.log_factorial)(n))) - mp.loggamma(n + 1)) < mpf("1e-45")

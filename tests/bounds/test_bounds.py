"""Every bound against 60-digit arithmetic: within 1e-9 of the exact value, and never on its wrong side."""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction

import bounds_oracle as oracle
import pytest
from mpmath import mp, mpf

from intrinsic import bounds
from intrinsic.bounds import tail
from intrinsic.bounds.catoni import zhou_lotfi_bits
from intrinsic.bounds.pac_bayes import pac_bayes_bits
from intrinsic.errors import SpecError


def assert_just_above(got: float, exact: mpf) -> None:
    assert type(got) is float
    assert mpf(got) >= exact
    assert mpf(got) <= exact * (1 + mpf("2e-15"))


def assert_just_below(got: float, exact: mpf) -> None:
    assert type(got) is float
    assert exact * (1 - mpf("2e-15")) <= mpf(got) <= exact


PLACES = [  # errors, samples, bits, delta as they are written
    (0, 1, "0", "0.5"),
    (0, 20, "0", "0.01"),
    (0, 300, "16.108", "0.05"),
    (1, 2, "0.3", "0.1"),
    (1, 1000, "1.58496", "0.05"),
    (7, 408, "33.3", "0.05"),
    (150, 300, "0", "1e-300"),
    (299, 300, "2.5", "0.05"),
    (300, 300, "2.5", "0.05"),
    (1234, 8530, "210.779", "0.05"),
    (19438, 67349, "2186.323", "0.01"),
]


@pytest.mark.parametrize(("errors", "samples", "bits", "delta"), PLACES)
def test_occam_is_just_above_the_exact_value_for_arguments_rounded_to_doubles(errors, samples, bits, delta):
    """errors / samples, bits * math.log(2) and 0.05 are doubles beside the numbers meant; the bound covers those."""
    risk, nats = Fraction(errors, samples), mpf(bits) * mp.log(2)
    given = (float(bits) * math.log(2), samples, float(delta))
    assert_just_above(bounds.occam_hoeffding(errors / samples, *given), oracle.hoeffding(risk, nats, samples, delta))
    assert_just_above(bounds.occam_kl(errors / samples, *given), oracle.occam_kl(risk, nats, samples, delta))


@pytest.mark.parametrize(("errors", "samples", "bits", "delta"), [p for p in PLACES if p[0] < p[1]])
def test_occam_binomial_is_just_above_the_root_of_the_tail(errors, samples, bits, delta):
    """The oracle sums the tail at the answer (it must not exceed delta 2^-L) and a hair below it (it must)."""
    got = bounds.occam_binomial(errors, float(bits) * math.log(2), samples, float(delta))
    share = mpf(delta) * mpf(2) ** -mpf(bits)
    assert oracle.binomial_cdf(errors, samples, mpf(got)) <= share
    assert oracle.binomial_cdf(errors, samples, mpf(got) * (1 - mpf("3e-15"))) > share


def test_occam_binomial_with_every_sample_an_error_is_one():
    assert bounds.occam_binomial(300, 0.0, 300, 0.05) == 1.0


@pytest.mark.parametrize(("errors", "samples", "bits", "delta"), [p for p in PLACES if p[0] > 0])
def test_clopper_pearson_encloses_between_the_roots_of_both_tails(errors, samples, bits, delta):
    low, high = (bounds.clopper_pearson(errors, samples, float(delta), side) for side in ("lower", "upper"))
    nats = -math.log(float(delta))
    assert bounds.binomial_tail_inverse(errors, samples, nats, "lower") == pytest.approx(low, rel=1e-13)
    assert bounds.binomial_tail_inverse(errors, samples, nats) == pytest.approx(high, rel=1e-13)
    at_least = 1 - oracle.binomial_cdf(errors - 1, samples, mpf(low))
    if mpf(delta) > mpf("1e-40"):  # else the oracle's subtraction loses every digit
        assert at_least <= mpf(delta) < 1 - oracle.binomial_cdf(errors - 1, samples, mpf(low) * (1 + mpf("3e-15")))
    if errors < samples:
        assert oracle.binomial_cdf(errors, samples, mpf(high)) <= mpf(delta)


@pytest.mark.parametrize("beyond", ["-8.6", "-3", "0", "0.5", "1.6", "12"])
@pytest.mark.parametrize(("samples", "share"), [(100_000, "0.5"), (800_000, "0.03"), (800_000, "0.97")])
def test_a_long_tail_by_its_integral_is_its_sum(samples, share, beyond):
    """`beyond`: how many standard deviations p lies beyond count/samples; both from above, to their own precision."""
    with decimal.localcontext(decimal.Context(prec=60)):
        centre = Decimal(share)
        p = centre + Decimal(beyond) * (centre * (1 - centre) / samples).sqrt()
        count = int(samples * centre)
        integral = tail._integral(tail._Shape(count, samples, p))
        assert 0 <= integral / tail._sum(count, samples, (1 - p) / p) - 1 <= 2 * tail.QUADRATURE_MARGIN


HARD_COUNTS = [(1, 10**9), (10**6, 10**9), (5 * 10**8, 10**9), (10**9 - 1, 10**9), (7, 2**53), (30_000, 60_000)]


@pytest.mark.parametrize(("errors", "samples"), HARD_COUNTS)
@pytest.mark.parametrize("nats", [1e-3, 3.0, 690.0, 1e6])
def test_the_tail_at_hard_corners(errors, samples, nats):
    """At the answer mpmath's incomplete beta function is below exp(-nats), a hair inside it is above."""
    got = mpf(bounds.binomial_tail_inverse(errors, samples, nats))
    inside = got * (1 - mpf("1e-14"))
    assert got >= mpf(errors) / samples or nats < 0.7
    if nats <= 690 and (errors < 10**6 or errors > samples - 10**6):
        assert log_tail(errors, samples, got) <= -nats
        assert log_tail(errors, samples, inside) > -nats
    chernoff = bounds.kl_inverse(errors / samples, nats / samples)
    assert got <= mpf(chernoff) * (1 + mpf("1e-15"))


def log_tail(errors: int, samples: int, p: mpf) -> mpf:
    """ln P(Bin(n, p) <= k), from its largest term down."""
    term = total = mpf(1)
    for i in range(errors, 0, -1):
        term *= (1 - p) / p * i / (samples - i + 1)
        total += term
        if term < total * mpf("1e-45"):
            break
    top = mp.loggamma(samples + 1) - mp.loggamma(errors + 1) - mp.loggamma(samples - errors + 1)
    return top + errors * mp.log(p) + (samples - errors) * mp.log(1 - p) + mp.log(total)


@pytest.mark.parametrize("q", [1e-300, 1e-100, 1e-17, 0.3, 1 - 2**-53])
@pytest.mark.parametrize("nats", [5e-324, 1e-300, 1e-30, 1e-9, 30.0])
def test_kl_inverse_where_risk_and_budget_are_far_apart(q, nats):
    """kl at the answer is at least nats, four units in the last place inside it is below."""
    with mp.workdps(750):
        for side, outward in (("upper", math.inf), ("lower", -math.inf)):
            got = bounds.kl_inverse(q, nats, side)
            inside = got
            for _ in range(4):
                inside = math.nextafter(inside, -outward)
            if 1e-305 < got < 1:
                assert oracle.kl(mpf(q), mpf(got)) >= nats
                assert (inside - q) * outward <= 0 or oracle.kl(mpf(q), mpf(inside)) <= nats


def test_a_tail_that_must_be_certain_leaves_one_end():
    assert [bounds.binomial_tail_inverse(k, 9, 0.0) for k in (0, 5, 9)] == [0.0, 0.0, 1.0]
    lower = [bounds.binomial_tail_inverse(k, 9, 0.0, "lower") for k in (0, 5, 9)]
    assert lower == [0.0, math.nextafter(1, 0), math.nextafter(1, 0)]  # rounded down, as every lower limit


def test_clopper_pearson_lower_limits_in_closed_form():
    """P(X >= 1) = 1 - (1-p)^n and P(X >= n) = p^n."""
    assert bounds.clopper_pearson(0, 100, 0.05, "lower") == 0.0
    assert_just_below(bounds.clopper_pearson(1, 100, 1e-300, "lower"), mpf("1e-302"))
    assert_just_below(bounds.clopper_pearson(100, 100, 0.05, "lower"), mpf("0.05") ** mpf("0.01"))
    assert_just_below(bounds.clopper_pearson(1, 1, 0.05, "lower"), mpf("0.05"))


KL_PLACES = [
    *(
        (0.4267681937298717, 3.214033697342936e-05),
        (0.5, 1.0),
        (0.3, 1e-12),
        (0.99, 0.001),
        (1e-9, 1e-9),
        (1e-9, 1e-20),
    ),
    *((0.1, 30.0), (0.7436356127570735, 0.008951185822385266), (1e-300, 0.1), (0.25, 1e-30), (1 - 2**-53, 1e-3)),
]


@pytest.mark.parametrize(("risk", "nats"), KL_PLACES)
def test_kl_inverse_is_just_outside_the_root(risk, nats):
    assert_just_above(bounds.kl_inverse(risk, nats), oracle.kl_upper(risk, nats))
    if risk > 1e-100:
        assert_just_below(bounds.kl_inverse(risk, nats, "lower"), oracle.kl_lower(risk, nats))


@pytest.mark.parametrize("nats", [5e-324, 1e-300, 1e-17, 1e-5, 1.0, 100.0])
def test_kl_inverse_at_the_ends_in_closed_form(nats):
    with mp.workdps(700):
        exact = 1 - mp.exp(-mpf(nats))
        got = mpf(bounds.kl_inverse(0, nats))
        assert exact <= got <= min(mpf(1), exact * (1 + mpf("3e-16")) + mpf(5e-324))
    assert_just_below(bounds.kl_inverse(1, nats, "lower"), mp.exp(-mpf(nats)))
    assert bounds.kl_inverse(1, nats) == 1.0
    assert str(bounds.kl_inverse(0, nats, "lower")) == "0.0"  # not -0.0
    assert bounds.kl_inverse(0.3, 0) == 0.3 == bounds.kl_inverse(0.3, 0, "lower")
    assert bounds.kl_inverse(0.3, 1e6) == 1.0


RISKS = [("0", 1000, "3", "0.05"), ("0.23433", 3000, "62.04", "0.025"), ("1", 10, "1", "0.1"), ("0.5", 1, "0", "0.9")]


@pytest.mark.parametrize(("risk", "samples", "complexity", "delta"), RISKS)
@pytest.mark.parametrize(
    ("bound", "exact"),
    [
        (bounds.pac_bayes_kl, oracle.pac_bayes_kl),
        (bounds.pac_bayes_kl_exact, oracle.pac_bayes_kl_exact),
        (bounds.pac_bayes_mcallester, oracle.mcallester),
        (bounds.pac_bayes_quadratic, oracle.quadratic),
    ],
)
def test_pac_bayes_is_just_above_the_exact_value(bound, exact, risk, samples, complexity, delta):
    got = bound(float(risk), float(complexity), samples, float(delta))
    assert_just_above(got, exact(risk, complexity, samples, delta))


@pytest.mark.parametrize(("risk", "samples", "complexity", "delta"), RISKS)
@pytest.mark.parametrize("lam", [1e-6, 1.0, 37.5, 1e5])
def test_catoni_is_just_above_the_exact_value(risk, samples, complexity, delta, lam):
    got = bounds.catoni(float(risk), float(complexity), samples, float(delta), lam)
    assert_just_above(got, oracle.catoni(risk, complexity, samples, delta, lam))


def test_catoni_grid_pays_for_its_choice():
    got = bounds.catoni_grid(0.2, 50.0, 10_000, 0.05, grid=[100.0, 2000.0, 3000.0])
    shares = [oracle.catoni("0.2", mpf(50) + mp.log(3), 10_000, "0.05", lam) for lam in (100, 2000, 3000)]
    assert_just_above(got, min(shares))


@pytest.mark.parametrize(
    ("risk", "complexity", "samples", "alpha"), [(0.2, 500.0, 60_000, 1.0001), (0.0, 9.0, 100, 1.5)]
)
def test_zhou_lotfi_is_the_infimum_over_lambda(risk, complexity, samples, alpha):
    """Against a fine scan over lambda, and the scan's best refined by mpmath."""

    def at(log_lam: mpf) -> mpf:
        price = 2 * mp.log(2 + log_lam / mp.log(mpf(alpha)))
        lam = mp.exp(log_lam)
        a, inner = lam / samples, mpf(risk) + mpf(alpha) / lam * (oracle.paid(complexity, 0.05) + price)
        return (1 - mp.exp(-a * inner)) / (1 - mp.exp(-a))

    best = min((mpf(i) / 50 for i in range(50 * 17)), key=at)
    fine = min((best + mpf(i) / 10**4 for i in range(-200, 201)), key=at)
    got = bounds.zhou_lotfi(risk, complexity, samples, 0.05, alpha)
    assert at(fine) * (1 - mpf("1e-8")) <= mpf(got) <= at(fine) * (1 + mpf("1e-14"))


def test_theorem1_written_out():
    for dim, bits, samples, delta in [(4906, "1", 391_622, "0.05"), (207, "1.6", 3668, "1e-300"), (1, "0", 1, "0.5")]:
        gap = bounds.theorem1_gap(dim, float(bits), samples, float(delta))
        assert_just_above(gap, oracle.theorem1_gap(dim, bits, samples, delta))
        whole = bounds.theorem1(0.1, dim, float(bits), samples, float(delta))
        assert_just_above(whole, mpf("0.1") + oracle.theorem1_gap(dim, bits, samples, delta))
    assert bounds.theorem1_asymptotic(200, 800) == 0.5


@pytest.mark.parametrize("samples", [1, 2, 60_000, 67_349])
def test_the_bits_that_maurers_theorem_adds(samples):
    """With them charged, kl's bound without any price is the same."""
    risk, bits = 0.2, 100.0
    for exactly, bound in ((True, bounds.pac_bayes_kl_exact), (False, bounds.pac_bayes_kl)):
        more = pac_bayes_bits(samples, exactly=exactly)
        paid = bounds.occam_kl(risk, bounds.nats(bits + more), samples, 0.05)
        assert paid == pytest.approx(bound(risk, bounds.nats(bits), samples, 0.05), rel=1e-14)
    assert pac_bayes_bits(1, exactly=True) == 1.0 + 2**-52


def test_the_bits_that_zhou_and_lotfi_add():
    """Catoni's bound at these bits more and at the best of many lambdas is the same."""
    at = (0.05, bounds.nats(1163), 60_000, 0.05)
    nats = bounds.nats(1163 + zhou_lotfi_bits(*at))
    best = min(bounds.catoni(0.05, nats, 60_000, 0.05, 60_000 * 1.002**i) for i in range(-1500, 500))
    assert best == pytest.approx(bounds.zhou_lotfi(*at), rel=1e-5)
    assert 30 < zhou_lotfi_bits(*at) < 36  # 2 log2 of some 1e5 steps of ln(alpha)


def test_values_known_from_elsewhere():
    """Rule of three, Maurer's xi(1) = 2 and xi(2) = 5/2, and Pinsker at one bit; by hand."""
    assert bounds.held_out_bound(0, 100, 0.05) == pytest.approx(1 - 0.05**0.01, rel=1e-12)
    assert oracle.xi(1) == 2
    assert oracle.xi(2) == Fraction(5, 2)
    assert bounds.occam_hoeffding(0.0, 0.0, 1, math.exp(-2)) == pytest.approx(1.0, rel=1e-12)
    assert bounds.theorem1_gap(1, 1.0, 1, 0.5) == pytest.approx(math.sqrt(math.log(2)), rel=1e-12)
    assert bounds.nats(1.0) == pytest.approx(math.log(2), rel=1e-15)
    assert bounds.nats(1.0) >= math.log(2)
    assert bounds.universal_prior_nats(8.0) == pytest.approx(14 * math.log(2), rel=1e-14)


def test_a_prior_from_the_first_part_counts_only_the_rest():
    assert bounds.occam_split(10, 30.0, 1000, 400, 0.05) == bounds.occam_binomial(10, 30.0, 600, 0.05)
    assert bounds.pac_bayes_split(0.1, 30.0, 1000, 400, 0.05) == bounds.pac_bayes_kl_exact(0.1, 30.0, 600, 0.05)
    with pytest.raises(SpecError, match="prior_samples, which the bound no longer counts, must be an integer from 0"):
        bounds.occam_split(10, 30.0, 1000, 1000, 0.05)

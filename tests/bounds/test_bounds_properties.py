"""What holds between the bounds, and of each as a function of its arguments, wherever one looks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intrinsic import bounds
from intrinsic.bounds import Sample, Smoothing

risks = st.floats(0, 1)
nats = st.one_of(st.floats(0, 50), st.floats(0, 1e6))
sizes = st.one_of(st.integers(1, 200), st.integers(1, 10**9))
deltas = st.one_of(st.floats(1e-3, 0.999), st.floats(5e-324, 1, exclude_max=True))

RISING = {"risk", "errors", "complexity", "bits_per_coordinate", "subspace_dim", "bits_per_token"}
FALLING = {"samples", "delta", "units", "evaluated"}
SMOOTHING = Smoothing(vocabulary=50_257, alpha=0.1)


def tokens(bits_per_token: float, complexity: float, units: int, evaluated: int, delta: float) -> float:
    return bounds.document_bits_per_token(
        bits_per_token, complexity, Sample(units, min(units, evaluated)), delta, SMOOTHING
    )


BOUNDS = {
    "occam_hoeffding": (bounds.occam_hoeffding, ["risk", "complexity", "samples", "delta"]),
    "occam_kl": (bounds.occam_kl, ["risk", "complexity", "samples", "delta"]),
    "pac_bayes_kl": (bounds.pac_bayes_kl, ["risk", "complexity", "samples", "delta"]),
    "pac_bayes_kl_exact": (bounds.pac_bayes_kl_exact, ["risk", "complexity", "samples", "delta"]),
    "pac_bayes_mcallester": (bounds.pac_bayes_mcallester, ["risk", "complexity", "samples", "delta"]),
    "pac_bayes_quadratic": (bounds.pac_bayes_quadratic, ["risk", "complexity", "samples", "delta"]),
    "theorem1": (bounds.theorem1, ["risk", "subspace_dim", "bits_per_coordinate", "samples", "delta"]),
    "tokens": (tokens, ["bits_per_token", "complexity", "units", "evaluated", "delta"]),
}
ARGUMENTS = {
    **{"risk": risks, "complexity": nats, "samples": st.integers(1, 10**6), "delta": deltas},
    **{"bits_per_coordinate": st.floats(0, 32), "subspace_dim": st.integers(1, 10**6)},
    **{"bits_per_token": st.floats(0.16, 18.9), "units": sizes, "evaluated": sizes},
}


@pytest.mark.parametrize("name", BOUNDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_monotone_in_every_argument(name, data):
    bound, names = BOUNDS[name]
    at = {argument: data.draw(ARGUMENTS[argument], argument) for argument in names}
    for argument in names:
        other = data.draw(ARGUMENTS[argument], f"another {argument}")
        low, high = (bound(**at | {argument: value}) for value in sorted((at[argument], other)))
        assert low <= high if argument in RISING else high <= low, argument
        assert argument in RISING | FALLING


@settings(max_examples=150, deadline=None)
@given(samples=sizes, errors=st.one_of(st.integers(0, 3000), sizes), complexity=nats, delta=deltas)
def test_binomial_is_monotone_and_below_kl_and_hoeffding(samples, errors, complexity, delta):
    errors = min(errors, samples)
    binomial = bounds.occam_binomial(errors, complexity, samples, delta)
    kl = bounds.occam_kl(errors / samples, complexity, samples, delta)
    assert binomial <= kl <= bounds.occam_hoeffding(errors / samples, complexity, samples, delta)
    assert binomial <= bounds.occam_binomial(errors, complexity + 0.5, samples, delta)
    assert binomial <= bounds.occam_binomial(errors, complexity, samples, delta / 2 or 5e-324)
    assert bounds.occam_binomial(errors, complexity, samples + 1, delta) <= binomial
    assert binomial <= bounds.occam_binomial(min(errors + 1, samples), complexity, samples, delta)


@settings(max_examples=150, deadline=None)
@given(risk=risks, complexity=nats, samples=sizes, delta=deltas)
def test_the_order_of_the_pac_bayes_bounds(risk, complexity, samples, delta):
    at = (risk, complexity, samples, delta)
    kl = bounds.pac_bayes_kl(*at)
    assert bounds.occam_kl(*at) <= bounds.pac_bayes_kl_exact(*at) <= kl
    assert kl <= bounds.pac_bayes_mcallester(*at)
    assert kl <= bounds.pac_bayes_quadratic(*at)


@settings(max_examples=100, deadline=None)
@given(risk=risks, complexity=nats, samples=sizes, delta=deltas, lam=st.floats(1e-3, 1e10))
def test_no_lambda_takes_catoni_below_the_kl_inverse(risk, complexity, samples, delta, lam):
    """inf over lambda of Catoni's bound is kl's inverse at (KL + ln(1/delta)) / n (Germain et al. 2009)."""
    floor = bounds.occam_kl(risk, complexity, samples, delta) * (1 - 1e-14)
    assert bounds.catoni(risk, complexity, samples, delta, lam) >= floor
    assert bounds.catoni_grid(risk, complexity, samples, delta) >= floor
    assert bounds.zhou_lotfi(risk, complexity, samples, delta) >= floor


def test_the_best_lambda_takes_catoni_to_the_kl_inverse():
    at = (0.2, 300.0, 10_000, 0.05)
    best = min(bounds.catoni(*at, 10_000 * 1.001**i) for i in range(-2500, 1500))
    assert best == pytest.approx(bounds.occam_kl(*at), rel=1e-6)
    assert bounds.catoni_grid(*at) == pytest.approx(bounds.occam_kl(*at), rel=0.01)  # the price of the default grid


@settings(max_examples=100, deadline=None)
@given(risk=risks, share=st.floats(0, 1), samples=sizes, delta=deltas, ratio=st.floats(1e-4, 30))
def test_catoni_is_monotone_where_it_says_anything(risk, share, samples, delta, ratio):
    """Complexity as a share of n, lambda as a ratio to n: above 1 the bound says nothing, and need not fall with n."""
    complexity, lam = share * samples, ratio * samples
    here = bounds.catoni(risk, complexity, samples, delta, lam)
    assert here <= bounds.catoni(risk, complexity + 1, samples, delta, lam)
    assert here <= bounds.catoni(risk, complexity, samples, delta / 2 or 5e-324, lam)
    assert here <= bounds.catoni(min(1.0, risk + 0.01), complexity, samples, delta, lam)
    assert here >= 1 or bounds.catoni(risk, complexity, 2 * samples, delta, lam) <= here
    before, after = (bounds.catoni_grid(risk, complexity, n, delta) for n in (samples, samples + 1))
    assert before >= 1 or after <= before


@settings(max_examples=100, deadline=None)
@given(risk=risks, complexity=nats, samples=sizes, delta=deltas)
def test_zhou_lotfi_is_monotone_but_for_the_search(risk, complexity, samples, delta):
    here = bounds.zhou_lotfi(risk, complexity, samples, delta)
    assert here <= bounds.zhou_lotfi(risk, complexity + 1, samples, delta) * (1 + 1e-9)
    assert here <= bounds.zhou_lotfi(min(1.0, risk + 0.01), complexity, samples, delta) * (1 + 1e-9)


@settings(max_examples=150, deadline=None)
@given(risk=risks, budget=st.one_of(st.floats(0, 2), st.floats(0, 1e6)))
def test_kl_inverse_lies_on_both_sides_of_the_risk_and_mirrors(risk, budget):
    low, high = bounds.kl_inverse(risk, budget, "lower"), bounds.kl_inverse(risk, budget)
    assert 0 <= low <= risk <= high <= 1
    mirrored = 1 - bounds.kl_inverse(1 - risk, budget, "lower")
    assert mirrored == pytest.approx(high, abs=1e-7 if budget < 1e-6 else 1e-12)  # 1 - risk is rounded


@settings(max_examples=100, deadline=None)
@given(samples=st.integers(1, 2000), errors=st.integers(0, 2000), delta=deltas)
def test_clopper_pearson_mirrors(samples, errors, delta):
    errors = min(errors, samples)
    low = bounds.clopper_pearson(errors, samples, delta, "lower")
    high = bounds.clopper_pearson(samples - errors, samples, delta)
    assert low + high == pytest.approx(1, abs=1e-12)
    assert delta > 0.5 or low <= errors / samples <= bounds.clopper_pearson(errors, samples, delta)


@settings(max_examples=100, deadline=None)
@given(samples=st.integers(1, 10**9), complexity=nats, delta=deltas)
def test_no_error_and_only_errors(samples, complexity, delta):
    """(1-p)^n = delta e^-complexity has a closed form; a risk of 1 leaves nothing to say."""
    kl, binomial = bounds.occam_kl(0, complexity, samples, delta), bounds.occam_binomial(0, complexity, samples, delta)
    exact = -math.expm1(-(complexity - math.log(delta)) / samples)
    assert kl == binomial == pytest.approx(exact, rel=1e-12)
    assert bounds.occam_kl(1, complexity, samples, delta) == 1.0
    assert bounds.occam_binomial(samples, complexity, samples, delta) == 1.0
    assert bounds.occam_hoeffding(1, complexity, samples, delta) > 1.0


@settings(max_examples=50, deadline=None)
@given(errors=st.integers(0, 500), delta=deltas)
def test_without_bits_occam_is_the_held_out_bound(errors, delta):
    assert bounds.occam_binomial(errors, 0.0, 500, delta) == bounds.held_out_bound(errors, 500, delta)


def test_limits():
    assert bounds.occam_binomial(0, bounds.nats(3), 1, 0.5) == pytest.approx(1 - 1 / 16, rel=1e-12)  # n = 1
    for bound in (bounds.occam_kl, bounds.pac_bayes_kl, bounds.pac_bayes_kl_exact, bounds.occam_hoeffding):
        near = [bound(0.25, 100.0, 10**k, 0.05) for k in (7, 9, 15)]  # n -> infinity
        assert near == sorted(near, reverse=True)
        assert 0.25 < near[-1] < 0.2500003
    assert bounds.occam_kl(0.1, 0.0, 10, 5e-324) == 1.0  # delta -> 0
    assert bounds.occam_hoeffding(0.1, 0.0, 10, 5e-324) == pytest.approx(0.1 + math.sqrt(1074 * math.log(2) / 20))
    assert bounds.occam_kl(0.1, 0.0, 10, 1 - 2**-53) == pytest.approx(0.1, abs=1e-8)  # delta -> 1
    assert bounds.occam_kl(0.1, 1e6, 100, 0.05) == 1.0
    assert bounds.occam_binomial(5, 1e6, 100, 0.05) == 1.0


def test_a_thousand_million_samples():
    """The widest sum there is: within 1e-6 standard deviations of the normal limit's second-order expansion."""
    n, k = 10**9, 5 * 10**8
    got = bounds.held_out_bound(k, n, 0.05)
    z = 1.6448536269514722
    assert got == pytest.approx(0.5 + (0.5 + z * math.sqrt(n) / 2) / n, abs=1e-9)

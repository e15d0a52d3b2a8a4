"""Losses in [a, b], and smoothed bits per token."""

from __future__ import annotations

import math

import bounds_oracle as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from intrinsic import bounds
from intrinsic.bounds import Sample, Smoothing
from intrinsic.errors import SpecError

GPT2 = Smoothing(vocabulary=50_257, alpha=0.1)


def assert_just_above(got: float, exact: oracle.Number) -> None:
    assert exact <= oracle.number(got) <= exact * (1 + oracle.number("2e-15"))


def width(vocabulary: int, alpha: str) -> oracle.Number:
    return mp.log(1 + (1 - oracle.number(alpha)) * vocabulary / oracle.number(alpha)) / mp.log(2)


def test_hoeffding_and_kl_scale_with_the_interval():
    unit = bounds.occam_kl(0.25, 30.0, 1000, 0.05)
    assert bounds.bounded_kl(-2.0, 30.0, 1000, 0.05, (-3.0, 1.0)) == pytest.approx(-3 + 4 * unit, rel=1e-14)
    gap = bounds.occam_hoeffding(0.25, 30.0, 1000, 0.05) - 0.25
    assert bounds.bounded_hoeffding(-2.0, 30.0, 1000, 0.05, (-3.0, 1.0)) == pytest.approx(-2 + 4 * gap, rel=1e-14)
    assert bounds.bounded_hoeffding(0.25, 30.0, 1000, 0.05, (0.0, 1.0)) == pytest.approx(0.25 + gap, rel=1e-15)


@settings(max_examples=150, deadline=None)
@given(share=st.floats(0, 1), complexity=st.floats(0, 1e5), samples=st.integers(1, 10**9), end=st.floats(-50, 50))
def test_kl_is_below_hoeffding_on_every_interval(share, complexity, samples, end):
    interval = (end, end + 3.5)
    risk = min(end + 3.5 * share, end + 3.5)
    kl = bounds.bounded_kl(risk, complexity, samples, 0.05, interval)
    assert risk <= kl <= interval[1] + 1e-12
    assert kl <= bounds.bounded_hoeffding(risk, complexity, samples, 0.05, interval) + 1e-13


def test_a_mean_that_rounding_put_outside_counts_as_the_end():
    for end, outside in ((0.0, -1e-300), (0.0, -1e-10), (1.0, 1 + 1e-10)):
        for bound in (bounds.bounded_kl, bounds.bounded_hoeffding):
            at_end, beyond = (bound(mean, 3.0, 100, 0.05, (0.0, 1.0)) for mean in (end, outside))
            assert beyond == pytest.approx(at_end, rel=1e-14)


@pytest.mark.parametrize(
    ("mean", "complexity", "samples", "interval"),
    [
        (-0.9266651794920329, 5.4424257506422355, 7, (-1.0, 0.0)),
        (-0.5, 5.0, 9, (-1.0, 0.0)),
        (-0.75, 1.0, 10**6, (-1.0, 0.0)),
        (0.99, 700.0, 50, (0.0, 1.0)),
        (-1.0, 1e-30, 10**9, (-1.0, 1.0)),
        (3.0, 1.0, 5, (3.0, 7.0)),
    ],
)
def test_kl_is_above_the_exact_value_wherever_an_end_cancels_it(mean, complexity, samples, interval):
    """The distance to the nearer end is what has to be exact: here it may be 1e-50 of the interval."""
    delta = 5e-324
    with mp.workdps(400):
        low, high = map(mp.mpf, interval)
        budget = (mp.mpf(complexity) - mp.log(mp.mpf(delta))) / samples
        share = (mp.mpf(mean) - low) / (high - low)
        left, right = mp.mpf(0), 1 - share
        for _ in range(1300):  # bisection over how far p is from 1
            middle = (left + right) / 2
            left, right = (middle, right) if oracle.kl(share, 1 - middle) > budget else (left, middle)
        exact = high - (high - low) * right
        got = mp.mpf(bounds.bounded_kl(mean, complexity, samples, delta, interval))
        assert exact <= got <= exact + abs(exact) * mp.mpf("1e-9") + mp.mpf("1e-300")


@pytest.mark.parametrize(("vocabulary", "alpha"), [(50_257, "0.1"), (2, "0.5"), (10**6, "1e-30"), (1000, "0.999999")])
def test_the_interval_of_smoothed_losses(vocabulary, alpha):
    """The losses of a certain model on the token it is certain of, and on another."""
    smoothing = Smoothing(vocabulary, float(alpha))
    low, high = smoothing.interval()
    a = oracle.number(float(alpha))
    least, greatest = -mp.log(1 - a + a / vocabulary) / mp.log(2), -mp.log(a / vocabulary) / mp.log(2)
    assert least * (1 - oracle.number("3e-16")) <= oracle.number(low) <= least
    assert_just_above(high, greatest)
    assert abs(oracle.number(str(smoothing.width())) - (greatest - least)) < oracle.number("1e-45")


def test_documents_all_evaluated():
    got = bounds.document_bits_per_token(7.5, 5000.0, Sample(100_000), 0.05, GPT2)
    gap = width(50_257, "0.1") * mp.sqrt((5000 + mp.log(20)) / (2 * 100_000))
    assert_just_above(got, oracle.number("7.5") + gap)
    assert bounds.token_bits_per_token(7.5, 5000.0, Sample(100_000), 0.05, GPT2) == got


def test_documents_subsampled_pay_for_the_draw_out_of_the_same_delta():
    m, n = 8_000_000, 10_000
    got = bounds.document_bits_per_token(7.5, 5000.0, Sample(m, n), 0.05, GPT2)
    r = oracle.number(n) / (n + m)
    of_code = mp.sqrt((5000 + mp.log(20 / r)) / (2 * m))
    of_draw = mp.sqrt(mp.log(20 / (1 - r)) / (2 * n))
    assert_just_above(got, oracle.number("7.5") + width(50_257, "0.1") * (of_code + of_draw))
    assert got > bounds.document_bits_per_token(7.5, 5000.0, Sample(m), 0.05, GPT2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bounds.bounded_kl(0.5, 1.0, 5, 0.05, (1.0, 1.0)),
            r"\(a, b\) with a < b, both finite; got \(1.0, 1.0\)",
        ),
        (lambda: bounds.bounded_kl(0.5, 1.0, 5, 0.05, (0.0, math.inf)), "both finite"),
        (lambda: bounds.bounded_kl(2.5, 1.0, 5, 0.05, (0.0, 2.0)), "within the loss's interval, 0 to 2; got 2.5"),
        (lambda: bounds.bounded_kl(0.5, 1.0, 5, 0.05, (0.0,)), r"must be a pair \(a, b\)"),
        (lambda: bounds.bounded_kl(math.nan, 1.0, 5, 0.05, (0.0, 2.0)), "mean loss must be"),
        (
            lambda: bounds.document_bits_per_token(5.0, 1.0, 10, 0.05, GPT2),
            "sample must be a Sample; got 10",
        ),
        (
            lambda: bounds.token_bits_per_token(5.0, 1.0, Sample(10), 0.05, 0.1),
            "smoothing must be a Smoothing; got 0.1",
        ),
        (lambda: Smoothing(100, 0.0).interval(), "alpha must be a finite number above 0"),
        (lambda: Smoothing(100, 1.0).interval(), "alpha must be a number between 0 and 1, both excluded; got 1.0"),
        (lambda: Smoothing(0, 0.1).interval(), "size of the vocabulary must be an integer from 1"),
        (
            lambda: bounds.document_bits_per_token(25.0, 1.0, Sample(5), 0.05, GPT2),
            "within the loss's interval, 0.152 to 18.9",
        ),
        (
            lambda: bounds.document_bits_per_token(5.0, 1.0, Sample(5, 6), 0.05, GPT2),
            "sample.evaluated must be an integer from 1 to 5; got 6",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(call, message):
    with pytest.raises(SpecError, match=message):
        call()

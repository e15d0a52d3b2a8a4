"""What a bound may be asked: arguments at their limits, numbers of other kinds, and refusals by name."""

from __future__ import annotations

import decimal
import math
import subprocess
import sys

import pytest
from mpmath import mp, mpf

from intrinsic import bounds
from intrinsic.errors import IntrinsicError, SpecError


@pytest.mark.parametrize("delta", [1 - 2**-53, 1 - 2**-52, 1 - 1e-15, 1 - 1e-13, 0.5 + 2**-53])
def test_a_delta_near_one_is_moved_by_half_a_unit_and_no_more(delta):
    """That much it may have been rounded; -ln(delta) is itself of the size of a unit."""
    exact, moved = (mp.sqrt(-mp.log(mpf(value) - less) / 2) for value, less in ((delta, 0), (delta, mpf(2) ** -54)))
    for got in (bounds.occam_hoeffding(0.0, 0.0, 1, delta), bounds.theorem1_gap(1, 0.0, 1, delta)):
        assert exact < mpf(got) <= moved * (1 + mpf("3e-16"))


def test_the_callers_decimal_context_changes_nothing():
    before = bounds.occam_binomial(5, 40.0, 500, 0.05)
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_DOWN, Emax=5, Emin=-5)):
        assert bounds.occam_binomial(5, 40.0, 500, 0.05) == before
        assert decimal.getcontext().prec == 3


def test_numpy_scalars_are_numbers():
    import numpy as np

    got = bounds.occam_binomial(np.int64(5), np.float32(40.0), np.int64(500), np.float64(0.05))
    assert got == bounds.occam_binomial(5, 40.0, 500, 0.05)


NUMBER = [math.nan, math.inf, -math.inf, "0.1", None, True, 10**400]
SAYS = {
    "risk": "the empirical risk",
    "complexity": "the complexity in nats",
    "samples": "the number of samples",
    "delta": "delta",
}
BAD = {
    "risk": [-0.1, 1.0000001, *NUMBER],
    "complexity": [-1e-9, *NUMBER],
    "samples": [0, -5, 2.0, 2**60, None, True, "3"],
    "delta": [0, 1, -0.1, 1.5, *NUMBER],
}


@pytest.mark.parametrize(("argument", "value"), [(name, value) for name in BAD for value in BAD[name]])
@pytest.mark.parametrize(
    "bound", [bounds.occam_kl, bounds.occam_hoeffding, bounds.pac_bayes_kl_exact, bounds.catoni_grid]
)
def test_what_a_bound_cannot_be_asked_is_refused_by_name(bound, argument, value):
    arguments = {"risk": 0.1, "complexity": 5.0, "samples": 100, "delta": 0.05} | {argument: value}
    with pytest.raises(SpecError, match=f"{SAYS[argument]} must be .*; got"):
        bound(**arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.occam_binomial(6, 1.0, 5, 0.05), "errors must be an integer from 0 to 5; got 6"),
        (
            lambda: bounds.occam_binomial(0.5, 1.0, 5, 0.05),
            "errors must be an integer from 0 to 5; got 0.5",
        ),
        (
            lambda: bounds.occam_binomial(6, 1.0, 2**60, 0.05),
            "samples must be an integer from 1 to 9007199254740992; got",
        ),
        (lambda: bounds.kl_inverse(0.1, 0.1, "left"), "side must be 'upper' or 'lower'; got 'left'"),
        (lambda: bounds.binomial_tail_inverse(1, 5, -1.0), "nats must be a finite number of at least 0; got -1.0"),
        (
            lambda: bounds.catoni(0.1, 1.0, 5, 0.05, 0.0),
            "inverse temperature must be a finite number above 0",
        ),
        (lambda: bounds.catoni_grid(0.1, 1.0, 5, 0.05, []), "at least one number above 0; got"),
        (lambda: bounds.catoni_grid(0.1, 1.0, 5, 0.05, 3.0), "grid of .* must be a sequence of numbers .*; got 3.0"),
        (lambda: bounds.universal_prior_nats(0), "number of bits must be at least 1, .*; got 0"),
        (lambda: bounds.universal_prior_nats(0.5), "number of bits must be at least 1, .*; got 0.5"),
        (lambda: bounds.zhou_lotfi(0.1, 1.0, 5, 0.05, 1.0), "alpha must be a number above 1"),
        (lambda: bounds.theorem1_gap(0, 1.0, 5, 0.05), "subspace_dim must be an integer from 1"),
        (lambda: bounds.nats(-1.0), "the number of bits must be a finite number of at least 0"),
    ],
)
def test_other_arguments_are_refused_by_name(call, message):
    with pytest.raises(IntrinsicError, match=message):
        call()


def test_bounds_import_neither_torch_nor_numpy():
    code = "import intrinsic.bounds, sys; print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"

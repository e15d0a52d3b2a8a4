"""What a search promises: statuses, economy, the budget, the guard, repeatability."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intrinsic.errors import SpecError
from intrinsic.search import Ask, dimensions, make_target, search
from intrinsic.search.simulate import SHAPES, Curve, Responder, draw_curve
from intrinsic.spec import SearchSpec, TargetSpec

SPEC = SearchSpec()
BASELINE = (0.80, 0.805, 0.795)
TARGET = make_target(TargetSpec(), BASELINE, 0.5)  # 0.72


def asking(score):
    """An evaluate that keeps its asks; `score` maps an ask to a score."""
    asked: list[Ask] = []

    def evaluate(asks):
        asked.extend(asks)
        return [score(ask) for ask in asks]

    evaluate.asked = asked
    return evaluate


def rising(ask):
    """Reaches 0.72 at d = 100; a wobble of a tenth of a point stands for the seeds."""
    return 0.5 + 0.3 / (1 + math.exp(-(math.log2(ask.d / 100) + 1.014))) + 0.001 * ((ask.seed * 7) % 3 - 1)


# -- the grid


def test_dimensions_are_geometric_and_end_at_high():
    assert dimensions(SearchSpec(low=4, high=64)) == (4, 6, 8, 11, 16, 23, 32, 45, 64)
    assert dimensions(SearchSpec(low=1, high=4)) == (1, 2, 3, 4)
    assert dimensions(SearchSpec(low=10, high=1000, resolution=10.0)) == (10, 100, 1000)
    assert dimensions(SearchSpec(low=10, high=500, resolution=10.0)) == (10, 100, 500)
    assert dimensions(SearchSpec(grid=(30, 10, 30, 20))) == (10, 20, 30)


def test_a_grid_of_one_is_refused():
    with pytest.raises(SpecError, match=r"two dimensions or more, got \(10,\): add one, or leave the grid empty"):
        dimensions(SearchSpec(kind="grid", grid=(10,)))


# -- found


@pytest.mark.parametrize("at", [5, 33, 100, 1000, 3000])
def test_a_noiseless_step_is_located_to_the_resolution(at):
    evaluate = asking(lambda ask: 0.8 if ask.d >= at else 0.5)
    result = search(evaluate, make_target(TargetSpec(), (0.8, 0.8, 0.8), 0.5), SPEC)
    assert result.status == "found"
    assert result.d == min(d for d in dimensions(SPEC) if d >= at)
    low, high = result.interval
    assert low <= at <= high
    assert high / low < SPEC.resolution**2 * 1.01
    assert len(evaluate.asked) <= 15


@pytest.mark.parametrize("kind", ["adaptive", "grid"])
def test_found(kind):
    result = search(asking(rising), TARGET, SPEC.model_copy(update={"kind": kind}))
    assert (result.status, result.d) == ("found", 128)
    assert result.target == pytest.approx(0.72)
    low, high = result.interval
    assert 80 < low < 100 < high < 140
    assert "d=128 reaches the target 0.72; with 95% confidence the crossing is in" in result.message
    at_d = next(p for p in result.fit if p.d == pytest.approx(128))
    assert at_d.low < rising(Ask(128, 1)) < at_d.high


def test_adaptive_is_far_cheaper_than_the_grid():
    evaluate = asking(rising)
    search(evaluate, TARGET, SPEC)
    assert len(evaluate.asked) <= 15
    everything = asking(rising)
    search(everything, TARGET, SPEC.model_copy(update={"kind": "grid"}))
    assert everything.asked == [Ask(d, seed) for d in dimensions(SPEC) for seed in range(3)]


def test_grid_takes_the_smallest_dimension_whose_mean_reaches_the_target():
    scores = {10: [0.60, 0.60], 20: [0.73, 0.70], 40: [0.73, 0.72], 80: [0.78, 0.79]}
    spec = SearchSpec(kind="grid", grid=(10, 20, 40, 80), seeds=2)
    assert search(asking(lambda ask: scores[ask.d][ask.seed]), TARGET, spec).d == 40


def test_no_trial_is_asked_twice_and_seeds_stay_within_bounds():
    rng = np.random.default_rng(3)
    evaluate = asking(lambda ask: rising(ask) + 0.03 * rng.standard_normal())
    search(evaluate, TARGET, SPEC)
    assert len(set(evaluate.asked)) == len(evaluate.asked)
    assert {a.seed for a in evaluate.asked if a.rate_factor == 1.0} <= {0, 1, 2}
    assert {a.rate_factor for a in evaluate.asked} <= {0.5, 1.0, 2.0}


def test_the_same_answers_lead_to_the_same_asks_in_another_process():
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_search import *\n"
        "e = asking(rising); r = search(e, TARGET, SPEC); print(e.asked, r.model_dump_json())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    evaluate = asking(rising)
    here = search(evaluate, TARGET, SPEC)
    assert there.strip() == f"{evaluate.asked} {here.model_dump_json()}"


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 10_000),
    noise=st.sampled_from([0.0, 0.3, 1.0]),
    shift=st.floats(0.5, 15.0),
)
def test_higher_scores_never_raise_d(shape, seed, noise, shift):
    curve = draw_curve(shape, np.random.default_rng(seed), (20.0, 800.0))
    target = make_target(TargetSpec(), [curve.plateau - 0.4, curve.plateau, curve.plateau + 0.4])

    def shifted(by):
        def score(ask):
            wobble = np.random.default_rng([seed, ask.d, ask.seed, int(4 * ask.rate_factor)]).standard_normal()
            return curve.mean(ask.d) + noise * wobble + by

        # Noise may lead an adaptive search to other dimensions; the grid always asks the same ones.
        spec = SearchSpec(kind="grid" if noise else "adaptive")
        result = search(asking(score), target, spec)
        return result.d if result.d is not None else math.inf

    assert shifted(shift) <= shifted(0.0)


# -- not found, as a value


@pytest.mark.parametrize("kind", ["adaptive", "grid"])
@pytest.mark.parametrize("wobble", [0.0, 0.01])
def test_a_constant_above_is_met_at_the_lowest(kind, wobble):
    evaluate = asking(lambda ask: 0.78 + wobble * (ask.seed - 1))
    result = search(evaluate, TARGET, SPEC.model_copy(update={"kind": kind}))
    assert (result.status, result.d) == ("met-at-lowest", 4)
    assert result.interval[0] is None
    assert "lower --low" in result.message
    assert kind == "grid" or len(evaluate.asked) <= 20


@pytest.mark.parametrize("kind", ["adaptive", "grid"])
@pytest.mark.parametrize("wobble", [0.0, 0.01])
def test_a_constant_below_is_never_met(kind, wobble):
    evaluate = asking(lambda ask: 0.6 + wobble * (ask.seed - 1))
    result = search(evaluate, TARGET, SPEC.model_copy(update={"kind": kind}))
    assert (result.status, result.d) == ("never-met", None)
    assert result.interval[1] is None
    assert "raise --high" in result.message
    assert kind == "grid" or len(evaluate.asked) <= 20


@pytest.mark.parametrize("kind", ["adaptive", "grid"])
@pytest.mark.parametrize("turn", [6, 100, 3000])
def test_a_falling_curve_is_not_monotone(kind, turn):
    def falling(ask):
        return 0.65 + 0.2 / (1 + (ask.d / turn) ** 2) + 0.002 * (ask.seed % 3 - 1)

    result = search(asking(falling), TARGET, SPEC.model_copy(update={"kind": kind}))
    assert (result.status, result.d, result.interval) == ("not-monotone", None, (None, None))
    assert "the score worsens from" in result.message


def test_a_fall_above_the_target_is_no_matter():
    def humped(ask):
        return rising(ask) - (0.04 if ask.d > 600 else 0.0)

    assert search(asking(humped), TARGET, SPEC.model_copy(update={"kind": "grid"})).status == "found"


def test_nothing_but_failures_is_never_met():
    evaluate = asking(lambda ask: -math.inf)
    result = search(evaluate, TARGET, SPEC)
    assert (result.status, result.d) == ("never-met", None)
    assert f"{(n := len(result.points))} of {n} trials gave no score" in result.message
    no_chance = search(asking(lambda ask: -math.inf), make_target(TargetSpec(), BASELINE), SPEC)
    assert (no_chance.status, no_chance.interval, no_chance.fit) == ("never-met", (None, None), ())


@pytest.mark.parametrize("diverged", [-math.inf, math.nan, math.inf])
def test_a_dimension_that_only_diverges_does_not_reach_the_target(diverged):
    result = search(asking(lambda ask: diverged if ask.d < 60 else 0.8), TARGET, SPEC)
    assert (result.status, result.d) == ("found", 64)
    assert "trials diverged and count as not reaching the target" in result.message
    assert {p.score for p in result.points if p.d < 60} == {None}


# -- the budget


@pytest.mark.parametrize("most", [1, 2, 5, 8])
@pytest.mark.parametrize("kind", ["adaptive", "grid"])
def test_max_trials_is_respected_and_said(most, kind):
    noisy = asking(lambda ask: rising(ask) + 0.03 * math.sin(ask.d * 3 + ask.seed))
    result = search(noisy, TARGET, SPEC.model_copy(update={"kind": kind, "max_trials": most}))
    assert len(noisy.asked) == len(result.points) == most
    assert f"stopped when max_trials={most} was spent: raise --max-trials" in result.message


def test_an_unfinished_search_names_only_a_dimension_it_tried():
    for most in range(1, 20):
        result = search(asking(rising), TARGET, SPEC.model_copy(update={"max_trials": most}))
        assert result.d in {None, *(p.d for p in result.points)}
        assert result.status != "met-at-lowest"


# -- the guard


def slowed(ask, best, loss):
    """`rising`, less a loss for every factor of two off the best rate."""
    return max(0.5, rising(ask) - loss * abs(math.log2(ask.rate_factor / best)))


@pytest.mark.parametrize("best", [0.5, 2.0])
def test_a_wrong_rate_is_found_out(best):
    evaluate = asking(lambda ask: slowed(ask, best, 0.06))
    result = search(evaluate, TARGET, SPEC)
    assert (result.status, result.d) == ("found", 128)
    assert result.interval[0] < 100 < result.interval[1]
    assert f"the learning rate times {best:g} did better" in result.message
    without = search(evaluate, TARGET, SPEC.model_copy(update={"guard_rates": ()}))
    assert without.d > 128


def test_a_curve_out_of_reach_at_its_rate_is_met_at_another():
    result = search(asking(lambda ask: slowed(ask, 2.0, 0.12)), TARGET, SPEC)
    assert (result.status, result.d) == ("found", 128)


def test_the_dimension_below_d_has_failed_at_every_rate():
    evaluate = asking(rising)
    result = search(evaluate, TARGET, SPEC)
    below = max(d for d in dimensions(SPEC) if d < result.d)
    assert {a.rate_factor for a in evaluate.asked if a.d == below} == {0.5, 1.0, 2.0}


def test_a_hopeless_failure_is_not_guarded():
    evaluate = asking(lambda ask: 0.8 if ask.d >= 100 else 0.51)
    search(evaluate, TARGET, SPEC)
    assert {a.rate_factor for a in evaluate.asked} == {1.0}


def test_one_lucky_guard_trial_does_not_rescue():
    """The guard's first look reaches the target; fresh seeds at that rate do not."""

    def lucky(ask):
        return 0.79 if ask.rate_factor == 2.0 and ask.seed == SPEC.seeds else slowed(ask, 1.0, 0.02)

    evaluate = asking(lucky)
    result = search(evaluate, TARGET, SPEC)
    assert result.d == 128
    assert any(a.rate_factor == 2.0 and a.seed > SPEC.seeds for a in evaluate.asked)
    assert "learning rate" not in result.message


def test_a_large_rate_that_breaks_large_dimensions_is_no_fall():
    """Above 1000 the rate in use diverges and half of it does not: the curve rises all the same."""

    def breaking(ask):
        return -math.inf if ask.d > 1000 and ask.rate_factor > 0.6 else 0.8

    result = search(asking(breaking), TARGET, SPEC)
    assert (result.status, result.d) == ("met-at-lowest", 4)


# -- borders


def test_one_seed_of_everything_still_ends():
    spec = SPEC.model_copy(update={"seeds": 1})
    result = search(asking(rising), make_target(TargetSpec(), (0.8,)), spec)
    assert result.status == "found"
    assert 64 <= result.d <= 256


def test_a_fixed_target_needs_no_baseline():
    result = search(asking(rising), make_target(TargetSpec(kind="global", value=0.8), ()), SPEC)
    assert (result.status, result.d) == ("found", 128)


def test_a_bracket_of_two_neighbours():
    result = search(asking(rising), TARGET, SearchSpec(low=90, high=125))
    assert (result.status, result.d) == ("found", 125)


def test_an_answer_too_few_is_refused():
    with pytest.raises(SpecError, match="one answer per ask, expected 1, got 0"):
        search(lambda asks: [], TARGET, SPEC)


def test_a_simulated_curve_meets_its_target_at_its_d90():
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        curve = draw_curve(shape, rng, (20.0, 500.0))
        assert curve.mean(curve.d90) == pytest.approx(curve.target)
        assert curve.mean(1e9) == pytest.approx(curve.plateau, abs=0.1)
        scores = [curve.mean(d) for d in np.geomspace(1, 1e5, 200)]
        assert scores == sorted(scores)


@pytest.mark.parametrize("tails", [None, 4.0])
def test_simulated_noise_has_the_announced_spread(tails):
    flat = Curve("logistic", 50.0, 30.0, 1.0)
    responder = Responder(flat, 2.0, np.random.default_rng(1), tails=tails)
    assert np.std(responder.baseline(20_000)) == pytest.approx(2.0, rel=0.05)

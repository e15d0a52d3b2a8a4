"""Before `never-met` is said: what the guard asks, what it takes as proof, and what the message tells."""

from __future__ import annotations

import re

import numpy as np
import pytest

from intrinsic.search import Ask, SearchResult, dimensions, make_target, search
from intrinsic.spec import SearchSpec, TargetSpec

TARGET, CHANCE = 0.88, 0.5
RULE = TargetSpec(kind="global", value=TARGET, fraction=1.0)


def saturating(ask: Ask, plateaus: dict[float, float]) -> float:
    """From chance at small d to the rate's plateau, or the nearest one's; half of the way at d = 60."""
    nearest = min(plateaus, key=lambda rate: abs(np.log2(rate / ask.rate_factor)))
    return CHANCE + (plateaus[nearest] - CHANCE) / (1 + (60 / ask.d) ** 1.5)


def searched(plateaus: dict[float, float], *, seeds: int, baseline_seeds: int, noise: float, run: int) -> SearchResult:
    rng = np.random.default_rng([88, run])
    target = make_target(RULE, TARGET / 0.9 + noise * rng.standard_normal(baseline_seeds), CHANCE)

    def evaluate(asks):
        return [saturating(ask, plateaus) + noise * rng.standard_normal() for ask in asks]

    return search(evaluate, target, SearchSpec(seeds=seeds))


TWICE_IS_BETTER = {0.5: 0.78, 1.0: 0.85, 2.0: 0.92}
ALL_FAIL = dict.fromkeys((0.5, 1.0, 2.0), 0.80)


@pytest.mark.parametrize(("seeds", "at_least"), [(3, 25), (1, 21)])
def test_a_curve_that_another_rate_lifts_over_the_target_is_met(seeds, at_least):
    """The noise is as large as the other rate's margin, so that now and then the right answer is missed."""
    runs = [searched(TWICE_IS_BETTER, seeds=seeds, baseline_seeds=seeds, noise=0.04, run=run) for run in range(30)]
    assert sum(run.status == "found" for run in runs) >= at_least


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_curve_that_no_rate_lifts_over_the_target_is_not(seeds):
    runs = [searched(ALL_FAIL, seeds=seeds, baseline_seeds=seeds, noise=0.04, run=run) for run in range(30)]
    assert sum(run.status == "never-met" for run in runs) >= 24


def test_one_seed_of_everything_can_confirm_another_rate():
    """No repeated setting, so no estimate of the noise: the guard asks for one instead of giving up."""
    result = searched({0.5: 0.80, 1.0: 0.89, 2.0: 0.98}, seeds=1, baseline_seeds=1, noise=0.002, run=0)
    assert result.status == "found"
    assert "the learning rate times 2 did better" in result.message
    own = {p.seed for p in result.points if p.rate_factor == 1.0 and p.d == result.d}
    assert own <= {0, 2}  # seed 1 is the guard's first look


def test_first_looks_are_marked_and_enter_no_mean():
    """The score of a first look, 0.99, would lift every mean over the target."""
    asked: list[Ask] = []

    def evaluate(asks):
        asked.extend(asks)
        return [0.99 if ask.first_look else saturating(ask, ALL_FAIL) for ask in asks]

    result = search(evaluate, make_target(RULE, (0.97, 0.98, 0.99), CHANCE), SearchSpec())
    looks = [ask for ask in asked if ask.first_look]
    assert result.status == "never-met"
    assert {(ask.d, ask.rate_factor) for ask in looks} == {(4096, 0.5), (4096, 2.0)}
    assert all(ask.first_look == (ask.seed == SearchSpec().seeds) for ask in asked)
    assert [point.first_look for point in result.points] == [ask.first_look for ask in asked]
    assert max(point.mean for point in result.fit) < TARGET


def test_a_search_without_guards_has_no_first_look():
    result = search(
        lambda asks: [saturating(ask, {1.0: 0.95}) for ask in asks],
        make_target(RULE, (0.97, 0.98, 0.99), CHANCE),
        SearchSpec(guard_rates=()),
    )
    assert not any(point.first_look for point in result.points)


def test_an_undecided_comparison_gets_as_many_seeds_again():
    """Below a d that reaches the target by its own rate, a rate that is better must be shown to be better."""
    asked: list[Ask] = []

    def evaluate(asks):
        asked.extend(asks)
        wobble = {0: -0.03, 1: 0.0, 2: 0.03}
        return [saturating(ask, {0.5: 0.7, 1.0: 0.95, 2.0: 0.99}) + wobble[ask.seed % 3] for ask in asks]

    result = search(evaluate, make_target(RULE, (), CHANCE), SearchSpec())
    assert result.status == "found"
    compared = {a.d for a in asked if a.rate_factor == 1.0 and a.seed > 3}
    assert compared
    for d in compared:
        for rate in (1.0, 2.0):
            assert {a.seed for a in asked if (a.d, a.rate_factor) == (d, rate)} >= {0, 1, 2, 4, 5, 6}


# -- the rate is off by more than a guard's step


def test_the_guard_goes_on_from_the_rate_that_it_went_over_to():
    """Every factor of two towards 8 lifts the curve; one guard sees only the next one."""
    plateaus = {0.5: 0.80, 1.0: 0.89, 2.0: 0.93, 4.0: 0.96, 8.0: 0.99, 16.0: 0.97}
    result = searched(plateaus, seeds=3, baseline_seeds=3, noise=0.002, run=0)
    assert "at d=181 the learning rate times 4 did better" in result.message
    assert result.d == 181, "at the next dimension below, 128, no rate reaches the target"
    assert any(point.rate_factor == 8.0 for point in result.points)


def test_a_rate_too_high_for_the_largest_dimension_is_not_the_end():
    """The best rate falls with d: at the rate that suits small d the large ones learn nothing at all."""

    def score(ask: Ask) -> float:
        best = 0.95 if ask.d > 1000 else 0.85
        off = max(0.0, np.log2(ask.rate_factor / (64 / ask.d if ask.d > 1000 else 1.0)) / 8)
        return CHANCE + (best - CHANCE) * max(0.0, 1 - off) / (1 + 20 / ask.d)

    asked: list[Ask] = []

    def evaluate(asks):
        asked.extend(asks)
        return [score(ask) + 0.001 * (ask.seed % 3 - 1) for ask in asks]

    result = search(evaluate, make_target(RULE, (0.977, 0.978, 0.979), CHANCE), SearchSpec())
    assert min(ask.rate_factor for ask in asked) <= 1 / 32, "the looks go on while they rise"
    assert result.status == "found"


# -- what never-met says


def never_met(plateaus: dict[float, float], lucky: dict[Ask, float], **changes: object) -> SearchResult:
    """A search over noiseless curves, but for the scores in `lucky`."""
    result = search(
        lambda asks: [lucky.get(ask, saturating(ask, plateaus)) for ask in asks],
        make_target(RULE, (0.97, 0.98, 0.99), CHANCE),
        SearchSpec.model_validate(changes),
    )
    assert result.status == "never-met"
    return result


def test_never_met_names_the_guards_that_reached_the_target():
    top, seeds = dimensions(SearchSpec())[-1], SearchSpec().seeds
    result = never_met({0.5: 0.7, 1.0: 0.85, 2.0: 0.86}, {Ask(top, seeds, 2.0, first_look=True): 0.91})
    assert "no dimension up to d=4096 reaches the target 0.88 in the mean (best 0.8494 at d=4096)" in result.message
    assert "at d=4096 with the learning rate times 2, 1 of 4 trials did (best 0.91)" in result.message
    assert "give that rate by --subspace-rates, or raise --seeds" in result.message


def test_never_met_with_one_seed_names_them_too():
    result = never_met({0.5: 0.7, 1.0: 0.85, 2.0: 0.86}, {Ask(4096, 1, 2.0, first_look=True): 0.91}, seeds=1)
    assert "at d=4096 with the learning rate times 2, 1 of 2 trials did (best 0.91)" in result.message


def test_never_met_without_such_a_guard_says_what_else_to_do():
    result = never_met(ALL_FAIL, {})
    assert "in the mean (best 0.7995 at d=4096): raise --high, train longer, or lower --fraction" in result.message


def test_never_met_does_not_deny_a_mean_that_reaches_the_target():
    """The mean at d=2896 lies a little above the target; the fit over all trials does not reach it."""
    result = searched({0.5: 0.7, 1.0: 0.86, 2.0: 0.7}, seeds=3, baseline_seeds=3, noise=0.03, run=22)
    assert result.status == "never-met"
    assert "does not reach the target 0.88 up to d=4096, though the mean 0.8811 at d=2896 does" in result.message
    assert "raise --seeds to settle it" in result.message


def test_found_says_of_the_mean_what_is_true():
    """The estimate is the fit's; the mean of the few trials at that dimension may lie below the target."""
    below = []
    for run in range(10):
        result = searched({0.5: 0.7, 1.0: 0.95, 2.0: 0.7}, seeds=3, baseline_seeds=3, noise=0.03, run=run)
        assert result.status == "found"
        assert "used from there on" not in result.message
        mean = np.mean([p.score for p in result.points if p.d == result.d and p.rate_factor == 1.0])
        claim = f"the fitted curve reaches the target 0.88 at d={result.d}, though the mean {mean:.4g} there does not;"
        below.append(mean < result.target)
        assert result.message.startswith(claim if below[-1] else f"d={result.d} reaches the target 0.88;")
    assert 0 < sum(below) < len(below)


def test_met_at_the_lowest_says_of_the_mean_what_is_true():
    rng = np.random.default_rng([89, 33])
    target = make_target(RULE, (0.97, 0.98, 0.99), CHANCE)

    def evaluate(asks):
        return [0.9 + 0.02 * np.log2(ask.d / 90) + 0.03 * rng.standard_normal() for ask in asks]

    result = search(evaluate, target, SearchSpec(low=64, high=1024))
    assert (result.status, result.d) == ("met-at-lowest", 64)
    assert "the fitted curve reaches the target 0.88 at d=64, though the mean 0.8765 there does not" in result.message
    assert "and no lower dimension was tried: lower --low" in result.message


def test_messages_speak_in_the_metrics_own_sign():
    target = make_target(TargetSpec(kind="chance-corrected"), (-0.31, -0.3, -0.29), -1.0, negated=True)
    up = search(lambda asks: [-1.0 + 0.7 * ask.d / (ask.d + 50) for ask in asks], target, SearchSpec())
    assert up.status == "found"
    assert "reaches the target 0.37;" in up.message
    flat = search(lambda asks: [-0.9] * len(asks), target, SearchSpec())
    assert "reaches the target 0.37 in the mean (best 0.9 at d=" in flat.message


def test_never_met_says_where_the_score_falls_off():
    def score(ask: Ask) -> float:
        return 0.8 if ask.d < 1000 else CHANCE

    result = search(
        lambda asks: [score(ask) + 0.001 * (ask.seed % 3 - 1) for ask in asks],
        make_target(RULE, (0.97, 0.98, 0.99), CHANCE),
        SearchSpec(),
    )
    assert result.status == "never-met"
    assert re.search(
        r"falls to 0\.5 at d=4096, .* a learning rate too high .*: give lower --subspace-rates", result.message
    )

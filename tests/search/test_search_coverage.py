"""The interval covers a known d90 as often as it says. Curves and noise: intrinsic/search/simulate.py."""

from __future__ import annotations

import pytest

from intrinsic.search import dimensions
from intrinsic.search.simulate import SHAPES, Scenario, Tally, tally
from intrinsic.spec import SearchSpec


def study(scenario: Scenario, curves: int, seed: int) -> list[Tally]:
    return [tally(scenario, shape, noise, curves, seed) for shape in SHAPES for noise in scenario.noises]


def coverage(rows: list[Tally]) -> float:
    return 1 - sum(row.below + row.above for row in rows) / sum(row.curves for row in rows)


def test_interval_covers_the_truth_and_costs_a_fraction_of_the_grid():
    rows = study(Scenario(), curves=60, seed=1)
    assert sum(row.curves for row in rows) == 540
    assert 0.93 <= coverage(rows) <= 0.97
    assert min(row.coverage for row in rows) >= 0.85  # 60 curves: 3 standard errors below 0.93
    assert all(row.found >= 0.95 * row.curves for row in rows)
    grid = len(dimensions(SearchSpec())) * SearchSpec().seeds
    assert sorted(row.trials_median for row in rows)[len(rows) // 2] < grid / 3
    quiet = [row.ratio_median for row in rows if row.noise == 0.3]
    assert max(quiet) < 2  # the interval is not bought by width


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_interval_covers_the_truth_on_other_seeds(seed):
    rows = study(Scenario(), curves=280, seed=seed)
    assert 0.93 <= coverage(rows) <= 0.97
    assert min(row.coverage for row in rows) >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("grid", spec=SearchSpec(kind="grid")),
        Scenario("rate indifferent", penalty=(0.0, 0.0)),
        Scenario("rate wrong", penalty=(4.0, 8.0), best_rate=2.0),
        Scenario("heavy tails", tails=4.0),
        Scenario("near an end", d90=(4.5, 7.0)),
        Scenario("quiet baseline", baseline_noise=1 / 3),
        Scenario("very quiet baseline", baseline_noise=1 / 10),
    ],
    ids=lambda scenario: scenario.name,
)
def test_interval_survives_what_it_was_not_made_for(scenario):
    assert coverage(study(scenario, curves=60, seed=4)) >= 0.90

"""A lost trial (an exception, lack of memory) says nothing about its dimension; a diverged one says that it failed."""

from __future__ import annotations

import math

import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from intrinsic import measure
from intrinsic.search import Ask, dimensions, make_target, search
from intrinsic.search.ledger import FUTILE, Ledger
from intrinsic.spec import SearchSpec, TargetSpec

SPEC = SearchSpec()
TARGET = make_target(TargetSpec(), (0.80, 0.805, 0.795), 0.5)  # 0.72


def rising(ask: Ask) -> float:
    """Reaches 0.72 at d = 100; a wobble of a tenth of a point stands for the seeds."""
    return 0.5 + 0.3 / (1 + math.exp(-(math.log2(ask.d / 100) + 1.014))) + 0.001 * ((ask.seed * 7) % 3 - 1)


def losing(lost):
    """An evaluate whose trials are lost where `lost` says so; it keeps its asks."""
    asked: list[Ask] = []

    def evaluate(asks):
        asked.extend(asks)
        return [None if lost(ask) else rising(ask) for ask in asks]

    evaluate.asked = asked
    return evaluate


@pytest.mark.parametrize("kind", ["adaptive", "grid"])
@pytest.mark.parametrize("seed", range(3))
def test_a_seed_that_is_lost_everywhere_changes_nothing(kind, seed):
    result = search(losing(lambda ask: ask.seed == seed), TARGET, SPEC.model_copy(update={"kind": kind}))
    assert (result.status, result.d) == ("found", 128)
    assert result.interval[0] < 100 < result.interval[1]
    lost = [p for p in result.points if p.lost]
    assert {p.seed for p in lost} == {seed}
    assert {p.score for p in lost} == {None}
    assert f"{len(lost)} of {len(result.points)} trials failed for another reason and were left out" in result.message


def test_a_lost_trial_is_replaced_by_the_next_seed():
    evaluate = losing(lambda ask: ask.seed in (0, 2))
    ledger = Ledger(evaluate, TARGET, SPEC)
    ledger.fill(64, 1)
    assert evaluate.asked == [Ask(64, 0), Ask(64, 1)]
    ledger.fill(64, 3)
    assert [ask.seed for ask in evaluate.asked] == [0, 1, 2, 4, 5]  # 3 is the guard's first look
    assert ledger.cell(64).count == ledger.seeds(64) == 3


def test_a_lost_trial_enters_no_mean_and_a_diverged_one_counts_as_chance():
    answers = {0: 0.8, 1: None, 2: -math.inf}
    ledger = Ledger(lambda asks: [answers[ask.seed] for ask in asks], TARGET, SPEC)
    ledger.ask([Ask(64, seed) for seed in answers])
    cell = ledger.cell(64)
    assert (cell.count, cell.mean) == (2, pytest.approx((0.8 + TARGET.chance) / 2))
    assert [(p.score, p.lost) for p in ledger.points] == [(0.8, False), (None, True), (None, False)]


@pytest.mark.parametrize("d", [32, 64, 91])
def test_a_dimension_whose_trials_are_all_lost_is_passed_over(d):
    evaluate = losing(lambda ask: ask.d == d)
    result = search(evaluate, TARGET, SPEC)
    assert (result.status, result.d) == ("found", 128)
    assert result.interval[0] < 100 < result.interval[1]
    assert [ask for ask in evaluate.asked if ask.d == d] == [Ask(d, seed) for seed in (0, 1, 2, 4, 5, 6)]


def test_large_dimensions_that_do_not_fit_into_memory_are_no_fall():
    result = search(losing(lambda ask: ask.d > 300), TARGET, SPEC)
    assert (result.status, result.d) == ("found", 128)


def test_a_guard_whose_first_look_is_lost_gets_fresh_seeds():
    def answer(ask):
        return None if ask.seed == SPEC.seeds else 0.5 + (rising(ask) - 0.5) * (1.0 if ask.rate_factor == 2.0 else 0.7)

    result = search(lambda asks: [answer(ask) for ask in asks], TARGET, SPEC)
    assert (result.status, result.d) == ("found", 128)


@pytest.mark.parametrize("kind", ["adaptive", "grid"])
def test_a_search_that_gets_no_answer_stops(kind):
    evaluate = losing(lambda ask: True)
    result = search(evaluate, TARGET, SPEC.model_copy(update={"kind": kind}))
    assert result.status == "never-met"
    count = FUTILE if kind == "adaptive" else len(dimensions(SPEC)) * SPEC.seeds
    assert len(evaluate.asked) == count
    assert f"{count} of {count} trials gave no score" in result.message
    assert "look at the trials' errors" in result.message


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(0.0, 1.0),
    run=st.integers(0, 10_000),
    seeds=st.integers(1, 3),
    kind=st.sampled_from(["adaptive", "grid"]),
)
def test_whatever_is_lost_the_search_ends(share, run, seeds, kind):
    def answer(ask):
        draw = hash((run, ask.d, ask.seed, ask.rate_factor)) % 1000 / 1000
        return None if draw < share else -math.inf if draw > 0.95 else rising(ask)

    spec = SPEC.model_copy(update={"seeds": seeds, "kind": kind, "max_trials": 10_000})
    result = search(lambda asks: [answer(ask) for ask in asks], TARGET, spec)
    asked = [(p.d, p.seed, p.rate_factor) for p in result.points]
    assert len(set(asked)) == len(asked)
    assert {seed for _, seed, _ in asked} <= set(range(2 * seeds + 1))


def test_trials_that_break_at_random_do_not_move_d90(tmp_path):
    """Every third subspace trial of the search raises; a broken trial is no sign of a dimension too small."""

    def breaking(trial, *, progress=None, threads=None):
        if trial.method.name == "subspace" and int(trial.id, 16) % 3 == 0:
            raise RuntimeError("no such device")
        return synthetic.run(trial, progress=progress, threads=threads)

    spec = synthetic.measure_spec(subspace_rates=(4e-3,))
    whole = measure(spec, tmp_path / "whole", runner=synthetic.run).result
    broken = measure(spec, tmp_path / "broken", runner=breaking).result
    assert any(row.status == "failed" for row in broken.trials)
    assert (broken.search.status, broken.d90) == (whole.search.status, whole.d90)
    assert "trials failed for another reason and were left out: see their errors" in broken.search.message


def test_trials_that_diverge_count_against_their_dimension(tmp_path):
    def diverging(trial, *, progress=None, threads=None):
        lost = (trial.method.subspace_dim or 512) < 512
        return synthetic.result(trial, status="diverged" if lost else "ok")

    spec = synthetic.measure_spec(subspace_rates=(4e-3,), search=SearchSpec(low=8, high=2048, guard_rates=()))
    found = measure(spec, tmp_path, runner=diverging).result
    assert (found.search.status, found.d90) == ("found", 512)
    assert "trials diverged and count as not reaching the target" in found.search.message
    assert not any(point.lost for point in found.search.points)

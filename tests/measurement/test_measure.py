"""measure(): the protocol around a synthetic response curve whose d90 is known."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import pytest
import synthetic

from intrinsic.errors import DataError, IntrinsicError, SpecError, StoreError
from intrinsic.executor import Finished, Reused
from intrinsic.measurement import SearchState, TargetKnown, TrialEvent, measure
from intrinsic.measurement.campaign import search_state
from intrinsic.measurement.estimate import _search_trials, estimate
from intrinsic.measurement.planned import MeasureTrial
from intrinsic.measurement.rates import choose_rate
from intrinsic.search import make_target, search
from intrinsic.search.simulate import SHAPES, Responder, draw_curve
from intrinsic.spec import PRESETS, SearchSpec, TargetSpec, TaskSpec
from intrinsic.store import Store, read_measurement

TRUE_D90 = 138
"""Where the synthetic curve crosses 0.9 * 0.9: 40 * .775 / .225."""
RATES = {"baseline_rates": (2.5e-4, 5e-4, 1e-3), "subspace_rates": (2e-3, 4e-3, 8e-3)}


def spec(**changes):
    return synthetic.measure_spec(**{**RATES, **changes})


def rows(result, role):
    return [row for row in result.result.trials if row.role == role]


# Runners that bend the synthetic one.


def run_with(**changes):
    def runner(trial, *, progress=None, threads=None):
        return synthetic.result(trial, **changes)

    return runner


def diverges_above(limit, method):
    def runner(trial, *, progress=None, threads=None):
        lost = trial.method.name == method and trial.optim.learning_rate > limit
        return synthetic.result(trial, status="diverged" if lost else "ok")

    return runner


def lower_is_better(trial, *, progress=None, threads=None):
    good = synthetic.result(trial)
    return good.model_copy(
        update={
            "train": good.train.model_copy(
                update={
                    "metric": "error",
                    "higher_is_better": False,
                    "score": 1 - good.train.score,
                    "chance": 1 - synthetic.CHANCE,
                }
            )
        }
    )


def test_it_finds_the_known_d90_and_tells_the_whole_story(tmp_path):
    asked = spec(search=SearchSpec(low=8, high=1024, seeds=3, guard_rates=(0.5, 2.0), max_trials=60))
    result = measure(asked, tmp_path, runner=synthetic.run, command="the command")
    out = result.result
    assert out.search.status == "found"
    low, high = out.search.interval
    assert low <= TRUE_D90 <= high
    assert low <= out.d90 <= high
    assert out.baseline.learning_rate == 5e-4
    assert out.baseline.mean == pytest.approx(synthetic.TOP, abs=0.01)
    assert out.target == pytest.approx(0.9 * out.baseline.mean, rel=1e-12)
    assert out.subspace_learning_rate == 4e-3
    assert out.full_dim == synthetic.FULL_DIM
    assert out.share == out.d90 / synthetic.FULL_DIM
    assert out.artefact_bytes == 4 * out.d90
    assert (out.metric, out.chance, out.num_train, out.num_eval) == ("accuracy", 0.5, 6000, 1000)
    assert out.warnings == ()
    assert len(rows(result, "baseline-rate")) == 3
    assert tuple(row.score for row in rows(result, "baseline")) == out.baseline.scores
    assert [row.learning_rate for row in rows(result, "subspace-rate")] == [2e-3, 4e-3, 8e-3]
    assert {row.d for row in rows(result, "subspace-rate")} == {91}  # sqrt(8 * 1024)
    searched = [row for row in out.trials if row.role in ("search", "guard")]
    assert [(row.d, row.seed, row.score) for row in searched] == [
        (point.d, point.seed, point.score) for point in out.search.points
    ]
    assert [row.role == "guard" for row in searched] == [point.rate_factor != 1 for point in out.search.points]
    assert out.cost.trials == len(out.trials)
    assert out.cost.steps == 10 * len(out.trials)
    assert out.cost.seconds == 1.5 * len(out.trials)
    assert out.cost.reused == 0
    assert result.run.command == "the command"
    assert read_measurement(tmp_path) == read_measurement(tmp_path, asked.id) == result


def test_a_second_call_runs_nothing_and_gives_the_same_but_for_timings(tmp_path):
    first = measure(spec(), tmp_path, runner=synthetic.run)
    events = []
    second = measure(spec(), tmp_path, runner=no_run, on_event=events.append)
    heard = [news.event for news in events if isinstance(news, TrialEvent)]
    assert len(heard) == len(second.result.trials)
    assert all(isinstance(event, Reused) for event in heard)
    assert second.result.cost.reused == second.result.cost.trials == first.result.cost.trials
    assert stable(second) == stable(first)


def no_run(trial, *, progress=None, threads=None):
    raise AssertionError("a trial ran")


def stable(result):
    """All but what tells when, and whether again."""
    cost = result.result.cost.model_copy(update={"reused": 0})
    return (
        result.run.model_copy(update={"started": ""}),
        result.result.model_copy(update={"cost": cost}),
        result.meta,
    )


def test_two_jobs_give_the_same_result_as_one(tmp_path):
    one = measure(spec(), tmp_path / "one", runner=synthetic.run, command="x")
    two = measure(spec(), tmp_path / "two", runner=synthetic.run, command="x", jobs=2)
    assert stable(one) == stable(two)


def test_the_default_command_gives_the_result_again(tmp_path):
    import intrinsic.measurement as module
    from intrinsic.spec import MeasureSpec

    result = measure(spec(), tmp_path, runner=synthetic.run)
    names = {"MeasureSpec": MeasureSpec, "intrinsic": type("intrinsic", (), {"measure": module.measure})}
    again = eval(result.run.command, names)
    assert stable(again) == stable(result)


def test_another_root_seed_gives_other_trials_and_an_agreeing_d90(tmp_path):
    results = [measure(spec(seed=seed), tmp_path, runner=synthetic.run) for seed in (0, 1)]
    ids = [{row.trial_id for row in result.result.trials} for result in results]
    assert not ids[0] & ids[1]
    (low, high), other = results[0].result.search.interval, results[1].result.search.interval
    assert low <= other[1]
    assert other[0] <= high


def test_every_source_of_chance_has_its_own_stream():
    asked = spec()
    plans = [
        MeasureTrial(role, seed, 1e-3, d)
        for (role, d), seed in itertools.product(
            [("baseline-rate", None), ("baseline", None), ("subspace-rate", 64), ("search", 64), ("search", 90)],
            range(3),
        )
    ]
    seeds = [plan.trial_spec(asked).seeds for plan in plans]
    drawn = [s.initialisation for s in seeds] + [s.data_order for s in seeds]
    drawn += [s.projection for s, plan in zip(seeds, plans, strict=True) if plan.d is not None]
    assert len(set(drawn)) == len(drawn)
    assert all(s.projection == 0 for s, plan in zip(seeds, plans, strict=True) if plan.d is None)
    # only the rate differs between the trials of one choice
    left, right = (MeasureTrial("subspace-rate", 0, rate, 64).trial_spec(asked) for rate in (1e-3, 2e-3))
    assert left.seeds == right.seeds
    assert left.id != right.id


def test_the_trials_carry_the_measurements_settings():
    asked = spec(projection="hashed", structure_aware=False, lambdas="tensor", head="free", parameters="no-embeddings")
    trial = MeasureTrial("search", 0, 0.125, 16).trial_spec(asked)
    assert (trial.task, trial.model) == (asked.task, asked.model)
    assert trial.optim == asked.optim.model_copy(update={"learning_rate": 0.125})
    method = trial.method.model_dump()
    assert method == {
        "name": "subspace",
        "subspace_dim": 16,
        "projection": "hashed",
        "structure_aware": False,
        "lambdas": "tensor",
        "head": "free",
        "parameters": "no-embeddings",
    }
    assert MeasureTrial("baseline", 0, 0.125).trial_spec(asked).method.name == "full"


def test_no_score_that_chose_a_rate_is_used_again(tmp_path):
    result = measure(spec(), tmp_path, runner=synthetic.run)
    chosen = {row.trial_id for role in ("baseline-rate", "subspace-rate") for row in rows(result, role)}
    used = {row.trial_id for role in ("baseline", "search") for row in rows(result, role)}
    assert not chosen & used


# The story as it is told while it happens.

GUARDED = SearchSpec(low=8, high=512, resolution=2.0, seeds=2, guard_rates=(0.5, 2.0), max_trials=40)


def told(tmp_path, runner=synthetic.run, **changes):
    news = []
    asked = spec(search=GUARDED, **changes)
    result = measure(asked, tmp_path, runner=runner, on_event=news.append).result
    return asked, result, news


def test_every_trial_is_told_with_its_plan(tmp_path):
    asked, result, news = told(tmp_path)
    ended = [item for item in news if isinstance(item, TrialEvent) and isinstance(item.event, Finished)]
    assert [item.asked.trial_spec(asked).id for item in ended] == [item.event.result.run.trial_id for item in ended]
    assert [item.asked.trial_spec(asked).id for item in ended] == [row.trial_id for row in result.trials]
    for item in ended:
        assert (item.asked.purpose == "guard") == (item.asked.rate_factor != 1.0)
        score = item.event.result.train.score
        assert item.reached == (None if item.asked.d is None else score >= result.target)
    searched = [item.asked for item in ended if item.asked.stream == "search"]
    assert [plan.rate for plan in searched] == [result.subspace_learning_rate * plan.rate_factor for plan in searched]
    assert {item.asked.purpose for item in ended} == {"baseline-rate", "baseline", "subspace-rate", "search", "guard"}


def test_a_guard_draws_from_the_searchs_seeds():
    asked = spec()
    guard, own = (MeasureTrial(role, 3, 1e-3, 64) for role in ("guard", "search"))
    assert guard.trial_spec(asked) == own.trial_spec(asked)


def test_the_target_is_told_once_between_baseline_and_subspaces(tmp_path):
    _, result, news = told(tmp_path)
    (at,) = [at for at, item in enumerate(news) if isinstance(item, TargetKnown)]
    assert news[at] == TargetKnown(result.target, result.baseline)
    assert {item.asked.purpose for item in news[:at]} == {"baseline-rate", "baseline"}
    assert all(item.asked.d is not None for item in news[at + 1 :] if isinstance(item, TrialEvent))


def test_target_and_verdicts_are_told_where_lower_is_better(tmp_path):
    _, result, news = told(tmp_path, runner=lower_is_better, target=TargetSpec(kind="chance-corrected"))
    assert [item.value for item in news if isinstance(item, TargetKnown)] == [result.target]
    ended = [item for item in news if isinstance(item, TrialEvent) and item.reached is not None]
    assert {item.reached for item in ended} == {True, False}
    assert all(item.reached == (item.event.result.train.score <= result.target) for item in ended)


def test_the_state_of_the_search_closes_in_on_d90(tmp_path):
    _, result, news = told(tmp_path)
    states = [item for item in news if isinstance(item, SearchState)]
    assert states[0] in (SearchState(64, None), SearchState(None, 64))
    assert states[-1] == SearchState(result.d90 // 2, result.d90)
    assert all(a != b for a, b in itertools.pairwise(states))


def test_the_state_follows_the_rate_in_use():
    own = [(MeasureTrial("search", 0, 1.0, 64), 0.9), (MeasureTrial("search", 0, 1.0, 32), 0.5)]
    assert search_state(own, 0.7) == SearchState(32, 64)
    assert search_state([*own, (MeasureTrial("search", 0, 1.0, 16), None)], 0.7) == SearchState(32, 64), "a lost trial"
    assert search_state([(MeasureTrial("search", 0, 1.0, 16), -math.inf)], 0.7) == SearchState(16, None)
    guard = [
        (MeasureTrial("guard", seed, 2.0, 32, 2.0, first_look=seed == 2), score)
        for seed, score in ((2, 0.9), (3, 0.8), (4, 0.8))
    ]
    assert search_state([*own, *guard], 0.7) == SearchState(32, 64), "not in use yet"
    after = [*own, *guard, (MeasureTrial("search", 0, 2.0, 16, 2.0), 0.6)]
    assert search_state(after, 0.7) == SearchState(16, 32)
    lucky = [*own, guard[0], *[(plan, 0.6) for plan, _ in guard[1:]], after[-1]]
    assert search_state(lucky, 0.7) == SearchState(32, None), "a first look enters no mean"


def named_by_rate(trial, *, progress=None, threads=None):
    """The artefact's size tells dimension and rate."""
    d, rate = trial.method.subspace_dim or 0, trial.optim.learning_rate
    return synthetic.result(trial, artefact_bytes=1000 * d + round(1000 * rate))


@pytest.mark.parametrize(
    ("rates", "in_use"),
    [((2e-3, 4e-3, 8e-3), 4e-3), ((2e-3,), 4e-3)],
    ids=["a pilot at d90", "a switch of the rate"],
)
def test_the_artefact_is_that_of_a_search_trial_at_the_rate_in_use(tmp_path, rates, in_use):
    asked = spec(subspace_rates=rates, search=GUARDED.model_copy(update={"low": 128}))
    result = measure(asked, tmp_path, runner=named_by_rate).result
    assert {row.learning_rate for row in result.trials if row.d == result.d90} >= {2e-3, in_use}
    assert result.artefact_bytes == 1000 * result.d90 + round(1000 * in_use)


# The choice of a rate.


def choose(table, grid):
    asked = []

    def score_at(rates):
        asked.extend(rates)
        return [table(rate) for rate in rates]

    return choose_rate(grid, score_at, "test"), asked


def test_a_best_rate_inside_the_grid_is_taken_and_ties_go_to_the_smaller():
    choice, asked = choose({1.0: 0.1, 2.0: 0.3, 4.0: 0.2}.get, (4.0, 1.0, 2.0, 2.0))
    assert (choice.rate, choice.score, choice.warnings, asked) == (2.0, 0.3, (), [1.0, 2.0, 4.0])
    assert choose({1.0: 0.3, 2.0: 0.3, 4.0: 0.2}.get, (1.0, 2.0, 4.0))[0].rate == 1.0
    assert choose({1.0: 0.1, 2.0: 0.3, 4.0: 0.3}.get, (1.0, 2.0, 4.0))[0].rate == 2.0


def test_one_rate_is_taken_without_a_trial():
    choice, asked = choose(no_run, (0.5,))
    assert (choice.rate, choice.score, asked) == (0.5, None, [])


def test_the_grid_grows_past_an_end_by_its_own_ratio():
    choice, asked = choose(lambda rate: -abs(rate - 0.018), (0.001, 0.002, 0.004))
    assert asked == [0.001, 0.002, 0.004, 0.008, 0.016, 0.032]
    assert choice.rate == 0.016
    assert choice.warnings == ()
    choice, asked = choose(lambda rate: -abs(rate - 0.0004), (0.001, 0.003))
    assert asked == pytest.approx([0.001, 0.003, 0.000333333, 0.000111111])
    assert choice.rate == pytest.approx(0.000333333)


def test_the_grid_grows_three_times_and_then_says_that_the_end_is_still_best():
    choice, asked = choose(lambda rate: rate, (1.0, 2.0))
    assert asked == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert choice.warnings[0] == "the best test learning rate, 16, still lies at an end of the grid: give another grid"


def test_rates_that_all_diverge_are_lowered():
    choice, asked = choose(lambda rate: 0.5 if rate < 0.3 else -math.inf, (1.0, 2.0))
    assert asked == [1.0, 2.0, 0.5, 0.25, 0.125]
    assert choice.rate == 0.125
    choice, asked = choose(lambda rate: -math.inf, (1.0, 2.0))
    assert asked == [1.0, 2.0, 0.5, 0.25, 0.125]
    assert (choice.score, choice.warnings) == (
        None,
        ("no test learning rate from 0.125 to 2 gave a score",),
    )


def test_lost_trials_say_nothing_about_their_rates():
    choice, asked = choose(lambda rate: None, (1.0, 2.0))
    assert (asked, choice.score) == ([1.0, 2.0], None)
    choice, asked = choose({1.0: None, 2.0: -math.inf, 1.5: 0.3}.get, (1.0, 1.5, 2.0))
    assert (asked, choice.rate) == ([1.0, 1.5, 2.0], 1.5)


def test_a_grid_that_grew_far_enough_shows_in_the_trials_and_is_no_warning(tmp_path):
    result = measure(spec(subspace_rates=(2.5e-4, 5e-4, 1e-3)), tmp_path, runner=synthetic.run)
    assert result.result.subspace_learning_rate == 4e-3
    tried = [row.learning_rate for row in result.result.trials if row.role == "subspace-rate"]
    assert tried == [2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3]
    assert result.result.warnings == ()


# Targets, chance, and what does not work out.


def test_a_target_near_chance_warns(tmp_path):
    result = measure(spec(target=TargetSpec(fraction=0.575)), tmp_path, runner=synthetic.run)
    assert any(
        warning.startswith("the target 0.51") and "not more than 2 points better than the best constant" in warning
        for warning in result.result.warnings
    )
    clear = measure(spec(target=TargetSpec(fraction=0.6)), tmp_path, runner=synthetic.run)
    assert clear.result.warnings == ()


def test_a_baseline_that_learned_nothing_is_named(tmp_path):
    def idle(trial, *, progress=None, threads=None):
        good = synthetic.result(trial)
        if trial.method.name != "full":
            return good
        return good.model_copy(update={"train": good.train.model_copy(update={"score": synthetic.CHANCE - 0.02})})

    warnings = measure(spec(), tmp_path, runner=idle).result.warnings
    assert warnings[0].startswith("the baseline 0.48 is not more than 2 points better than the best constant answer's")


def test_a_rate_chosen_where_nothing_is_learned_warns(tmp_path):
    search_spec = SearchSpec(low=1, high=2, resolution=2.0, seeds=2, guard_rates=())
    result = measure(spec(search=search_spec), tmp_path, runner=synthetic.run)
    assert result.result.search.status == "never-met"
    assert (result.result.d90, result.result.share, result.result.artefact_bytes) == (None, None, None)
    assert any(w.startswith("the best score at d=1, where the rate was chosen, 0.5") for w in result.result.warnings)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (TargetSpec(kind="global", value=0.8, fraction=1.0), 0.8),
        (TargetSpec(kind="chance-corrected", fraction=0.5), 0.7),
    ],
)
def test_the_other_targets(tmp_path, target, expected):
    result = measure(spec(target=target), tmp_path, runner=synthetic.run)
    assert result.result.target == pytest.approx(expected, abs=0.005)
    assert result.result.search.status == "found"


def test_a_metric_that_is_better_when_lower(tmp_path):
    asked = spec(target=TargetSpec(kind="chance-corrected", fraction=0.9))
    lower = measure(asked, tmp_path / "lower", runner=lower_is_better).result
    higher = measure(asked, tmp_path / "higher", runner=synthetic.run).result
    assert not lower.higher_is_better
    assert lower.d90 == higher.d90
    assert lower.baseline.mean == pytest.approx(1 - higher.baseline.mean)
    assert lower.target == lower.search.target == pytest.approx(1 - higher.target)
    assert lower.baseline.mean < lower.target < lower.chance
    assert [p.score for p in lower.search.points] == pytest.approx([1 - p.score for p in higher.search.points])
    assert [p.score for p in lower.search.points] == [row.score for row in lower.trials if row.role == "search"]
    assert all(point.low <= point.mean <= point.high for point in lower.search.fit)
    assert f"reaches the target {lower.target:.4g}" in lower.search.message
    with pytest.raises(SpecError, match="target 'own' is a share of a score, but error is better when lower"):
        measure(spec(), tmp_path / "own", runner=lower_is_better)


def test_a_baseline_that_always_diverges_is_a_result_with_a_status(tmp_path):
    result = measure(spec(), tmp_path, runner=diverges_above(0.0, "full")).result
    assert result.search.status == "no-baseline"
    assert result.search.message.startswith(
        "nothing was searched for: no trial of full fine-tuning gave a score; the first ended as diverged: "
    )
    assert (result.baseline, result.target, result.d90, result.subspace_learning_rate) == (None, None, None, None)
    assert result.warnings[0].startswith("no baseline learning rate from ")
    assert result.warnings[1] == "3 of 3 baseline trials gave no score"
    assert {row.role for row in result.trials} == {"baseline-rate", "baseline"}
    assert read_measurement(tmp_path).result == result


def test_a_baseline_no_better_than_chance_is_a_result_with_a_status(tmp_path):
    asked = spec(target=TargetSpec(kind="chance-corrected"))
    result = measure(asked, tmp_path, runner=run_with(score=0.4)).result
    assert result.search.status == "no-baseline"
    assert "needs a baseline above the chance level" in result.search.message
    assert result.baseline.mean == pytest.approx(0.4)


def test_subspace_rates_that_diverge_are_lowered_and_the_search_goes_on(tmp_path):
    result = measure(spec(), tmp_path, runner=diverges_above(4e-3, "subspace")).result
    assert result.subspace_learning_rate == 4e-3
    assert result.search.status == "found"
    assert [row.status for row in result.trials if row.learning_rate == 8e-3] == ["diverged"]


def test_trials_that_never_come_to_know_their_task_are_one_clear_error(tmp_path):
    def breaks(trial, *, progress=None, threads=None):
        raise RuntimeError("no such device")

    with pytest.raises(IntrinsicError, match="the first ended as failed: RuntimeError: no such device"):
        measure(spec(), tmp_path, runner=breaks)


def test_an_error_on_purpose_ends_it_and_the_trials_stay(tmp_path):
    def loses_its_data(trial, *, progress=None, threads=None):
        if trial.method.name == "subspace":
            raise DataError("the file went away")
        return synthetic.result(trial)

    with pytest.raises(DataError, match="the file went away"):
        measure(spec(), tmp_path, runner=loses_its_data)
    with Store(tmp_path) as store:
        assert len(list(store)) == 6
    assert measure(spec(), tmp_path, runner=synthetic.run).result.cost.reused == 6


def test_data_that_changed_under_a_resume_are_refused(tmp_path):
    def first_half(trial, *, progress=None, threads=None):
        if trial.method.name == "subspace":
            raise KeyboardInterrupt
        return synthetic.result(trial)

    with pytest.raises(KeyboardInterrupt):
        measure(spec(), tmp_path, runner=first_half)
    with pytest.raises(StoreError, match="the data of synthetic on synthetic changed since the trials in"):
        measure(spec(), tmp_path, runner=run_with(data="e" * 64))
    assert measure(spec(), tmp_path, runner=synthetic.run).result.search.status == "found"


def test_different_measurements_share_a_directory_and_none_is_lost(tmp_path):
    asked = [spec(), spec(target=TargetSpec(fraction=0.7))]
    first = measure(asked[0], tmp_path, runner=synthetic.run)
    events = []
    second = measure(asked[1], tmp_path, runner=synthetic.run, on_event=events.append)
    assert read_measurement(tmp_path) == second
    assert read_measurement(tmp_path, asked[0].id) == first
    heard = [news.event for news in events if isinstance(news, TrialEvent)]
    assert second.result.cost.reused == len([event for event in heard if isinstance(event, Reused)]) >= 9
    assert any(isinstance(event, Finished) for event in heard)


# The estimate.


def test_the_estimate_covers_what_it_then_costs(tmp_path):
    asked = spec()
    before = estimate(asked, tmp_path / "not there yet")
    assert before.seconds is None
    cost = measure(asked, tmp_path, runner=synthetic.run).result.cost
    after = estimate(asked, tmp_path)
    for guess in (before, after):
        assert guess.trials[0] <= cost.trials <= guess.trials[1]
        assert guess.steps[0] <= cost.steps <= guess.steps[1]
    assert after.seconds[0] <= cost.seconds <= after.seconds[1]


def test_the_estimate_of_a_grid_is_exact_but_for_growing_grids(tmp_path):
    asked = spec(search=SearchSpec(kind="grid", grid=(16, 64, 256, 1024), seeds=2), baseline_seeds=2)
    assert estimate(asked).trials == (3 + 2 + 3 + 8, 6 + 2 + 6 + 8)
    assert measure(asked, tmp_path, runner=synthetic.run).result.cost.trials == 16
    single = asked.model_copy(update={"baseline_rates": (5e-4,), "subspace_rates": (4e-3,)})
    assert estimate(single).trials == (10, 10)


def test_the_estimate_knows_steps_from_epochs_only_where_it_knows_the_data():
    epochs = {"epochs": 2.0, "batch_size": 32, "accumulate": 2}
    unknown = estimate(spec(optim=epochs))
    assert unknown.steps is None
    known = estimate(spec(optim=epochs, task=TaskSpec(name="synthetic", limit=1000)))
    assert known.steps == tuple(count * 2 * 16 for count in known.trials)


@pytest.mark.parametrize("shape", SHAPES)
def test_most_simulated_searches_stay_within_the_estimate(shape):
    import numpy as np

    rng = np.random.default_rng(5)
    asked = spec(search=SearchSpec(low=4, high=4096, seeds=3))
    low, high = _search_trials(asked)
    counts = []
    for _ in range(12):
        curve = draw_curve(shape, rng, (16, 1024))
        respond = Responder(curve, 0.8, rng, penalty=1.0)
        target = make_target(TargetSpec(), respond.baseline(3), curve.floor)
        counts.append(len(search(respond, target, asked.search).points))
    assert sum(low <= count <= high for count in counts) >= 10, (low, high, counts)


def test_nothing_here_imports_torch():
    code = "import intrinsic.measurement, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (
            3,
            64,
            r"the bracket from d=3 to d=64 .*: subspace_dim must be more than the 3 lambdas .* got 3",
        ),
        (8, 10**6, r"the bracket from d=8 to d=1000000 .*: subspace_dim must be at most D = \d+"),
    ],
)
def test_a_bracket_the_model_cannot_meet_is_refused_before_anything_is_trained(tmp_path, low, high, message):
    asked = PRESETS["vision"].model_copy(update={"structure_aware": True, "search": SearchSpec(low=low, high=high)})
    with pytest.raises(SpecError, match=message):
        measure(asked, tmp_path)
    assert not list(tmp_path.glob("trials/*.json"))

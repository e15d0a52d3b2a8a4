"""The contract of an executor (intrinsic/executor/base.py), kept by every one that EXECUTORS has."""

from __future__ import annotations

import time

import pytest
import synthetic
from executor_runners import breaks, diverges, no_data, slow_at_8, specs, unknown

from intrinsic.errors import DataError, SpecError
from intrinsic.executor import make_executor, run_trials
from intrinsic.executor.base import EXECUTORS
from intrinsic.plugins import named

JOBS = {"here": 1}
"""Jobs an executor is tested with, where they are not 2."""


@pytest.fixture(params=sorted(EXECUTORS))
def make(request):
    """A function that makes the executor under test for a runner; what it made is closed at the end."""
    made = []

    def make_one(runner):
        made.append(make_executor(request.param, JOBS.get(request.param, 2), runner))
        return made[-1]

    yield make_one
    for executor in made:
        executor.close()


def silent(step, steps, loss):
    """A progress callback that does nothing."""


def drained(executor, count: int, seconds: float = 60.0) -> list:
    """The results of so many trials under way."""
    results, deadline = [], time.monotonic() + seconds
    while len(results) < count:
        assert time.monotonic() < deadline, "they did not end"
        results += executor.poll(0.2)
    assert executor.poll(0.0) == []
    return results


def test_a_trial_runs_and_tells_its_progress(make):
    executor, heard = make(synthetic.run), []
    executor.start(synthetic.spec(8), lambda *said: heard.append(said))
    assert drained(executor, 1) == [synthetic.result(synthetic.spec(8))]
    assert heard == [(1, 2, 0.5)]


def test_all_slots_can_be_filled_and_filled_again(make):
    executor = make(synthetic.run)
    for _ in range(2):
        asked = specs(executor.slots)
        for spec in asked:
            executor.start(spec, silent)
        results = {result.run.trial_id: result for result in drained(executor, len(asked))}
        assert results == {spec.id: synthetic.result(spec) for spec in asked}


def test_with_nothing_under_way_a_poll_waits_and_gives_nothing(make):
    executor, begin = make(synthetic.run), time.monotonic()
    assert executor.poll(0.05) == []
    assert time.monotonic() - begin >= 0.05
    assert executor.abort() == []


@pytest.mark.parametrize(
    ("runner", "status", "error"),
    [
        (breaks, "failed", "ZeroDivisionError: made to break"),
        (diverges, "diverged", "the loss is not finite at step 3"),
    ],
)
def test_a_trial_that_breaks_is_a_result(make, runner, status, error):
    executor = make(runner)
    executor.start(synthetic.spec(16), silent)
    (result,) = drained(executor, 1)
    assert (result.run.status, result.run.error, result.run.spec) == (status, error, synthetic.spec(16))
    assert result.run.seconds >= 0


def test_after_a_trial_that_breaks_the_next_one_runs(make):
    executor = make(breaks)
    for d in (16, 8):
        executor.start(synthetic.spec(d), silent)
        (result,) = drained(executor, 1)
    assert result == synthetic.result(synthetic.spec(8))


@pytest.mark.parametrize(
    ("runner", "kind", "message"),
    [(no_data, DataError, "there is no such data"), (unknown, SpecError, "unknown task 'mprc'; .*mrpc")],
)
def test_an_error_on_purpose_is_raised_and_its_trial_is_no_longer_under_way(make, runner, kind, message):
    executor = make(runner)
    executor.start(synthetic.spec(8), silent)
    with pytest.raises(kind, match=message):
        drained(executor, 1)
    assert executor.abort() == []


def test_abort_gives_interrupted_and_the_executor_can_be_used_again(make):
    executor = make(slow_at_8)
    executor.start(synthetic.spec(8), silent)
    (result,) = executor.abort()
    assert (result.run.status, result.run.error) == ("interrupted", "stopped before it ended")
    assert result.run.spec == synthetic.spec(8)
    assert executor.poll(0.0) == executor.abort() == []
    executor.start(synthetic.spec(16), silent)
    assert drained(executor, 1) == [synthetic.result(synthetic.spec(16))]


def test_close_can_be_called_again_and_at_any_time(make):
    unused, used, aborted = (make(synthetic.run) for _ in range(3))
    for executor in (used, aborted):
        executor.start(synthetic.spec(8), silent)
    drained(used, 1)
    aborted.abort()
    for executor in (unused, used, aborted) * 2:
        executor.close()


def test_run_trials_takes_it_and_leaves_it_open(make, store):
    executor = make(synthetic.run)
    for asked in (specs(2), specs(3)):
        assert run_trials(asked, store, executor=executor) == [synthetic.result(spec) for spec in asked]


@pytest.mark.parametrize("name", sorted(EXECUTORS))
def test_its_entry_says_what_it_is_and_where(name):
    info = EXECUTORS[name]
    assert info.description
    assert callable(named(info.home))
    made = make_executor(name, JOBS.get(name, 2), synthetic.run)
    assert 1 <= made.slots <= JOBS.get(name, 2)
    made.close()

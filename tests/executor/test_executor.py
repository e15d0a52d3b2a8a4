"""run_trials: each trial once, in order, whatever breaks, and whoever else runs it."""

from __future__ import annotations

import threading
import time

import pytest
import synthetic
from executor_runners import breaks, interrupted_at_24, interrupted_with_a_record, no_data, runs, specs, unknown

from intrinsic.errors import DataError, SpecError, StoreError
from intrinsic.executor import Damaged, Finished, Progress, Reused, Started, Waiting, run_trials
from intrinsic.store import Store


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_each_spec_runs_once_and_a_second_call_runs_nothing(store, log, jobs):
    asked = specs(4)
    asked = [asked[2], *asked, asked[0]]
    results = run_trials(asked, store, jobs=jobs, runner=synthetic.run)
    assert [result.run.spec for result in results] == asked
    assert results == [synthetic.result(spec) for spec in asked]
    assert sorted(trial for what, trial, _ in runs(log) if what == "start") == sorted(s.id for s in specs(4))
    again = run_trials(asked, store, jobs=jobs, runner=no_data)
    assert again == results
    assert list((store.path / "claims").iterdir()) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_events_of_a_trial(store, log, jobs):
    spec, stored = specs(2)
    store.put(synthetic.result(stored))
    events = []
    run_trials([spec, stored], store, jobs=jobs, runner=synthetic.run, on_event=events.append)
    assert [event for event in events if isinstance(event, Reused)] == [Reused(synthetic.result(stored))]
    assert [event for event in events if not isinstance(event, Reused)] == [
        Started(spec),
        Progress(spec, 1, 2, 0.5),
        Finished(synthetic.result(spec)),
    ]


def test_a_damaged_file_is_an_event_and_its_trial_runs_again(store, log):
    asked = specs(2)
    run_trials(asked, store, runner=synthetic.run)
    path = store.path / "trials" / f"{asked[0].id}.json"
    path.write_text("{")
    events = []
    with Store(store.path) as other:
        for _ in range(2):
            assert run_trials(asked, other, runner=synthetic.run, on_event=events.append) == [
                synthetic.result(spec) for spec in asked
            ]
    damaged = [event for event in events if isinstance(event, Damaged)]
    assert [event.path for event in damaged] == [path]
    assert "Invalid JSON" in damaged[0].reason
    assert len([event for event in events if isinstance(event, Finished)]) == 1
    assert path.with_name(f"{path.name}.damaged").read_text() == "{"


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_exception_is_a_failed_trial_which_runs_again_when_resumed(store, log, jobs):
    results = run_trials(specs(3), store, jobs=jobs, runner=breaks)
    assert [result.run.status for result in results] == ["ok", "failed", "ok"]
    assert results[1].run.error == "ZeroDivisionError: made to break"
    assert store.get(results[1].run.trial_id) == results[1]
    again = run_trials(specs(3), store, jobs=jobs, runner=synthetic.run)
    assert [result.run.status for result in again] == ["ok", "ok", "ok"]
    assert again[0] == results[0]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("runner", "kind", "message"),
    [(no_data, DataError, "there is no such data"), (unknown, SpecError, "unknown task 'mprc'; .*mrpc")],
)
def test_an_error_on_purpose_goes_to_the_caller_and_is_no_record(store, jobs, runner, kind, message):
    with pytest.raises(kind, match=message):
        run_trials(specs(1), store, jobs=jobs, runner=runner)
    assert list(store) == []
    assert list((store.path / "claims").iterdir()) == []


def test_ctrl_c_keeps_what_is_finished_and_records_what_runs(store, log):
    with pytest.raises(KeyboardInterrupt):
        run_trials(specs(4), store, runner=interrupted_at_24)
    statuses = {result.run.spec.method.subspace_dim: result.run.status for result in store}
    assert statuses == {8: "ok", 16: "ok", 24: "interrupted"}
    results = run_trials(specs(4), store, runner=synthetic.run)
    assert [result.run.status for result in results] == ["ok"] * 4
    assert len([line for line in runs(log) if line[0] == "start"]) == 4


def test_the_runners_own_record_of_an_interruption_is_kept(store):
    with pytest.raises(KeyboardInterrupt):
        run_trials(specs(2), store, runner=interrupted_with_a_record)
    assert [(result.run.status, result.train.steps) for result in store] == [("interrupted", 7)]


def test_ctrl_c_while_a_result_is_stored_does_not_lose_it(store, log, monkeypatch):
    put, calls = store.put, []

    def interrupted_put(result):
        calls.append(result)
        if len(calls) == 1:
            raise KeyboardInterrupt
        put(result)

    monkeypatch.setattr(store, "put", interrupted_put)
    with pytest.raises(KeyboardInterrupt):
        run_trials(specs(1), store, runner=synthetic.run)
    assert store.answer(specs(1)[0].id) == synthetic.result(specs(1)[0])


def test_jobs_and_runner_are_checked_as_make_executor_does(store):
    with pytest.raises(SpecError, match="jobs must be 1 or more, got 0"):
        run_trials(specs(1), store, jobs=0)


def elsewhere(store: Store, spec, result, seconds: float = 0.3) -> threading.Thread:
    """Another process, as far as the store can tell: it holds the claim, then stores the result."""
    other = Store(store.path)
    claim = other.claim(spec.id)
    assert claim is not None

    def work():
        time.sleep(seconds)
        if result is not None:
            # sqlite connections belong to their thread
            with Store(store.path) as writer:
                writer.put(result)
        claim.release()

    thread = threading.Thread(target=work)
    thread.start()
    other.close()
    return thread


def test_what_another_process_runs_is_waited_for_while_the_rest_goes_on(store, log):
    asked = specs(3)
    theirs = synthetic.result(asked[0], score=0.123)
    thread = elsewhere(store, asked[0], theirs)
    events = []
    results = run_trials(asked, store, runner=synthetic.run, on_event=events.append)
    thread.join()
    assert results[0] == theirs
    assert Waiting(asked[0]) in events
    assert events.index(Waiting(asked[0])) < events.index(Finished(results[1])) < events.index(Reused(theirs))
    assert events.count(Waiting(asked[0])) == 1
    assert asked[0].id not in {trial for _, trial, _ in runs(log)}


def test_what_another_process_finishes_between_look_and_claim_is_not_run_again(store, log, monkeypatch):
    asked, claim = synthetic.spec(8), store.claim

    def late(trial_id):
        with Store(store.path) as other:
            other.put(synthetic.result(asked))
        return claim(trial_id)

    monkeypatch.setattr(store, "claim", late)
    assert run_trials([asked], store, runner=synthetic.run) == [synthetic.result(asked)]
    assert runs(log) == []
    assert list((store.path / "claims").iterdir()) == []


def test_a_failure_seen_elsewhere_is_not_repeated_but_a_dead_owner_is_taken_over(store, log):
    asked = specs(2)
    store.put(synthetic.result(asked[1], status="failed"))  # an old one: it came before the owner that dies
    failed = synthetic.result(asked[0], status="failed")
    threads = [elsewhere(store, asked[0], failed), elsewhere(store, asked[1], None)]
    results = run_trials(asked, store, runner=synthetic.run)
    for thread in threads:
        thread.join()
    assert [result.run.status for result in results] == ["failed", "ok"]
    assert [line[1] for line in runs(log) if line[0] == "start"] == [asked[1].id]


def test_a_store_error_ends_the_call_and_frees_the_claims(store, log, monkeypatch):
    def full(result):
        raise StoreError("no space")

    monkeypatch.setattr(store, "put", full)
    with pytest.raises(StoreError, match="no space"):
        run_trials(specs(3), store, jobs=2, runner=synthetic.run)
    assert list((store.path / "claims").iterdir()) == []

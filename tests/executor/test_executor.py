"""run_trials: each trial once, in order, whatever breaks, in this process and in worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import synthetic

from intrinsic.errors import DataError, Diverged, IntrinsicError, SpecError, StoreError, UnknownName
from intrinsic.executor import Damaged, Finished, Progress, Reused, Started, Waiting, run_trials
from intrinsic.executor.workers import WorkerPool, available_cores
from intrinsic.store import Store

PATH = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
"""For scripts in processes of their own that use the modules beside this one."""


@pytest.fixture
def store(tmp_path):
    (tmp_path / "out").mkdir()  # some tests put files of their own beside the store's
    with Store(tmp_path / "out") as opened:
        yield opened


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log"
    monkeypatch.setenv("SYNTHETIC_LOG", str(path))
    monkeypatch.setenv("SYNTHETIC_SLEEP", "0.02")
    return path


def runs(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def specs(count: int) -> list:
    return [synthetic.spec(8 * (k + 1)) for k in range(count)]


# Runners; at module level, so that worker processes can import them.


def breaks(spec, *, progress=None, threads=None):
    if spec.method.subspace_dim == 16:
        raise ZeroDivisionError("made to break")
    return synthetic.run(spec)


def diverges(spec, *, progress=None, threads=None):
    raise Diverged("the loss is not finite at step 3")


def no_data(spec, *, progress=None, threads=None):
    raise DataError("there is no such data")


def unknown(spec, *, progress=None, threads=None):
    raise UnknownName("task", "mprc", ["mrpc"])


def kills_itself(spec, *, progress=None, threads=None):
    if spec.method.subspace_dim == 16:
        os.kill(os.getpid(), signal.SIGKILL)
    return synthetic.run(spec)


def exits(spec, *, progress=None, threads=None):
    os._exit(7)


def tells_threads(spec, *, progress=None, threads=None):
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    seen = {name: float(os.environ[name]) for name in names}
    return synthetic.result(spec, scores={**seen, "threads": threads, "pid": os.getpid()})


def interrupted_at_24(spec, *, progress=None, threads=None):
    if spec.method.subspace_dim == 24:
        raise KeyboardInterrupt
    return synthetic.run(spec)


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


def test_divergence_that_escapes_the_runner_is_recorded_as_such(store):
    result = run_trials(specs(1), store, runner=diverges)[0]
    assert (result.run.status, result.run.error) == ("diverged", "the loss is not finite at step 3")


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


def test_a_killed_worker_is_a_failed_trial_and_the_pool_goes_on(store, log):
    results = run_trials(specs(5), store, jobs=2, runner=kills_itself)
    assert [result.run.status for result in results] == ["ok", "failed", "ok", "ok", "ok"]
    assert results[1].run.error == ("the worker process was lost (SIGKILL; the system does this when memory runs out)")


def test_a_worker_that_exits_is_a_failed_trial(store):
    result = run_trials(specs(1), store, jobs=2, runner=exits)[0]
    assert (result.run.status, result.run.error) == ("failed", "the worker process was lost (exit code 7)")


@pytest.mark.parametrize("seen", [True, False])
def test_an_idle_worker_that_dies_is_replaced(store, monkeypatch, seen):
    pool = WorkerPool(2, tells_threads)
    first = run_trials(specs(1), store, executor=pool)[0]
    os.kill(int(first.train.scores["pid"]), signal.SIGKILL)
    if seen:
        pool._idle[0].process.join()
    else:  # it dies after we looked
        monkeypatch.setattr(pool._idle[0].process, "is_alive", lambda: True)
    second = run_trials(specs(2), store, executor=pool)[1]
    pool.close()
    assert second.run.status == "ok"
    assert second.train.scores["pid"] != first.train.scores["pid"]


def test_workers_stay_for_the_next_call_share_the_cores_and_end_with_the_pool(store):
    pool = WorkerPool(2, tells_threads)
    first = run_trials(specs(1), store, executor=pool)
    second = run_trials(specs(3), store, executor=pool)
    pids = {int(result.train.scores["pid"]) for result in [*first, *second]}
    assert len(pids) <= 2
    assert second[0] == first[0]
    share = max(1, available_cores() // 2)
    values = {value for name, value in first[0].train.scores.items() if name != "pid"}
    assert values == {share}
    pool.close()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_the_environment_of_this_process_is_left_as_it_was(store, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "13")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    run_trials(specs(1), store, jobs=2, runner=tells_threads)
    assert os.environ["OMP_NUM_THREADS"] == "13"
    assert "NUMBA_NUM_THREADS" not in os.environ


def test_two_jobs_run_side_by_side(store, log):
    run_trials(specs(6), store, jobs=2, runner=synthetic.run)
    assert len({pid for _, _, pid in runs(log)}) == 2


def test_ctrl_c_keeps_what_is_finished_and_records_what_runs(store, log):
    with pytest.raises(KeyboardInterrupt):
        run_trials(specs(4), store, runner=interrupted_at_24)
    statuses = {result.run.spec.method.subspace_dim: result.run.status for result in store}
    assert statuses == {8: "ok", 16: "ok", 24: "interrupted"}
    results = run_trials(specs(4), store, runner=synthetic.run)
    assert [result.run.status for result in results] == ["ok"] * 4
    assert len([line for line in runs(log) if line[0] == "start"]) == 4


def interrupted_with_a_record(spec, *, progress=None, threads=None):
    stop = KeyboardInterrupt()
    stop.result = synthetic.result(spec, status="interrupted", steps=7)
    raise stop


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


def test_ctrl_c_in_the_terminal_ends_the_workers_and_all(store, log):
    code = (
        "import sys, synthetic, test_executor\nfrom intrinsic.store import Store\n"
        "from intrinsic.executor import run_trials\n"
        "if __name__ == '__main__':\n"
        "    import signal\n"  # a job in the background of a shell inherits that Ctrl-C is ignored
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    run_trials(test_executor.specs(60), Store(sys.argv[1]), jobs=2, runner=synthetic.run)\n"
    )
    script = store.path / "script.py"
    script.write_text(code)
    environment = {**os.environ, "SYNTHETIC_SLEEP": "0.3", "PYTHONPATH": PATH}
    with subprocess.Popen(
        [sys.executable, str(script), str(store.path)],
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: len([line for line in runs(log) if line[0] == "start"]) >= 4)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        errors = process.stderr.read()
        process.wait(60)
    assert errors.count("Traceback") == 1, errors  # the main process's own; the workers are silent
    assert "KeyboardInterrupt" in errors
    statuses = [result.run.status for result in store]
    assert statuses.count("interrupted") in (1, 2)  # a trial may end at that very moment
    assert statuses.count("ok") >= 2
    assert not any(os.path.exists(f"/proc/{pid}") for pid in {line[2] for line in runs(log)})


def test_workers_die_with_a_killed_parent(store, log):
    code = (
        "import sys, synthetic, test_executor\nfrom intrinsic.store import Store\n"
        "from intrinsic.executor import run_trials\n"
        "if __name__ == '__main__':\n"
        "    run_trials(test_executor.specs(60), Store(sys.argv[1]), jobs=2, runner=synthetic.run)\n"
    )
    script = store.path / "script.py"
    script.write_text(code)
    environment = {**os.environ, "SYNTHETIC_SLEEP": "30", "PYTHONPATH": PATH}
    with subprocess.Popen([sys.executable, str(script), str(store.path)], env=environment) as process:
        wait_until(lambda: len(runs(log)) == 2)
        process.kill()
        process.wait()
        pids = {line[2] for line in runs(log)}
        assert len(pids) == 2
        wait_until(lambda: not any(alive(pid) for pid in pids))


def alive(pid: str) -> bool:
    """Running; a dead process that nobody has waited for does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def test_a_script_without_a_main_guard_is_told_so(store):
    script = store.path / "script.py"
    script.write_text(
        "import sys, synthetic, test_executor\nfrom intrinsic.store import Store\n"
        "from intrinsic.executor import run_trials\n"
        "run_trials(test_executor.specs(2), Store(sys.argv[1]), jobs=2, runner=synthetic.run)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(store.path)],
        env={**os.environ, "PYTHONPATH": PATH},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "must keep its code under `if __name__ ==" in done.stderr


def test_bad_jobs_and_a_runner_that_cannot_travel_are_refused(store):
    with pytest.raises(SpecError, match="jobs must be 1 or more, got 0"):
        run_trials(specs(1), store, jobs=0)
    with pytest.raises(SpecError, match="need a runner that is importable by name, got <function"):
        run_trials(specs(1), store, jobs=2, runner=lambda spec, **_: None)


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


def test_nothing_here_imports_torch():
    code = "import intrinsic.executor, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_error_tree_survives_the_way_from_a_worker():
    from intrinsic.executor.serve import Raised

    assert type(Raised("DataError", "x").rebuilt()) is DataError
    assert type(Raised("UnknownName", "x").rebuilt()) is SpecError
    assert type(Raised("SomethingElse", "x").rebuilt()) is IntrinsicError

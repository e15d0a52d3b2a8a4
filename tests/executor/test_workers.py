"""Worker processes: what is lost, killed or interrupted, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic
from executor_runners import (
    alive,
    exits,
    kills_itself,
    no_data_at_16_behind_a_gate,
    runs,
    specs,
    tells_threads,
    wait_until,
)

from intrinsic.errors import DataError, IntrinsicError, SpecError
from intrinsic.executor import run_trials
from intrinsic.executor.workers import WorkerPool, available_cores

FOLDERS = (Path(__file__).parent, Path(__file__).parents[1])
PATH = os.pathsep.join([*map(str, FOLDERS), os.environ.get("PYTHONPATH", "")])
"""For scripts in processes of their own that use the modules beside this one."""


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


def test_an_error_on_purpose_loses_no_trial_that_ended_beside_it(tmp_path, monkeypatch):
    """Both trials have ended when the pool looks, and one of them raises."""
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    pool = WorkerPool(2, no_data_at_16_behind_a_gate)
    for spec in specs(2):
        pool.start(spec, lambda *said: None)
    wait_until(lambda: pool.poll(0.01) == [] and all(worker.begun for worker in pool._busy))
    (tmp_path / "gate").touch()
    wait_until(lambda: all(worker.connection.poll() for worker in pool._busy))
    with pytest.raises(DataError, match="there is no such data"):
        pool.poll(0.0)
    assert pool.abort() == [synthetic.result(synthetic.spec(8))]


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


def test_ctrl_c_in_the_terminal_ends_the_workers_and_all(store, log):
    code = (
        "import sys, executor_runners, synthetic\nfrom intrinsic.store import Store\n"
        "from intrinsic.executor import run_trials\n"
        "if __name__ == '__main__':\n"
        "    import signal\n"  # a job in the background of a shell inherits that Ctrl-C is ignored
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    run_trials(executor_runners.specs(60), Store(sys.argv[1]), jobs=2, runner=synthetic.run)\n"
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
        "import sys, executor_runners, synthetic\nfrom intrinsic.store import Store\n"
        "from intrinsic.executor import run_trials\n"
        "if __name__ == '__main__':\n"
        "    run_trials(executor_runners.specs(60), Store(sys.argv[1]), jobs=2, runner=synthetic.run)\n"
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


def test_a_script_without_a_main_guard_is_told_so(store):
    script = store.path / "script.py"
    script.write_text(
        "import sys, executor_runners, synthetic\nfrom intrinsic.store import Store\n"
        "from intrinsic.executor import run_trials\n"
        "run_trials(executor_runners.specs(2), Store(sys.argv[1]), jobs=2, runner=synthetic.run)\n"
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


def test_the_error_tree_survives_the_way_from_a_worker():
    from intrinsic.executor.serve import Raised

    assert type(Raised("DataError", "x").rebuilt()) is DataError
    assert type(Raised("UnknownName", "x").rebuilt()) is SpecError
    assert type(Raised("SomethingElse", "x").rebuilt()) is IntrinsicError

"""`intrinsic measure`, `report` and `ls runs` end to end, with synthetic trials in place of training."""

from __future__ import annotations

import functools
import json
import re
import shlex

import pytest
import synthetic
from intrinsic_cli import main as command
from intrinsic_cli import measure as verb
from records_fake import measured

import intrinsic.measurement
from intrinsic.errors import DataError
from intrinsic.records import MeasureResult
from intrinsic.spec import PRESETS
from intrinsic.store import Store
from intrinsic.store.claims import take

RATES = "--baseline-rates 2.5e-4,5e-4,1e-3 --subspace-rates 2e-3,4e-3,8e-3"  # about the synthetic runner's best
SMALL = shlex.split(
    f"--low 8 --high 512 --resolution 2 --seeds 2 --guard-rates none --steps 10 --output-dir out {RATES}"
)
FILES = {"result.json", "result.md", "result.tex", "curve.csv", "curve.png", "curve.pdf"}


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """cli(*args, runner=...) -> (exit code, stdout, stderr), in an empty folder and 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*args: str, runner=synthetic.run) -> tuple[int, str, str]:
        monkeypatch.setattr(verb, "measure", functools.partial(intrinsic.measurement.measure, runner=runner))
        code = command.main(list(args))
        out, err = capsys.readouterr()
        return code, out, err

    return call


def flat(text: str) -> str:
    return " ".join(text.split())


def saved(folder) -> MeasureResult:
    return MeasureResult.model_validate_json((folder / "result.json").read_text())


def test_measure_prints_trials_and_result_and_writes_the_files(cli, tmp_path):
    code, out, err = cli("measure", *SMALL)
    assert (code, err) == (0, "")
    result = saved(tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} >= FILES
    lines = out.splitlines()
    assert lines[0] == "d90 of minilm (1 layer) on rotten-tomatoes: SAID, fastfood; demo settings"
    assert lines[1] == "output in out"
    assert lines[2].startswith("expected: ")
    row = re.compile(r"(baseline|subspace|search)[a-z-]* +(–|\d+) +\d+ +[\d.]+ +[\d.]+  ok")
    rows = [line for line in lines if row.match(line)]
    assert len(rows) == len(result.result.trials)
    for trial in result.result.trials:
        d = "–" if trial.d is None else str(trial.d)
        wanted = [trial.role, d, str(trial.seed), f"{trial.learning_rate:g}", f"{trial.score:.4f}", "ok", "1.5", "s"]
        assert any(line.split() == wanted for line in rows), wanted
    baseline = result.result.baseline
    told = f"target {result.result.target:.4f}, baseline {baseline.mean:.4f} ± {baseline.std:.4f} (3 seeds)"
    assert told in lines
    *before, again = lines
    assert all(len(line) <= 80 for line in before), "fits 80 columns"
    assert again.split(maxsplit=1) == ["again", result.run.command], "one line, to be copied"
    assert not any(line.endswith(" ") for line in lines)
    text = flat(out)
    assert f"d90 {result.result.d90}, 95 % interval" in text
    assert f"cost {len(result.result.trials)} trials" in text
    assert "--steps 10 --low 8 --high 512 --resolution 2 --seeds 2" in text
    assert all(name in text for name in FILES)


def test_the_printed_command_gives_the_same_result_from_the_store(cli, tmp_path):
    cli("measure", *SMALL)
    first = saved(tmp_path / "out")
    program, *args = shlex.split(first.run.command)
    assert program == "intrinsic"
    code, out, _ = cli(*args, runner=None)  # nothing is left to run
    second = saved(tmp_path / "out")
    assert code == 0
    assert second.result.model_copy(update={"cost": first.result.cost}) == first.result
    assert second.result.cost.reused == second.result.cost.trials
    assert out.count("ok (stored)") == len(first.result.trials)
    assert second.run == first.run.model_copy(update={"started": second.run.started})


def test_interrupt_says_what_is_kept_and_how_to_go_on(cli, tmp_path):
    ran = []

    def impatient(spec, *, progress=None, threads=None):
        ran.append(spec.id)
        if len(ran) == 5:
            raise KeyboardInterrupt
        return synthetic.run(spec)

    code, _, err = cli("measure", *SMALL, runner=impatient)
    assert code == 130
    assert err.startswith("intrinsic: interrupted; 4 finished trials are kept in out, the same command goes on")
    assert err.count("\n") == 1
    again = shlex.split(err.strip().split("from there: ")[1])
    code, out, _ = cli(*again[1:])
    assert code == 0
    assert out.count("ok (stored)") == 4


@pytest.mark.parametrize("error", [DataError("no file x.csv: give --data-dir"), ValueError("boom")])
def test_errors_in_the_middle_end_in_one_sentence(cli, monkeypatch, tmp_path, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def broken(*_, **__):
        raise error

    monkeypatch.setattr(intrinsic.measurement, "_investigate", broken)
    code, _, err = cli("measure", *SMALL)
    assert code == (2 if isinstance(error, DataError) else 1)
    assert err.count("\n") == 1
    assert str(error) in err


def test_a_baseline_that_never_works_exits_1_and_says_so(cli, tmp_path):
    def diverges(spec, *, progress=None, threads=None):
        return synthetic.result(spec, status="diverged")

    code, out, _ = cli("measure", *SMALL, runner=diverges)
    assert code == 1
    assert "made to end as diverged" in out
    assert "unknown (no baseline)" in flat(out)
    assert (tmp_path / "out" / "curve.pdf").exists()


def test_a_folder_that_is_a_file_is_refused(cli, tmp_path):
    (tmp_path / "out").write_text("x")
    code, _, err = cli("measure", *SMALL)
    assert code == 2
    assert re.match(r"intrinsic: cannot write to out .*: choose a directory that is not a file\n", err)


def test_report_renders_a_record_again(cli, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "result.json").write_text(measured().model_dump_json())
    code, out, err = cli("report", "old")
    assert (code, err) == (0, "")
    assert {p.name for p in folder.iterdir()} == FILES
    assert "512, 95 % interval [256, 1024]" in flat(out)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    cli("report", "old")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_report_of_an_older_measurement_of_the_folder(cli, tmp_path):
    older = measured(fraction=0.66)
    with Store(tmp_path / "old") as store:
        store.put_measurement(older)
        store.put_measurement(measured())
    assert "d90" in cli("report", "old")[1]
    code, out, _ = cli("report", "old", "--measure-id", older.run.measure_id)
    assert code == 0
    assert "d66" in out


def test_report_of_a_damaged_record_is_refused(cli, tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"run": 3}))
    code, out, err = cli("report", ".")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "result.json" in err


def test_ls_runs_tells_finished_unfinished_running_and_damaged(cli, tmp_path):
    for name in ("finished", "unfinished", "running", "stopped"):
        with Store(tmp_path / "runs" / name) as store:
            store.put(synthetic.result(synthetic.spec(4)))
            store.put(synthetic.result(synthetic.spec(8), status="diverged"))
            if name == "finished":
                store.put_measurement(measured())
    (tmp_path / "runs" / "damaged" / "trials").mkdir(parents=True)
    (tmp_path / "runs" / "damaged" / "result.json").write_text("{")
    (tmp_path / "runs" / "other").mkdir()
    dead = take(tmp_path / "runs" / "stopped" / "claims" / "a.lock")
    dead.release()
    held = take(tmp_path / "runs" / "running" / "claims" / "a.lock")
    try:
        code, out, _ = cli("ls", "runs")
    finally:
        held.release()
    assert code == 0
    states = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.startswith("runs/")}
    assert states == {
        "runs/finished": "finished",
        "runs/unfinished": "unfinished",
        "runs/running": "running",
        "runs/stopped": "unfinished",
        "runs/damaged": "damaged",
    }
    assert "d90 512" in flat(out)
    assert out.count("1 diverged") == 4


def test_ls_runs_without_runs(cli, tmp_path):
    assert cli("ls", "runs")[:2] == (0, "no runs in runs\n"), "nothing was run here yet, which is no error"
    (tmp_path / "runs").mkdir()
    assert cli("ls", "runs")[:2] == (0, "no runs in runs\n")


def test_default_settings_of_the_demo_are_what_is_measured(cli, tmp_path):
    code, _, _ = cli("measure", *shlex.split("--output-dir out"))
    assert code == 0
    assert saved(tmp_path / "out").run.spec == PRESETS["demo"]

"""The command's border: help, version, lists; and what must never be imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from intrinsic_cli import main as command
from intrinsic_cli.flags import FLAGS
from records_fake import measured
from typer.testing import CliRunner

from intrinsic.errors import StoreError
from intrinsic.methods import METHODS
from intrinsic.models import MODELS
from intrinsic.plugins import entries_of
from intrinsic.spec import PROJECTION_NAMES
from intrinsic.tasks import TASKS


def imported(*calls: list[str]) -> set[str]:
    """Top-level modules that a fresh process holds after these command lines."""
    code = (
        "import json, sys\nfrom intrinsic_cli.main import main\n"
        "codes = [main(call) for call in json.loads(sys.argv[1])]\n"
        "print(json.dumps([codes, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(calls)], capture_output=True, text=True, check=True)
    codes, modules = json.loads(done.stdout.splitlines()[-1])
    assert codes == [0] * len(calls), done.stderr
    return set(modules)


HEAVY = {"torch", "transformers", "datasets", "accelerate", "sklearn", "numba"}


def test_help_and_version_import_next_to_nothing():
    modules = imported(["--help"], ["--version"])
    assert not modules & (HEAVY | {"scipy", "matplotlib", "numpy", "pydantic", "jinja2", "yaml", "rich"})


def test_ls_loads_no_torch_and_draws_nothing(tmp_path):
    calls = [["ls", what] for what in ("tasks", "models", "methods", "metrics", "problems", "executors")]
    modules = imported(*calls, ["ls", "runs", str(tmp_path)])
    assert not modules & (HEAVY | {"scipy", "matplotlib"})


def test_report_and_the_help_of_measure_load_no_torch(tmp_path):
    (tmp_path / "result.json").write_text(measured().model_dump_json())
    modules = imported(["report", str(tmp_path)], ["measure", "--help"])
    assert not modules & HEAVY
    assert (tmp_path / "curve.pdf").exists()


@pytest.mark.parametrize(
    ("given", "becomes"),
    [({}, command.SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_threads_that_wait_let_others_run_unless_the_user_wants_it_otherwise(cli, monkeypatch, given, becomes):
    monkeypatch.setattr(command.os, "environ", dict(given))
    cli("--version")
    assert command.os.environ.get("GOMP_SPINCOUNT") == becomes


def test_ctrl_c_is_said(cli, monkeypatch):
    def stopped(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("intrinsic_cli.bench.bench", stopped)
    assert cli("bench", "--quick") == (130, "", "intrinsic: interrupted\n")


def test_a_bench_that_cannot_be_written_says_so_before_it_measures(cli, monkeypatch, tmp_path):
    monkeypatch.setattr("intrinsic_cli.bench.bench", lambda *given: pytest.fail("it has measured"))
    (tmp_path / "file").write_text("")
    code, _, err = cli("bench", "--quick", "--output-dir", "file/below")
    assert code == 2
    assert err.startswith("intrinsic: cannot write to file/below")


def test_a_bench_whose_files_find_no_room_is_shown_all_the_same(cli, monkeypatch):
    """After ten minutes, on a disk that has become full."""

    def full(*given):
        raise StoreError("no space left")

    shown = []
    monkeypatch.setattr("intrinsic_cli.bench.bench", lambda *given: "what was measured")
    monkeypatch.setattr("intrinsic_cli.bench.write_bench", full)
    monkeypatch.setattr("intrinsic_cli.bench.show", lambda console, made: shown.append(made))
    code, _, err = cli("bench", "--quick")
    assert (code, err, shown) == (2, "intrinsic: no space left\n", ["what was measured"])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--target", "chance-corrected"], "--target says what --at searches for: give --at too"),
        (["--methods", " "], "--methods names no method"),
    ],
)
def test_what_would_change_nothing_in_a_comparison_is_refused(cli, given, told):
    code, out, err = cli("compare", "--dry-run", *given)
    assert (code, out) == (2, "")
    assert err.startswith(f"intrinsic: {told}")


def test_help_lists_the_verbs(cli):
    code, out, err = cli("--help")
    assert (code, err) == (0, "")
    for name in command.VERBS:
        assert f"\n  {name} " in out
    assert "..." not in out.split("Commands:")[1], "a summary was cut"


def test_no_arguments_show_the_help(cli):
    code, out, _ = cli()
    assert code == 0
    assert "Commands:" in out


def test_version(cli):
    from importlib.metadata import version

    assert cli("--version") == (0, f"intrinsic {version('intrinsic')}\n", "")


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_has_help(verb):
    done = CliRunner().invoke(command.app, [verb, "--help"], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert f"intrinsic {verb}" in done.output.replace("Usage: root", "Usage: intrinsic")
    assert max(map(len, done.output.splitlines())) <= 80


def test_help_of_measure_names_every_flag_with_its_defaults():
    out = CliRunner().invoke(command.app, ["measure", "--help"], env={"COLUMNS": "300"}).output
    for flag in FLAGS:
        assert flag.name.split("/")[0] in out
    assert "[default: none; demo: 1]" in out  # --layers
    assert "[default: --said; vision: --did]" in out
    assert "[default: 3; demo: none; vision: 10]" in out  # --epochs


def test_projection_names_are_the_projections():
    from intrinsic.projections import PROJECTIONS

    assert PROJECTION_NAMES.keys() | entries_of("projection").keys() == set(PROJECTIONS)


@pytest.mark.parametrize(
    ("what", "names"), [("tasks", TASKS), ("models", MODELS), ("methods", METHODS), ("projections", PROJECTION_NAMES)]
)
def test_ls_lists_the_registry(cli, what, names):
    code, out, _ = cli("ls", what)
    assert code == 0
    first = {line.split(" ")[0] for line in out.splitlines()[1:]}
    assert set(names) <= first
    assert max(map(len, out.splitlines())) <= 80


def test_ls_of_something_else_says_what_there_is(cli):
    code, out, err = cli("ls", "task")
    assert (code, out) == (2, "")
    assert err.startswith(
        "intrinsic: unknown list 'task'; available: executors, methods, metrics, models, problems, projections, runs, "
        "tasks; did you mean 'tasks'?"
    )


def test_an_unexpected_error_leaves_its_traceback_in_a_file(cli, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(command, "app", lambda **_: 1 / 0)
    code, out, err = cli("--help")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "this is a bug in intrinsic" in err
    assert "ZeroDivisionError" in err
    (file,) = tmp_path.glob("intrinsic-traceback-*.txt")
    assert str(file) in err
    assert "Traceback" in file.read_text()


def test_a_reader_that_went_away_is_no_error():
    code = "import sys; from intrinsic_cli.main import main; sys.exit(main(['ls', 'tasks']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    with process.stderr as stream:
        assert stream.read() == ""
    assert process.wait() in (0, 1)

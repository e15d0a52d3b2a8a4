"""What an installed package adds has the powers of our own: tests/plugin adds one of every kind, and all verbs use it.

Its metric is an error, so everything here is also about scores that are better when lower.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from intrinsic_cli import main as command

from intrinsic.errors import SpecError
from intrinsic.measurement.chance import near_chance
from intrinsic.methods import attach, options_of, reload
from intrinsic.models import load_model
from intrinsic.plugins import entries_of
from intrinsic.problems import METRICS
from intrinsic.records import MeasureResult, TrialResult, TrialTrain
from intrinsic.spec import MethodSpec, ModelSpec, OptimSpec, SeedSpec, TaskSpec, TrialSpec
from intrinsic.store import Store, read_comparison, read_measurement
from intrinsic.tasks import load_task

Cli = Callable[..., tuple[int, str, str]]
PLUGIN = Path(__file__).parent / "plugin"
pytestmark = pytest.mark.skipif(
    find_spec("outsider") is None, reason="tests/plugin is not installed; `make test` does it"
)

TASK = ("--task", "squares", "--batch-size", "32", "--seeds", "2")
AIM = ("--target", "chance-corrected")
MEASURE = (
    *("measure", *TASK, *AIM, "--model", "outsider-small", "--projection", "pairs", "--executor", "tallied", "--did"),
    *("--baseline-rates", "3e-3,3e-2", "--baseline-seeds", "2", "--subspace-rates", "1e-1", "--guard-rates", "none"),
    *("--steps", "40", "--eval-every", "5", "--policy", "best", "--low", "4", "--high", "1024", "--resolution", "4"),
)
COMPARE = (
    *("compare", *TASK, *AIM, "--model", "outsider-wide", "--steps", "40", "--baseline-rates", "1e-2", "--at", "0.9"),
    *("--methods", "shift:g=1,8:kinds=linear+norm,wide-shift:g=2,4:scale=1,centred,shift:params=197,212:lr=3e-2"),
)
SHORT = ("--baseline-rates", "3e-2", "--subspace-rates", "1e-1", "--baseline-seeds", "1", "--did", "--steps", "20")
GRID = ("--search", "grid", "--grid", "8,32", "--seeds", "1")
SHIFT = MethodSpec(name="shift", options={"groups": 3, "kinds": ("linear", "norm")})


def run(*args: str) -> None:
    assert command.main(list(args)) == 0


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A measurement of their model on their task, in their projection, by their executor."""
    folder = tmp_path_factory.mktemp("measured") / "out"
    run(*MEASURE, "--output-dir", str(folder))
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("intrinsic.trial.profile.SECONDS", 0.01)
        run(*COMPARE, "--output-dir", str(folder))
    return folder


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No package adds anything."""
    monkeypatch.setattr("intrinsic.plugins.entry_points", lambda group: ())
    entries_of.cache_clear()
    yield
    entries_of.cache_clear()


def trials_of(folder: Path) -> list[TrialResult]:
    with Store(folder, read_only=True) as store:
        return list(store)


def mean_at(result: MeasureResult, d: int) -> float:
    return fmean(p.score for p in result.result.search.points if p.d == d and p.score is not None)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


# ------------------------------------------------------------------------- by name


def declared() -> dict[str, dict[str, str]]:
    """The entry points of its pyproject.toml, by kind and name."""
    groups = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]
    return {group.removeprefix("intrinsic.").removesuffix("s"): names for group, names in groups.items()}


@pytest.mark.parametrize("kind", sorted(declared()))
def test_ls_shows_what_it_adds(cli: Cli, kind: str) -> None:
    found = entries_of(kind)
    for name, home in declared()[kind].items():
        assert found[name].value == home, "installed before its entry points changed: install tests/plugin again"
    code, out, err = cli("ls", f"{kind}s")
    assert (code, err) == (0, "")
    assert declared()[kind].keys() <= {line.split()[0] for line in out.splitlines()}


def test_every_kind_that_can_be_added_is_added() -> None:
    assert declared().keys() == {"method", "projection", "task", "metric", "problem", "model", "executor"}


def test_neither_ls_nor_report_needs_torch_for_it(measured: Path, compared: Path) -> None:
    light = declared().keys() - {"projection"}  # a projection is a class, which is built on torch
    calls = [["ls", f"{kind}s"] for kind in light] + [["report", str(measured)], ["report", str(compared)]]
    code = (
        "import json, sys; from intrinsic_cli import main\n"
        "codes = [main.main(call) for call in json.loads(sys.argv[1])]\n"
        "assert not any(codes), codes\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(calls)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_its_options_preset_and_alias_are_known_like_our_own(cli: Cli) -> None:
    options = options_of(MethodSpec(name="shift", options={"groups": 2}))
    assert (options.groups, options.scale, options.kinds) == (2, 2.0, ("linear",))  # type: ignore[attr-defined]
    methods = "wide-shift:g=2,shift:kinds=conv+norm:size=3"
    code, out, _ = cli("compare", *TASK, "--model", "outsider-wide", "--methods", methods, "--dry-run")
    assert code == 0
    assert "# wide-shift: rates 0.003, 0.01, 0.03; groups 2" in out
    assert "- shift:kinds=conv+norm:groups=3:lr=0.003,0.01,0.03" in out


# ------------------------------------------------------------------------- refusals, each one sentence


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("measure", *TASK), "target 'own' is a share of a score, but sides_off is better when lower: use --target ch"),
        (("measure", *TASK, "--target", "global:0.5"), "target 'global' is a share of a score, but sides_off is bett"),
        (("compare", *TASK, "--at", "0.9"), "target 'own' is a share of a score, but sides_off is better when lower"),
        (("compare", *TASK, *AIM), "--target says what --at searches for: give --at too"),
        (
            ("measure", *TASK, *AIM, "--model", "minilm"),
            "'minilm' is for text and the task is vision; try mlp, lenet, ",
        ),
        (
            ("measure", "--task", "sst2", "--model", "outsider-wide"),
            "'outsider-wide' is for vision and the task is tex",
        ),
        (("measure", *TASK, *AIM, "--model", "outsider-small", "--layers", "2"), "'outsider-small' takes no layers"),
        (("measure", *TASK, *AIM, "--max-length", "9"), "task 'squares' has images and takes no max_length"),
        (("measure", *TASK, *AIM, "--data-dir", "x"), "task 'squares' has its own data and takes no data_dir"),
        (("measure", *TASK, *AIM, "--of", "shift:kinds=linear+liner"), "method 'shift': kinds.1: Input should be 'lin"),
        (("measure", *TASK, *AIM, "--of", "shift:g=2:kinds=conv"), "'shift' finds no layer of the kinds conv with"),
        (("measure", *TASK, *AIM, "--of", "shift:groups=0"), "groups must be whole numbers from 1"),
        (("measure", *TASK, *AIM, "--projection", "pears"), "did you mean 'pairs'"),
        (("measure", *TASK, *AIM, "--executor", "talied"), "did you mean 'tallied'"),
        (("compare", *TASK, "--methods", "shift:r=2"), "shift: r is not its size, which is groups: write g=..; "),
        (("compare", *TASK, "--methods", "lora:g=2"), "lora: g is not its size, which is rank: write r=..; "),
        (
            ("certify", "--task", "squares"),
            "a certificate is on the share of wrong answers, and task 'squares' asks for ",
        ),
    ],
)
def test_what_does_not_go_is_refused_before_anything_is_trained(cli: Cli, args: tuple[str, ...], told: str) -> None:
    model = () if "--model" in args else ("--model", "outsider-small")
    code, _, err = cli(*args, *model, "--output-dir", "out")
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
    assert not Path("out/trials").exists()


# ------------------------------------------------------------------------- a measurement


def test_a_measurement_knows_that_lower_is_better(measured: Path) -> None:
    result = read_measurement(measured)
    outcome = result.result
    assert (outcome.metric, outcome.higher_is_better, result.run.spec.projection) == ("sides_off", False, "pairs")
    labels = load_task(TaskSpec(name="squares")).eval.labels
    assert outcome.chance == pytest.approx(min(np.abs(labels - grade).mean() for grade in range(5)))
    assert outcome.baseline is not None
    assert outcome.target is not None
    assert outcome.baseline.mean < outcome.target < outcome.chance
    assert outcome.target == pytest.approx(0.1 * outcome.chance + 0.9 * outcome.baseline.mean)
    pilots = {trial.learning_rate: trial.score for trial in outcome.trials if trial.role == "baseline-rate"}
    assert len(pilots) >= 2
    assert pilots[outcome.baseline.learning_rate] == min(score for score in pilots.values() if score is not None)


def test_d90_is_where_the_error_has_fallen_to_the_target(measured: Path) -> None:
    result = read_measurement(measured)
    search, target = result.result.search, result.result.target
    assert search.status == "found"
    assert search.d is not None
    assert target is not None
    tried = [p.d for p in search.points]
    assert mean_at(result, min(tried)) > target > mean_at(result, max(tried))
    assert (search.target, result.result.d90) == (target, search.d)
    assert search.fit[0].mean > target > search.fit[-1].mean
    assert all(p.low <= p.mean <= p.high for p in search.fit)
    assert f"{target:.4g}" in search.message


def test_of_the_policy_best_the_lowest_error_counts(measured: Path) -> None:
    trials = trials_of(measured)
    histories = [[point.score for point in trial.train.history] for trial in trials]
    assert [trial.train.score for trial in trials] == [min(scores) for scores in histories]
    assert any(min(scores) < scores[-1] for scores in histories)
    assert all(trial.train.scores.keys() == {"sides_off", "accuracy"} for trial in trials)


def test_the_same_command_again_trains_nothing(measured: Path, cli: Cli) -> None:
    from outsider.tallied import Tallied

    assert {trial.run.trial_id for trial in trials_of(measured)} <= set(Tallied.tally)
    before, started = read_measurement(measured), len(Tallied.tally)
    code, out, err = cli(*MEASURE, "--output-dir", str(measured))
    assert (code, err, len(Tallied.tally)) == (0, "", started)
    again = read_measurement(measured)
    assert again.result.cost.reused == again.result.cost.trials
    assert again.result.search == before.result.search
    assert "sides off (lower is better)" in out


def test_near_chance_is_told_on_the_metrics_own_scale() -> None:
    facts = TrialTrain(metric="sides_off", higher_is_better=False, chance=1.125)
    assert near_chance(-1.10, facts, "the baseline") == []
    told = "the baseline 1.11 is not more than 0.0225 better than the best constant answer's sides_off, 1.125"
    assert near_chance(-1.11, facts, "the baseline") == [told]


def test_its_report_says_that_lower_is_better(measured: Path, cli: Cli) -> None:
    for path in measured.glob("result.[mt]*"):
        path.unlink()
    code, out, _ = cli("report", str(measured))
    assert code == 0
    result = read_measurement(measured)
    assert "sides off (lower is better)" in out
    assert "| metric | sides off (lower is better) |" in (measured / "result.md").read_text()
    latex = (measured / "result.tex").read_text()
    assert [part.split("\\label")[0].count("lower is better") for part in latex.split("\\caption")[1:]] == [1, 1]
    assert {row["better"] for row in rows_of(measured / "curve.csv")} == {"lower"}
    shown = [line.split(" | ") for line in (measured / "result.md").read_text().split("## Every trial")[0].splitlines()]
    dims = [(float(cells[3]), cells[5]) for cells in shown if len(cells) == 6 and cells[2].isdigit()]
    assert dims
    assert {reached for _, reached in dims} == {"yes |", "no |"}
    assert all((mean <= result.result.target) == (reached == "yes |") for mean, reached in dims)  # type: ignore[operator]


def test_a_subspace_lies_over_their_method_with_its_list_of_kinds(tmp_path: Path, cli: Cli) -> None:
    of = "shift:g=3:kinds=linear+norm"
    size = ("--model", "outsider-wide", "--layers", "2", "--grid", "8,12", "--search", "grid", "--head", "frozen")
    code, out, err = cli("measure", *TASK, *AIM, *SHORT, *size, "--of", of, "--output-dir", str(tmp_path / "out"))
    assert (code, err) == (0, "")
    assert "DID of shift (groups=3, kinds=linear+norm)" in " ".join(out.split())
    result = read_measurement(tmp_path / "out")
    assert result.run.spec.of == MethodSpec(name="shift", options={"groups": 3, "kinds": ("linear", "norm")})
    assert result.result.full_dim == 2 * 2 * 3


def test_a_record_is_read_where_the_package_is_not_installed(measured: Path, uninstalled: None, cli: Cli) -> None:
    code, out, err = cli("report", str(measured))
    assert (code, err) == (0, "")
    assert "sides off (lower is better)" in out
    assert cli("ls", "runs", str(measured))[1].splitlines()[1].split()[1] == "finished"
    told = "this run's metric 'sides_off' belongs to a package that is not installed here: install it"
    assert cli("bound", str(measured))[::2] == (2, f"intrinsic: {told}\n")
    code, _, err = cli(*MEASURE, "--output-dir", str(measured))
    assert code == 2
    assert "unknown projection 'pairs'" in err


def test_a_record_is_read_where_the_package_is_broken_by_now(
    measured: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    def broken(self: object, entry: object) -> object:
        raise SpecError("it is broken")

    monkeypatch.setattr("intrinsic.plugins.Registry._load", broken)
    monkeypatch.setattr(METRICS, "_loaded", {})
    assert cli("report", str(measured))[0] == 0


# ------------------------------------------------------------------------- a comparison


def test_a_comparison_takes_their_letter_alias_list_and_budget(compared: Path) -> None:
    result = read_comparison(compared)
    contenders = {c.label: c for c in result.run.spec.contenders}
    assert {label: (c.method.name, c.sizes) for label, c in contenders.items()} == {
        "full": ("full", ()),
        "shift:kinds=linear+norm": ("shift", (1, 8)),
        "wide-shift:scale=1": ("shift", (2, 4)),
        "centred": ("centred", ()),
        "shift": ("shift", (1, 16)),  # the head's 196 and 1 or 16 shared numbers
    }
    assert dict(contenders["wide-shift:scale=1"].method.options)["kinds"] == ("linear", "norm")
    assert contenders["shift"].rates == (0.03,)


def test_a_comparison_knows_that_lower_is_better(compared: Path) -> None:
    result = read_comparison(compared)
    outcome, full = result.result, result.result.rows[0]
    assert full.mean is not None
    assert outcome.target == pytest.approx(0.1 * outcome.chance + 0.9 * full.mean)
    assert full.mean < outcome.target < outcome.chance
    for found in outcome.smallest:
        assert (found.search.d is not None) == (found.search.status in ("found", "met-at-lowest"))
        at = [p for p in found.search.points if p.d == found.search.d and p.score is not None and not p.first_look]
        if at and "though the mean" not in found.search.message:
            assert fmean(p.score for p in at if p.rate_factor == at[-1].rate_factor) <= outcome.target  # type: ignore[misc]
    assert any(found.search.d is not None for found in outcome.smallest)


def test_the_comparisons_report_says_so(compared: Path, cli: Cli) -> None:
    for path in compared.glob("*.[mtc]*"):
        path.unlink()
    code, out, _ = cli("report", str(compared))
    assert code == 0
    assert "sides off (lower is better)" in out
    text, latex = ((compared / f"comparison.{kind}").read_text() for kind in ("md", "tex"))
    assert "stays above" in text
    assert "stays below" not in text
    assert "| shift:kinds=linear+norm g=1 |" in text
    captions = [part.split("\\label")[0] for part in latex.split("\\caption")[1:]]
    about_scores = [told for told in captions if "scores, and" in told or "smallest" in told or "differences" in told]
    assert len(about_scores) == 3
    assert all("lower is better" in told or "less is better" in told for told in about_scores)
    for name in ("comparison.csv", "smallest.csv"):
        assert {row["better"] for row in rows_of(compared / name)} == {"lower"}


def test_without_a_search_a_comparison_asks_for_no_target(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intrinsic.trial.profile.SECONDS", 0.01)
    settings = ("--steps", "5", "--seeds", "1", "--baseline-rates", "1e-2", "--methods", "centred", "--output-dir", "o")
    code, out, err = cli("compare", *TASK, "--model", "outsider-small", *settings)
    assert (code, err) == (0, "")
    assert "target" not in out


# ------------------------------------------------------------------------- bounds


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that measures another package's method on a task with classes."""
    made: dict[str, Path] = {}

    def measure(of: str) -> Path:
        if of not in made:
            made[of] = tmp_path_factory.mktemp("classified") / "out"
            of_theirs = ("--model", "outsider-wide", "--projection", "pairs", "--of", of)
            run("measure", "--task", "digits", *of_theirs, *SHORT, *GRID, "--output-dir", str(made[of]))
        return made[of]

    return measure


def test_their_method_on_a_task_with_classes_is_bounded(classified: Callable[[str], Path], cli: Cli) -> None:
    folder = classified("shift:g=2")
    code, out, err = cli("bound", str(folder), "--count")
    assert (code, err) == (0, "")
    assert "DID of shift (groups=2), pairs projection" in " ".join(out.split())
    bounds = [row for row in rows_of(folder / "bounds.csv") if row["kind"] == "bound" and row["errors"]]
    assert {row["d"] for row in bounds} == {"8", "32"}
    assert all(float(row["value"]) > int(row["errors"]) / int(row["samples"]) for row in bounds)


def test_their_problem_is_not_bounded(measured: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for more in ((), ("--count",)):
        code, out, err = cli("bound", str(measured), *more)
        assert (code, out) == (2, "")
        assert err == (
            "intrinsic: these bounds are on the share of wrong answers, and this run's metric is sides_off: choose a "
            "run on a task whose answers are right or wrong\n"
        )
    forgotten = replace(METRICS["sides_off"], counts_errors=True)
    monkeypatch.setitem(METRICS._loaded, "sides_off", forgotten)
    code, out, err = cli("bound", str(measured))
    assert (code, out) == (2, "")
    assert "task 'squares' asks for grades in an order, which are not right or wrong one by one" in err


def test_answers_that_depend_on_their_batch_are_not_bounded(classified: Callable[[str], Path], cli: Cli) -> None:
    code, _, err = cli("bound", str(classified("centred")), "--count")
    told = "the answers of method 'centred' depend on the other examples of their batch"
    assert code == 2
    assert err.startswith(f"intrinsic: {told}")
    from intrinsic.trial.risk import count_errors

    task, model = TaskSpec(name="digits"), ModelSpec(name="outsider-small")
    with pytest.raises(SpecError, match=told):
        count_errors(
            TrialSpec(task=task, model=model, method=MethodSpec(name="centred"), optim=OptimSpec(steps=1)), (32,)
        )


# ------------------------------------------------------------------------- an artefact


def fresh() -> object:
    spec = ModelSpec(name="outsider-wide", layers=2)
    return load_model(spec, num_labels=5, problem="grades", kind="vision", input_shape=(1, 8, 8), seed=0)


def test_what_their_method_trained_is_saved_reloaded_and_merged(tmp_path: Path) -> None:
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    trained = attach(fresh(), SHIFT, SeedSpec())  # type: ignore[arg-type]
    with torch.no_grad():
        for number, parameter in enumerate(trained.parameters(), 1):
            parameter.add_(0.1 * number)
        expected = trained.model(pixel_values=images).logits
        trained.save(tmp_path)
        again = reload(tmp_path, fresh())  # type: ignore[arg-type]
        assert torch.equal(again.model(pixel_values=images).logits, expected)
        torch.testing.assert_close(trained.merge()(pixel_values=images).logits, expected)
    assert again.parameters_trained - again.head_parameters == 2 * 2 * 3
    assert list(trained.model.state_dict()) == list(fresh().model.state_dict())  # type: ignore[attr-defined]

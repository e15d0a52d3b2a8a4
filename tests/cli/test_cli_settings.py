"""From flags, files and presets to settings: each flag arrives, a slip is one sentence, a dry run checks and tells."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from intrinsic_cli import main as command
from intrinsic_cli import measure as verb
from intrinsic_cli.flags import FLAGS
from intrinsic_cli.resolve import to_yaml
from typer.testing import CliRunner

from intrinsic.executor.base import EXECUTORS
from intrinsic.spec import PRESETS, MeasureSpec


def leaves(tree: dict, path: str = "") -> set[str]:
    return {
        leaf
        for key, value in tree.items()
        for leaf in (leaves(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}"})
    }


def test_every_setting_has_a_flag():
    flags = {flag.path for flag in FLAGS} | {"target.kind", "target.value", "optim.learning_rate"}
    assert leaves(MeasureSpec().model_dump()) | {"of"} == flags - {"target"}  # `of` is written where it is set


BAD = [
    (["measure", "--task", "mrcp"], r"unknown task 'mrcp'; available: .*; did you mean 'mrpc'\?"),
    (["measure", "--projection", "fasfood"], r"unknown projection 'fasfood'; .* did you mean 'fastfood'\?"),
    (["measure", "--preset", "demon"], r"unknown preset 'demon'; available: demo, text, vision; did you mean 'demo'"),
    (["measure", "--preset", "demo", "--task", "digits"], r"--preset demo is for text tasks, but 'digits' is a vision"),
    (["measure", "--output-dir", ""], r"'--output-dir': expected a folder, got an empty name; leave the flag out"),
    (["measure", "--steps", "x"], r"--steps: input should be a valid integer, .*, got 'x'"),
    (["measure", "--steps", "0"], r"--steps: input should be greater than or equal to 1, got '0'"),
    (["measure", "--steps", "3", "--epochs", "2"], r"set exactly one of epochs and steps, got 2.0 and 3"),
    (["measure", "--policy", "bst"], r"--policy: input should be 'last' or 'best', got 'bst'; did you mean 'best'\?"),
    (["measure", "--policy", "best"], r"policy 'best' needs eval_every"),
    (["measure", "--target", "glob"], r"--target: input should be 'own', .* did you mean 'global'\?"),
    (["measure", "--target", "global"], r"--target: a value goes with target 'global' .* --target global:0.95"),
    (["measure", "--target", "own:3"], r"--target: a value goes with target 'global' and only with it"),
    (["measure", "--fraction", "1.5"], r"--fraction: input should be less than or equal to 1, got '1.5'"),
    (["measure", "--low", "9", "--high", "3"], r"the bracket needs low < high, got 9 and 3"),
    (["measure", "--subspace-rates", "1e-3,no"], r"--subspace-rates: input should be a valid number, .* got 'no'"),
    (["measure", "--subspace-rates", "1e-3,-1"], r"--subspace-rates: input should be greater than 0, got '-1'"),
    (["measure", "--target", "global:x"], r"--target: input should be a valid number, .* got 'x'"),
    (["measure", "--target", "global:nan"], r"--target: input should be a finite number, got 'nan'"),
    (["measure", "--target", "global:90"], r"0.9 x 90 = 81, which no training can reach: .* --target global:0.95"),
    (["measure", "--weight-decay", "inf"], r"--weight-decay: input should be a finite number, got 'inf'"),
    (["measure", "--clip", "inf"], r"--clip: input should be a finite number, got 'inf'"),
    (["measure", "--epochs", "inf"], r"--epochs: input should be a finite number, got 'inf'"),
    (["measure", "--resolution", "inf"], r"--resolution: input should be a finite number, got 'inf'"),
    (["measure", "--did", "--lambdas", "tensor"], r"DID \(--did\) has none: expected 'layer', got 'tensor'; leave"),
    (["measure", "--search", "grid", "--guard-rates", "4"], r"--search grid .* guards none: got .* leave --guard-rate"),
    (["measure", "--grid", "4,8", "--low", "4"], r"--grid names the dimensions .*, so --low 4 would change nothing: l"),
    (["measure", "--search", "grid", "--grid", "4,8", "--resolution", "2"], r"so --resolution 2 would change nothing"),
    (["measure", "--task", "digits", "--max-length", "64"], r"'digits' has images and takes no max_length \(got 64\)"),
    (["measure", "--task", "mrpc", "--text-columns", "a"], r"'mrpc' has its own data and takes no text_columns"),
    (["measure", "--task", "digits", "--layers", "2"], r"'mlp' takes no layers \(got 2, expected None\): leave it out"),
    (["measure", "--task", "mrpc", "--model", "lenet"], r"'lenet' is for vision and the task is text; try minilm"),
    (["measure", "--task", "digits", "--high", "9999999"], r"the bracket .* at most D = 55210, .* got 9999999"),
    (["measure", "--task", "mnist", "--data-dir", "."], r"no idx files in \.: expected train-images-idx3-ubyte\[.gz\]"),
    (["measure", "--task", "files", "--data-dir", "no.csv"], r"no.csv does not exist; data_dir is a file or a folder"),
    (["measure", "--model", "./no"], r"there is no folder './no'; expected a folder with a model, a Hub name, or one"),
    (
        ["measure", "--baseline-rates", "none"],
        r"baseline_rates and subspace_rates need one rate or more each, got none",
    ),
    (["measure", "--high", "1" + "0" * 400], r"--high: input should be less than 9223372036854775808"),
    (["measure", "--splits", "train"], r"--splits: expected TRAIN,EVAL, got 'train'"),
    (["measure", "--splits", "a,b,c"], r"--splits: expected TRAIN,EVAL, got 'a,b,c'"),
    (["measure", "--model", "a b/c"], r"unknown model 'a b/c'; available: lenet, minilm"),
    (["measure", "--config", "absent.yaml"], r"cannot read the configuration absent.yaml: No such file"),
    (["measure", "--jobs", "0"], r"--jobs.*1; see intrinsic measure --help"),
    (["measure", "--taks", "mrpc"], r"No such option: --taks .*--task.*; see intrinsic measure --help"),
    (["mesure"], r"No such command 'mesure'. Did you mean 'measure'\?"),
    (["report"], r"Missing argument 'DIR'; see intrinsic report --help"),
    (["report", "absent"], r"no measurement at absent/result.json: .*intrinsic measure"),
    (["ls", "tasks", "runs"], r"a folder goes with `intrinsic ls runs` and only with it, got 'runs': leave it out"),
    (["ls", "runs", "absent"], r"no folder absent to look for runs in"),
]


@pytest.mark.parametrize(("args", "sentence"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_input_is_one_sentence_and_exit_code_2(cli, args, sentence):
    code, out, err = cli(*args, *(["--dry-run"] if args[0] == "measure" else []))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert re.search(sentence, err), err


CONFIGS = [
    ("task: {name: mrpc, limitt: 5}", r"unknown setting in `task` 'limitt'; available: .*; did you mean 'limit'\?"),
    ("tsk: 3", r"unknown setting 'tsk'; available: .*; did you mean 'task'\?"),
    ("- a", r"must be a mapping such as --dry-run prints, got list"),
    ("", r"must be a mapping such as --dry-run prints, got nothing"),
    ("a: [", r"is not YAML \(while parsing"),
    ("optim: {learning_rate: 3e-4}", r"chooses its learning rates: set baseline_rates and subspace_rates"),
    ("optim: {steps: -3}", r"--steps: input should be greater than or equal to 1, got -3 \(configuration c.yaml\)"),
    ("task: mrpc", r"task: expected a mapping of settings \(name, data_dir, .*\), got 'mrpc'"),
]


@pytest.mark.parametrize(("text", "sentence"), CONFIGS)
def test_a_bad_configuration_is_one_sentence(cli, tmp_path, text, sentence):
    (tmp_path / "c.yaml").write_text(text)
    code, out, err = cli("measure", "--config", "c.yaml", "--dry-run")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(sentence, err), err


@pytest.fixture
def unchecked(monkeypatch):
    """Dry runs of settings whose data and models need not be here."""
    monkeypatch.setattr(verb, "check_start", lambda spec: ())


@pytest.fixture
def dry(cli, unchecked):
    """dry(*args) -> the settings that a dry run prints."""

    def call(*args: str) -> MeasureSpec:
        code, out, err = cli("measure", "--dry-run", *args)
        assert (code, err) == (0, "")
        return MeasureSpec.model_validate(yaml.safe_load(out))

    return call


def test_no_flags_is_the_demo(dry):
    assert dry() == PRESETS["demo"]


def test_a_seed_alone_stays_the_demo(dry):
    assert dry("--seed", "3") == PRESETS["demo"].model_copy(update={"seed": 3})


@pytest.mark.parametrize("flags", [("--task", "mrpc"), ("--model", "org/some-model"), ("--task", "rotten-tomatoes")])
def test_naming_a_task_or_a_model_leaves_the_demo(dry, flags):
    spec = dry(*flags)
    assert (spec.model.layers, spec.task.limit, spec.task.max_length) == (None, None, 128)
    assert spec.optim == PRESETS["text"].optim


@pytest.mark.parametrize(
    ("flags", "task", "model"),
    [
        (("--task", "mnist", "--model", "lenet"), "mnist", "lenet"),
        (("--task", "mnist"), "mnist", "mlp"),
        (("--model", "vit-tiny"), "digits", "vit-tiny"),
    ],
)
def test_vision_has_its_own_settings(dry, flags, task, model):
    spec = dry(*flags)
    assert (spec.task.name, spec.model.name) == (task, model)
    assert spec.optim == PRESETS["vision"].optim
    assert not spec.structure_aware


def test_a_preset_can_be_asked_for(dry):
    spec = dry("--preset", "demo", "--task", "sst2")
    assert (spec.task.name, spec.task.limit, spec.model.layers) == ("sst2", 6000, 1)


EVERY_FLAG = """
    --task files --data-dir d --text-columns a,b --label-column y --splits t,v --regression
    --limit 7 --eval-limit none --max-length 9 --model m --revision r --layers 3 --pooling cls
    --trust-remote-code --projection hashed --lambdas tensor --head free
    --parameters no-embeddings --baseline-rates 1e-4 --subspace-rates 1e-3,2e-3 --baseline-seeds 2
    --optimizer sgd --weight-decay 0.1 --schedule cosine --warmup 0.2 --clip none --steps 11
    --batch-size 4 --eval-batch-size 5 --accumulate 6 --precision bf16 --eval-every 8 --policy best
    --fraction 0.8 --target global:0.99 --search grid --low 2 --high 20 --resolution 2
    --seeds 4 --guard-rates none --max-trials 12 --confidence 0.9 --seed 5
"""


CLASHING = "--did --grid 2,4"
"""What makes some of the flags above idle."""


def test_every_flag_reaches_its_setting(dry):
    spec, other = dry(*shlex.split(EVERY_FLAG)), dry(*shlex.split(CLASHING))
    usual = PRESETS["text"].model_dump()
    wanted = leaves(usual) - {"optim.learning_rate", "optim.epochs", "task.eval_limit"}
    missed = {path for path in wanted if at(spec.model_dump(), path) == at(usual, path)}
    assert missed == {"structure_aware", "search.grid"}
    assert (other.structure_aware, other.search.grid) == (False, (2, 4))
    assert spec.target.model_dump() == {"kind": "global", "fraction": 0.8, "value": 0.99}
    assert spec.search.guard_rates == ()
    assert spec.optim.clip is None
    assert spec.optim.epochs is None


def at(tree: dict, path: str) -> object:
    for key in path.split("."):
        tree = tree[key]
    return tree


def test_flags_lie_on_top_of_the_file_and_the_file_on_the_preset(dry, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "task: {name: sst2, limit: 50}\noptim: {steps: 9, precision: no}\ntarget: {kind: global, value: 0.7}\n"
    )
    spec = dry("--config", "c.yaml", "--limit", "60")
    assert (spec.task.name, spec.task.limit, spec.optim.steps, spec.optim.epochs) == ("sst2", 60, 9, None)
    assert (spec.optim.precision, spec.target.value, spec.model.layers) == ("no", 0.7, None)
    spec = dry("--config", "c.yaml", "--epochs", "2", "--target", "own")
    assert (spec.optim.steps, spec.optim.epochs, spec.target.kind, spec.target.value) == (None, 2, "own", None)


@pytest.mark.parametrize(
    "flags", [(), ("--task", "mnist", "--model", "lenet", "--target", "global:1", "--grid", "3,5")]
)
def test_dry_run_output_is_a_configuration(cli, unchecked, tmp_path, flags):
    _, out, _ = cli("measure", "--dry-run", *flags)
    (tmp_path / "again.yaml").write_text(out)
    assert out.splitlines()[2].startswith("# expected: ")
    code, again, _ = cli("measure", "--dry-run", "--config", "again.yaml")
    assert code == 0
    assert yaml.safe_load(again) == yaml.safe_load(out)
    assert list(tmp_path.iterdir()) == [tmp_path / "again.yaml"], "a dry run writes nothing"


def test_a_dry_run_checks_and_says_what_it_could_not_check(cli, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"some text {i},{i % 2}\n" for i in range(20)))
    code, out, _ = cli("measure", "--dry-run", "--task", "digits", "--model", "mlp")
    assert code == 0
    assert "not checked" not in out
    code, out, err = cli("measure", "--dry-run", "--task", "files", "--data-dir", "a.csv", "--model", "org/absent")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if "not checked" in line] == [
        "# not checked: the model 'org/absent', which comes from the Hub, and whether the dimensions suit it"
    ]
    yaml.safe_load(out)
    (tmp_path / "b.csv").write_text("text,label\na,0\nb,nan\n")
    code, out, err = cli("measure", "--dry-run", "--task", "files", "--data-dir", "b.csv", "--model", "org/absent")
    assert (code, out) == (2, "")
    assert "the label is NaN" in err
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "b.csv"}, "a dry run writes nothing"


@pytest.mark.parametrize(
    "flags",
    ["--task digits --high 9999999", "--task mnist --data-dir .", "--task digits --precision fp16", "--model ./no"],
)
def test_a_refused_command_leaves_no_run_behind(cli, tmp_path, flags):
    if "fp16" in flags and torch.cuda.is_available():
        pytest.skip("fp16 works on a GPU")
    code, _, err = cli("measure", *flags.split())
    assert code == 2
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["measure", "compare"])
@pytest.mark.parametrize(
    ("flags", "told"),
    [("--executor nope", "unknown executor 'nope'; available: here, "), ("--executor here --jobs 2", "got jobs=2")],
)
def test_a_dry_run_refuses_an_executor_that_a_run_would_refuse(cli, tmp_path, verb, flags, told):
    code, out, err = cli(verb, "--dry-run", "--task", "digits", "--model", "mlp", *flags.split())
    assert (code, out) == (2, "")
    assert told in err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_starts_no_executor_of_another_package(cli, monkeypatch):
    made = []
    monkeypatch.setattr(EXECUTORS, "is_own", lambda name: False)
    monkeypatch.setattr("intrinsic_cli.running.make_executor", lambda *given: made.append(given))
    assert cli("measure", "--dry-run", "--task", "digits", "--model", "mlp", "--executor", "here")[0] == 0
    assert made == []


def test_ls_of_a_folder_that_may_not_be_read_is_one_sentence(cli, monkeypatch):
    # The superuser may look anywhere, so the answer of the operating system is made up here.
    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", closed)
    code, out, err = cli("ls", "runs", ".")
    assert (code, out) == (2, "")
    assert err == "intrinsic: cannot read . (Permission denied): choose a directory that you have the rights for\n"


def test_jobs_tell_what_a_worker_costs(cli):
    expected = cli("measure", "--dry-run", "--task", "digits", "--model", "mlp", "--jobs", "3")[1].splitlines()[2]
    assert expected.endswith("3 at a time after about 12 s to start the workers")
    out = CliRunner().invoke(command.app, ["measure", "--help"], env={"COLUMNS": "300"}).output
    assert "in N worker processes; each takes about 12 s to start" in out


def test_the_output_folder_is_named_after_task_model_and_method(cli, unchecked):
    for flags, name in [
        ((), "runs/rotten-tomatoes-minilm-said"),
        (("--task", "mrpc", "--model", "org/big model", "--did"), "runs/mrpc-org-big-model-did"),
        (("--task", "mrpc", "--model", "/models/x-base/"), "runs/mrpc-x-base-said"),
        (("--task", "files", "--data-dir", "/d/reviews.csv"), "runs/reviews.csv-minilm-said"),
    ]:
        assert cli("measure", "--dry-run", *flags)[1].splitlines()[1] == f"# output in {name}"


def test_yaml_of_any_spec_reads_back():
    for spec in PRESETS.values():
        assert MeasureSpec.model_validate(yaml.safe_load(to_yaml(spec))).id == spec.id

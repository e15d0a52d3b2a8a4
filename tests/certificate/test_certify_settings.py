"""What `certify` may be asked: the grid and its hash, flags over files over defaults, and slips in one sentence."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from intrinsic_cli.certify import FLAGS, resolve
from paths import ROOT

from intrinsic.certificate.record import read_certificate, to_text
from intrinsic.certificate.spec import CertifySpec, Grid, Setting
from intrinsic.errors import SpecError
from intrinsic.spec import ModelSpec, TaskSpec


def test_the_grids_hash_notices_every_field_but_where_the_data_lie():
    base = Grid()
    others = [
        Grid(seed=1),
        Grid(seeds=2),
        Grid(delta=0.01),
        Grid(random_labels=True),
        Grid(model=ModelSpec(name="lenet")),
        Grid(task=TaskSpec(name="mnist")),
        Grid(settings=(Setting(network="gabor"), Setting(network="gabor", projection="fastfood"))),
    ]
    assert len({base.sha256, *(other.sha256 for other in others)}) == 1 + len(others)
    assert Grid(task=TaskSpec(name="digits", data_dir="somewhere")).sha256 == base.sha256


def test_flags_lie_over_the_file_and_the_file_over_the_defaults(tmp_path):
    page = tmp_path / "page.yaml"
    settings = "[{network: gabor}, {hidden: 0}]"
    page.write_text(f"spec: {{dims: [7], bit_weights: [1.5], grid: {{seeds: 4, settings: {settings}}}}}")
    spec = resolve({"dims": ["9"], "grid": {"settings": {"projection": "fastfood"}}}, page)
    assert (spec.dims, spec.bit_weights, spec.kinds, spec.grid.seeds) == ((9,), (1.5,), (3,), 4)
    assert [(s.network, s.projection) for s in spec.grid.settings] == [("gabor", "fastfood"), ("plain", "fastfood")]


def test_steps_in_a_file_take_the_place_of_the_usual_epochs(tmp_path):
    page = tmp_path / "page.yaml"
    page.write_text("optim: {steps: 9, precision: no}")
    assert (resolve({}, page).optim.steps, resolve({}, page).optim.epochs) == (9, None)
    assert resolve({"optim": {"epochs": "2"}}, page).optim.steps is None


def test_the_help_names_the_defaults_of_the_spec(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = cli("certify", "--help")
    assert code == 0
    told = " ".join(out.replace("│", " ").split())
    for flag, default in (("--dims", "500"), ("--levels", "3"), ("--bit-weights", "4"), ("--said", "--did")):
        assert re.search(rf"{flag} .*?\[default: ([^]]*)\]", told)[1] == default
    assert all(flag.name.split("/")[0] in told for flag in FLAGS)


EVERY_FLAG = """
    --task mnist --data-dir d --limit 7 --model lenet --network gabor --hidden 2 --projection dense --said --dims 9,10
    --levels 2,4 --bit-weights 1,2.5 --learning-rate 0.1 --epochs 3 --seeds 4 --seed 5 --delta 0.1 --random-labels
"""


def test_every_flag_reaches_its_setting_and_a_dry_run_prints_them_all_as_a_configuration(cli, tmp_path):
    code, out, _ = cli("certify", "--dry-run", *shlex.split(EVERY_FLAG))
    assert code == 0
    (tmp_path / "again.yaml").write_text(out)
    assert cli("certify", "--dry-run", "--config", "again.yaml")[1] == out
    assert list(tmp_path.iterdir()) == [tmp_path / "again.yaml"], "a dry run writes nothing"
    spec = CertifySpec.model_validate(yaml.safe_load(out))
    assert f"# grid {spec.grid.sha256}: 1 setting, 4 seeds" in out
    assert [flag.name for flag in FLAGS if at(spec, flag.path) == at(CertifySpec(), flag.path)] == []
    assert (spec.grid.seeds, spec.grid.settings[0].hidden, spec.bit_weights) == (4, 2, (1.0, 2.5))


def at(spec, path):
    for name in path.split("."):
        spec = getattr(spec[0] if isinstance(spec, tuple) else spec, name)
    return spec


@pytest.mark.parametrize("page", sorted((ROOT / "experiments").glob("*-certificate.yaml")), ids=lambda page: page.stem)
def test_the_pages_and_certificates_that_exist_are_read_and_written_as_they_are(page):
    told = yaml.safe_load(page.read_text())["spec"]
    assert resolve({}, page).model_dump(mode="json", exclude={"data_dir"}) == told
    path = ROOT / "experiments" / "results" / page.stem / "certificate.json"
    assert to_text(read_certificate(path)) == path.read_text()
    assert read_certificate(path).grid.sha256 == resolve({}, page).grid.sha256


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rates: [1.0]", r"the weights of the bits are called bit_weights, no longer rates: rename .* \(conf"),
        ("grid: {sets: []}", r"unknown setting in `grid` 'sets'; available: .*; did you mean 'settings'\?"),
        ("grid: {settings: [{netwrk: gabor}]}", r"in `grid.settings` 'netwrk'; available: .* mean 'network'\?"),
        ("grid: {settings: [7]}", r"grid.settings: expected a mapping of settings \(network, hidden, .*\), got 7"),
        ("grid: {settings: 7}", r"grid.settings: input should be a valid tuple, got 7"),
        ("grid: {seeds: '2'}", r"--seeds: input should be a valid integer, got '2'"),
        ("dims: {a: 1}", r"--dims: input should be a valid tuple, got \{'a': 1\}"),
        ("optim: {policy: bst}", r"optim.policy: input should be 'last' or 'best', got 'bst'; did you mean 'best'\?"),
    ],
)
def test_a_bad_configuration_is_one_sentence(tmp_path, text, sentence):
    page = tmp_path / "page.yaml"
    page.write_text(text)
    with pytest.raises(SpecError, match=sentence) as error:
        resolve({}, page)
    assert "\n" not in str(error.value)


def test_the_command_counts_its_grid_in_words(cli):
    words = ["certify", "--network", "gabor", "--dims", "20", "--epochs", "1"]
    code, out, _ = cli(*words)
    assert code == 0
    assert ": 1 setting, 1 seed, fixed now" in out
    assert ": 1 setting, 2 seeds, fixed now" in cli(*words, "--seeds", "2", "--output-dir", "two")[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dims", "0"], "--dims: input should be greater than or equal to 1, got '0'"),
        (["--dims", "x"], "--dims: input should be a valid integer"),
        (["--network", "resnet"], "--network: input should be 'plain', 'gabor' or 'embedding', got 'resnet'"),
        (["--levels", "1"], "--levels: input should be greater than or equal to 2, got '1'"),
        (["--bit-weights", "1,-1"], "--bit-weights: input should be greater than or equal to 0, got '-1'"),
        (["--rate", "4"], "No such option: --rate"),
        (["--seeds", "x"], "--seeds: input should be a valid integer, got 'x'"),
        (["--hidden", "8"], "hidden units belong to frozen features, got 8 with network 'plain'"),
        (["--delta", "2"], "--delta: input should be less than 1, got '2'"),
        (["--network", "embedding"], "is for text tasks"),
        (["--task", "stsb", "--data-dir", "nowhere"], "nowhere"),
        (["--dims", "100000"], "coordinates for this network"),
        (["--config", "absent.yaml"], "cannot read the configuration"),
    ],
)
def test_bad_settings_are_one_sentence(cli, words, told):
    code, _, err = cli("certify", *words)
    assert code == 2
    assert told in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--task digitz", "unknown task 'digitz'"),
        ("--task stsb", "which are not right or wrong one by one: choose a task with classes"),
        ("--task mrpc", "model 'mlp' is for vision and the task is text"),
        ("--model minilm", "model 'minilm' is for text and the task is vision"),
        ("--model ./no", "./no"),
        ("--network embedding", "network 'embedding' is for text tasks, 'digits' is a vision task"),
        ("--network gabor --task mrpc", "network 'gabor' is for vision tasks, 'mrpc' is a text task"),
    ],
)
def test_a_dry_run_gives_no_hash_of_a_grid_that_cannot_run(cli, words, told):
    code, out, err = cli("certify", "--dry-run", *words.split())
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1


def test_a_dry_run_says_that_a_model_of_the_hub_is_not_checked(cli):
    code, out, _ = cli("certify", "--dry-run", "--model", "org/absent")
    assert code == 0
    assert out.splitlines()[1] == "# not checked: the model 'org/absent', which comes from the Hub"
    assert "not checked" not in cli("certify", "--dry-run", "--network", "gabor", "--model", "org/absent")[1]

"""What `certify` may be asked: the grid and its hash, flags over files over defaults, and slips in one sentence."""

from __future__ import annotations

import pytest
from intrinsic_cli.certify import resolve

from intrinsic.certificate.spec import Grid, Setting
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
    page.write_text("spec: {dims: [7], rates: [1.5], grid: {seeds: 4, settings: [{network: gabor}, {hidden: 0}]}}")
    spec = resolve({"dims": ["9"], "grid": {"settings": {"projection": "fastfood"}}}, page)
    assert (spec.dims, spec.rates, spec.kinds, spec.grid.seeds) == ((9,), (1.5,), (3,), 4)
    assert [(s.network, s.projection) for s in spec.grid.settings] == [("gabor", "fastfood"), ("plain", "fastfood")]


def test_the_help_names_the_defaults_of_the_spec(cli):
    code, out, _ = cli("certify", "--help")
    assert code == 0
    told = " ".join(out.replace("│", " ").split())
    for default in ("tried. Default: 500.", "Default: 3.", "Default: 4.", "Default: 0.05.", "data. Default: 8."):
        assert default in told


def test_the_command_counts_its_grid_in_words(cli):
    words = ["certify", "--network", "gabor", "--dims", "20", "--epochs", "1"]
    code, out, _ = cli(*words)
    assert code == 0
    assert ": 1 setting, 1 seed, fixed now" in out
    assert ": 1 setting, 2 seeds, fixed now" in cli(*words, "--seeds", "2", "--output-dir", "two")[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dims", "0"], "greater than or equal to 1"),
        (["--dims", "x"], "valid integer"),
        (["--network", "resnet"], "'plain', 'gabor' or 'embedding'"),
        (["--levels", "1"], "greater than or equal to 2"),
        (["--delta", "2"], "less than 1"),
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

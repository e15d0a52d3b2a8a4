"""`intrinsic bound` on a small measurement: tables, files, counting once, and one sentence for what cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from records_fake import measured
from test_cli import HEAVY, imported

FLAGS = (
    *("--task", "digits", "--model", "mlp", "--limit", "300", "--did", "--projection", "hashed", "--steps", "30"),
    *("--baseline-rates", "2e-3", "--baseline-seeds", "1", "--subspace-rates", "4e-2", "--low", "8", "--high", "64"),
    *("--resolution", "2", "--seeds", "2", "--guard-rates", "none"),
)


@pytest.fixture(scope="module")
def measured_run(tmp_path_factory) -> Path:
    from intrinsic_cli import main as command

    folder = tmp_path_factory.mktemp("bound") / "run"
    assert command.main(["measure", *FLAGS, "--output-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def folder(measured_run, tmp_path) -> Path:
    return Path(shutil.copytree(measured_run, tmp_path / "copy"))


def test_a_run_gets_its_bounds_without_training(cli, folder):
    trials = sorted((folder / "trials").iterdir())
    code, out, err = cli("bound", str(folder))
    assert (code, err) == (0, "")
    assert "For reference, the evaluation split alone bounds the error by" in " ".join(out.split())
    assert "≥" in out
    assert "What has to be true:" in out
    assert {p.name for p in folder.glob("bounds.*")} == {
        f"bounds.{k}" for k in ("md", "tex", "csv", "json", "png", "pdf")
    }
    assert sorted((folder / "trials").iterdir()) == trials
    assert not (folder / "errors").exists()


def test_counting_makes_bounds_of_floors_and_is_done_once(cli, folder):
    code, out, _ = cli("bound", str(folder), "--count", "--random-labels")
    told = " ".join(out.split())
    assert code == 0
    assert "≥ 0." not in out
    assert "every bound at d =" in told
    assert "On shuffled labels the least bound is" in told
    assert "as it must" in told
    record = json.loads((folder / "bounds.json").read_text())
    assert {row["kind"] for row in record["rows"]} == {"bound", "observed", "comparison", "not a bound", "shuffled"}
    before = {p: p.stat().st_mtime_ns for p in (folder / "errors").iterdir()}
    code, again, _ = cli("bound", str(folder), "--count", "--random-labels")
    assert code == 0
    assert {p: p.stat().st_mtime_ns for p in (folder / "errors").iterdir()} == before
    assert "counting errors: nothing left to count" in again
    assert json.loads((folder / "bounds.json").read_text()) == record


def test_a_certificate_of_the_same_data_stands_beside(cli, folder, tmp_path):
    settings = ("--task", "digits", "--dims", "20", "--levels", "3", "--epochs", "1", "--seeds", "1")
    assert cli("certify", *settings, "--limit", "300", "--output-dir", str(tmp_path / "cert"))[0] == 0
    shutil.copy(tmp_path / "cert" / "certificate.json", folder)
    code, out, _ = cli("bound", str(folder))
    claimed = json.loads((folder / "certificate.json").read_text())
    assert code == 0
    assert f"certificate claims {claimed['bound']:.4f} at delta 0.05 with {claimed['bits']} bits (d = 20)" in out
    row = next(r for r in json.loads((folder / "bounds.json").read_text())["rows"] if r["kind"] == "claimed")
    assert (row["value"], row["d"], row["bits"]) == (claimed["bound"], 20, claimed["bits"])
    other = claimed | {"hashes": claimed["hashes"] | {"data": "0" * 64}}
    (tmp_path / "other.json").write_text(json.dumps(other))
    code, _, err = cli("bound", str(folder), "--certificate", str(tmp_path / "other.json"))
    assert code == 2
    assert "speaks of other data than the run in" in err


def test_delta_changes_every_bound(cli, folder):
    cli("bound", str(folder))
    loose = json.loads((folder / "bounds.json").read_text())
    code, _, _ = cli("bound", str(folder), "--delta", "1e-9", "--output-dir", str(folder / "strict"))
    strict = json.loads((folder / "strict" / "bounds.json").read_text())
    assert code == 0
    pairs = [(a, b) for a, b in zip(loose["rows"], strict["rows"], strict=True) if a["kind"] in ("bound", "floor")]
    assert all(a["value"] < b["value"] for a, b in pairs)


def test_a_record_without_trials_has_bounds_but_nothing_to_count(cli, tmp_path):
    (tmp_path / "result.json").write_text(measured().model_dump_json())
    assert cli("bound", str(tmp_path))[0] == 0
    code, _, err = cli("bound", str(tmp_path), "--count")
    assert code == 2
    assert "to count errors the trials' records are needed" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bound", "nowhere"), "no measurement at nowhere/result.json"),
        (("bound", "{run}", "--delta", "0"), "delta must be a probability between 0 and 1, both excluded; got 0.0"),
        (("bound", "{run}", "--delta", "nan"), "delta must be a probability"),
        (("bound", "{run}", "--id", "0123"), "no measurement '0123'"),
        (("bound", "{run}", "--certificate", "none.json"), "there is no certificate at none.json"),
    ],
)
def test_what_cannot_be_is_one_sentence(cli, folder, arguments, says):
    code, _, err = cli(*(a.format(run=folder) for a in arguments))
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_bounds_load_no_torch(tmp_path):
    (tmp_path / "result.json").write_text(measured().model_dump_json())
    assert not imported(["bound", str(tmp_path)]) & HEAVY

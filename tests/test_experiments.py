"""What experiments/ claims is what its records hold, and every command in it is one that can be run."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
from pathlib import Path

import pytest
import yaml
from intrinsic_cli.certify import resolve as resolve_certify
from intrinsic_cli.resolve import resolve
from matplotlib import image
from paths import ROOT, experiment

from intrinsic.certificate.record import read_certificate
from intrinsic.certificate.verify import verify
from intrinsic.comparison import parse_contenders, written
from intrinsic.records import CompareResult, MeasureResult
from intrinsic.report.comparison.tables import csv_table, markdown
from intrinsic.report.curve import curve_csv

RESULTS, FIGURES = ROOT / "experiments" / "results", ROOT / "figures"


def read(page: Path) -> dict[str, object]:
    return yaml.safe_load(page.read_text())


def verb(page: Path) -> str:
    return shlex.split(str(read(page)["command"]))[1]


PAGES = sorted((ROOT / "experiments").glob("*.yaml"))
MEASURED = [page for page in PAGES if verb(page) == "measure"]
COMPARED = [page for page in PAGES if verb(page) == "compare"]
CERTIFIED = [page for page in PAGES if verb(page) == "certify"]
README = (ROOT / "experiments" / "README.md").read_text()


def test_there_are_experiments() -> None:
    assert MEASURED
    assert {verb(page) for page in PAGES} <= {"measure", "compare", "certify"}


@pytest.mark.parametrize("page", [*MEASURED, *COMPARED], ids=lambda p: p.stem)
def test_the_command_names_the_page_and_the_page_is_a_configuration(page: Path) -> None:
    words = shlex.split(str(read(page)["command"]))
    assert words[:4] == ["intrinsic", verb(page), "--config", f"experiments/{page.name}"]
    spec, _ = resolve({}, page, None, apart=("methods", "at") if page in COMPARED else ())
    settings = spec.model_dump(mode="json", exclude={"optim": {"learning_rate"}, "task": {"data_dir"}})
    told = dict(read(page)["spec"])  # type: ignore[call-overload]
    if page in COMPARED:
        methods = told.pop("methods")
        made = parse_contenders(",".join(methods), spec, search=told.pop("at") is not None)
        assert list(map(written, made)) == methods
    assert settings == told


@pytest.mark.parametrize("page", CERTIFIED, ids=lambda p: p.stem)
def test_a_certificate_is_what_its_page_says(page: Path) -> None:
    told, folder = read(page), RESULTS / page.stem
    assert str(told["command"]).startswith(f"intrinsic certify --config experiments/{page.name} ")
    spec = resolve_certify({}, page)
    assert spec.model_dump(mode="json", exclude={"data_dir"}) == told["spec"]
    made = read_certificate(folder / "certificate.json")
    assert made.grid == spec.grid
    assert made.hashes.grid == spec.grid.sha256
    message = (folder / "message.bin").read_bytes()
    assert made.hashes.message == hashlib.sha256(message).hexdigest()
    assert len(message) == -(-made.bits // 8)
    said = told["result"]
    assert isinstance(said, dict)
    assert (said["bound"], said["bits"], said["vacuous"]) == (made.bound, made.bits, made.is_vacuous)
    assert (said["train_errors"], said["test_errors"]) == (made.train.errors, made.test.errors)


def test_the_table_of_certificates_is_that_of_the_certificates() -> None:
    script = experiment("certificates")
    rows = [script.row(page) for page in CERTIFIED]
    assert (ROOT / "experiments" / "certificates.md").read_text() == script.markdown(rows)
    assert (FIGURES / "certificates.csv").read_text() == script.table(rows)


def test_no_name_is_cut_off_in_the_figure_of_certificates() -> None:
    script = experiment("certificates")
    drawn = image.imread(io.BytesIO(script.draw([script.row(page) for page in CERTIFIED])["certificates.png"]))
    assert (drawn[:, :3] == 1).all()
    assert (drawn[:, :80] < 1).any()


def test_the_caveat_of_dependent_examples_stands_beside_the_number() -> None:
    script = experiment("certificates")
    told = {row.task: line for row in map(script.row, CERTIFIED) for line in script.markdown([row]).splitlines()[6:7]}
    assert "**, were its examples independent |" in told["sst2"]
    assert "independent" not in told["mnist"]


def test_the_certificate_of_random_labels_is_verified_and_vacuous() -> None:
    verdict = verify(RESULTS / "digits-random-labels-certificate" / "certificate.json")
    assert verdict.is_valid, verdict.failures
    assert verdict.certificate.is_vacuous


@pytest.mark.parametrize("page", MEASURED, ids=lambda p: p.stem)
def test_the_result_is_the_records(page: Path) -> None:
    told = read(page)["result"]
    assert isinstance(told, dict)
    record = MeasureResult.model_validate(json.loads((RESULTS / f"{page.stem}.json").read_text()))
    assert told["d90"] == record.result.d90
    assert told["status"] == record.result.search.status
    assert told["trials"] == record.result.cost.trials
    assert told["measure_id"] == record.run.measure_id
    check_figure(page, curve_csv(record))
    assert page.stem in README


@pytest.mark.parametrize("page", COMPARED, ids=lambda p: p.stem)
def test_a_comparisons_result_is_the_records(page: Path) -> None:
    told = read(page)["result"]
    assert isinstance(told, dict)
    record = CompareResult.model_validate(json.loads((RESULTS / f"{page.stem}.json").read_text()))
    assert told["compare_id"] == record.run.compare_id
    assert told["trials"] == record.result.cost.trials
    assert [score[2] for score in told["scores"].values()] == [row.parameters_trained for row in record.result.rows]
    check_figure(page, csv_table(record))
    link = f"../figures/{page.stem}.png"
    assert page.with_suffix(".md").read_text() == markdown(record).replace("pareto.png", link), "write the tables again"
    assert page.stem in README


def check_figure(page: Path, numbers: str) -> None:
    for kind in ("png", "pdf", "csv"):
        assert (FIGURES / f"{page.stem}.{kind}").stat().st_size > 0
    assert (FIGURES / f"{page.stem}.csv").read_text() == numbers, "draw the figure again"

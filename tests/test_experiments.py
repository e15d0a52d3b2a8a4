"""What experiments/ claims is what its records hold, and every command in it is one that can be run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml
from intrinsic_cli.resolve import resolve

from intrinsic.records import MeasureResult
from intrinsic.report.curve import curve_csv

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "experiments").glob("*.yaml"))


def read(page: Path) -> dict[str, object]:
    return yaml.safe_load(page.read_text())


def test_there_are_experiments() -> None:
    assert PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_command_names_the_page_and_the_page_is_a_configuration(page: Path) -> None:
    words = shlex.split(str(read(page)["command"]))
    assert words[:4] == ["intrinsic", "measure", "--config", f"experiments/{page.name}"]
    spec, _ = resolve({}, page, None)
    assert (
        spec.model_dump(mode="json", exclude={"optim": {"learning_rate"}, "task": {"data_dir"}}) == read(page)["spec"]
    )


@pytest.mark.parametrize("page", [p for p in PAGES if "result" in read(p)], ids=lambda p: p.stem)
def test_the_result_is_the_records(page: Path) -> None:
    told = read(page)["result"]
    assert isinstance(told, dict)
    record = MeasureResult.model_validate(
        json.loads((ROOT / "experiments" / "results" / f"{page.stem}.json").read_text())
    )
    assert told["d90"] == record.result.d90
    assert told["status"] == record.result.search.status
    assert told["trials"] == record.result.cost.trials
    assert told["measure_id"] == record.run.measure_id
    for kind in ("png", "pdf", "csv"):
        assert (ROOT / "figures" / f"{page.stem}.{kind}").stat().st_size > 0
    assert (ROOT / "figures" / f"{page.stem}.csv").read_text() == curve_csv(record), "draw the figure again"
    table = (ROOT / "experiments" / "README.md").read_text()
    assert page.stem in table

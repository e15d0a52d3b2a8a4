"""What a notebook shows: the facts, every name escaped, and one figure that can be decoded."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from base64 import b64decode
from html.parser import HTMLParser

import pytest
from matplotlib import image
from paths import ROOT
from records_fake import measured
from test_report import HOSTILE, STATUSES, hostile

from intrinsic.records import CompareResult, MeasureResult
from intrinsic.report.comparison.tables import tables
from intrinsic.report.notebook import comparison, measurement
from intrinsic.report.tables import facts

ALONE = ("img",)
"""Elements without an end."""


class Page(HTMLParser):
    """The parsed page; every element that opens must close in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts += [data.strip()] if data.strip() else []


def compared() -> CompareResult:
    return CompareResult.model_validate_json(
        (ROOT / "experiments" / "results" / "mrpc-minilm4-compare-small.json").read_text()
    )


def pictures(page: Page) -> list[bytes]:
    sources = [str(attributes["src"]) for tag, attributes in page.elements if tag == "img"]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    return [b64decode(source.partition(",")[2], validate=True) for source in sources]


@pytest.mark.parametrize("status", STATUSES)
def test_a_measurement_shows_every_fact_and_one_figure(status):
    result = measured(status)
    page = Page(measurement(result))
    for name, value in facts(result):
        assert page.texts[page.texts.index(name) + 1] == value
    assert result.result.search.message in page.texts
    assert result.run.command in page.texts
    (picture,) = pictures(page)
    assert image.imread(io.BytesIO(picture), format="png").shape[1] == pytest.approx(3.4 * 150, abs=1)


def test_a_measurement_tells_the_dimension_its_interval_and_its_warnings():
    texts = Page(measurement(measured(open_end=True))).texts
    assert "512, 95 % interval [256, …)" in texts
    assert any(text.startswith("d90 of ") and text.endswith(": 512, 95 % interval [256, …)") for text in texts)
    assert "the target 0.5500 lies within 2 points of the chance level 0.5400" in texts


def test_hostile_names_stay_text():
    page = Page(measurement(hostile()))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in Page(measurement(measured())).elements}
    assert any(HOSTILE.replace("\n", " ") in text for text in page.texts)
    result, script = compared(), "<script>alert('x')</script>"
    base = result.run.spec.base
    base = base.model_copy(update={"model": base.model.model_copy(update={"name": script})})
    spec = result.run.spec.model_copy(update={"base": base})
    run = result.run.model_copy(update={"command": script, "spec": spec})
    told = result.result.model_copy(update={"warnings": (HOSTILE, script)})
    text = comparison(result.model_copy(update={"run": run, "result": told}))
    assert "<script" not in text
    assert HOSTILE.replace("\n", " ") in Page(text).texts


def test_a_comparison_shows_its_tables_and_one_figure():
    result = compared()
    page = Page(comparison(result))
    for heading, (header, rows) in tables(result):
        place = page.texts.index(heading) + 1
        cells = [cell for row in (header, *rows) for cell in row]
        assert page.texts[place : place + len(cells)] == cells
    assert len(pictures(page)) == 1
    assert sum(tag == "table" for tag, _ in page.elements) == 1 + len(tables(result))


def test_nothing_is_fetched_run_or_coloured():
    for text in (measurement(measured()), comparison(compared())):
        assert not re.search(r"https?:|<script|<link|<style|color:|background", text)
        assert len(text) < 300_000


def test_records_show_themselves_without_torch():
    code = (
        "import sys; sys.path.insert(0, 'tests')\nfrom records_fake import measured\n"
        "text = measured()._repr_html_()\nprint(text.startswith('<div>'), 'torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False"]
    assert MeasureResult.model_validate_json(measured().model_dump_json())._repr_html_() == measurement(measured())
    assert compared()._repr_html_() == comparison(compared())

"""What is said of a d90 that was not found, and how the LaTeX source reads."""

from __future__ import annotations

import re

import pytest
from records_fake import measured

from intrinsic.records import MeasureResult
from intrinsic.report import words
from intrinsic.report.curve import curve_csv
from intrinsic.report.tables import facts, latex, markdown


def never_met(low: float | None) -> MeasureResult:
    """Nothing reaches the target up to 4096; the interval's lower end lies at `low`."""
    result = measured("never-met")
    search = result.result.search.model_copy(update={"interval": (low, None)})
    return result.model_copy(update={"result": result.result.model_copy(update={"search": search})})


def test_never_met_tells_its_one_sided_interval():
    result = never_met(26.7)
    assert ("d90", "not reached up to 4096, 95 % interval [26, …)") in facts(result)
    assert r": not reached up to 4096, 95 % interval \[26, …)" in markdown(result).splitlines()[0]
    assert r"    $\ge$ 26 & {[}26, \ldots{}) \\" in latex(result)
    for text in (markdown(result), latex(result)):
        assert "above 4096" not in text
        assert r"\textgreater{} 4096" not in text


def test_never_met_without_a_lower_end_claims_none():
    result = never_met(None)
    assert ("d90", "not reached up to 4096") in facts(result)
    assert r"    -- & -- \\" in latex(result)


def test_never_met_names_the_largest_dimension_that_was_tried():
    result = never_met(26.7)
    points = tuple(p for p in result.result.search.points if p.d <= 724)
    search = result.result.search.model_copy(update={"points": points})
    outcome = result.result.model_copy(update={"search": search})
    assert words.dimension(outcome, result.run.spec) == "not reached up to 724, 95 % interval [26, …)"


def test_without_a_baseline_there_is_no_target():
    result = measured("no-baseline")
    assert result.result.search.target is None
    assert MeasureResult.model_validate_json(result.model_dump_json()).result.search.target is None
    assert "target" not in dict(facts(result))
    assert "\ntarget," not in curve_csv(result)
    assert "0.0000" not in latex(result)


@pytest.mark.parametrize("status", ["found", "met-at-lowest", "never-met", "not-monotone", "no-baseline"])
def test_latex_is_laid_out_as_by_hand(status):
    """Rows are indented with their table, symbols are in dollars, rules are those of booktabs."""
    text = latex(measured(status))
    body = re.findall(r"\\begin\{tabular\}.*?\n(.*?)  \\end\{tabular\}", text, re.DOTALL)
    assert len(body) == 2
    for lines in (block.splitlines() for block in body):
        assert all(line.startswith("    ") and not line.startswith("     ") for line in lines)
        assert [line for line in lines if "rule" in line] == [rf"    \{name}rule" for name in ("top", "mid", "bottom")]
        assert all(line.endswith((r"\\", "&", "rule")) for line in lines)
    assert r"\ensuremath" not in text
    assert r"0.9 $\times$ baseline" in text

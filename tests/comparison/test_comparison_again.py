"""A comparison that is repeated, and one whose full fine-tuning leaves nothing to compare with."""

from __future__ import annotations

import subprocess
import sys

import pytest
from comparisons import compared, profiler, runner, spec

from intrinsic import write_report
from intrinsic.comparison import compare
from intrinsic.report.comparison.notes import notes
from intrinsic.store import read_comparison

AGAIN = """
import sys
from intrinsic.comparison import compare
from intrinsic.store import read_comparison
before = read_comparison(sys.argv[1])
again = compare(before.run.spec, sys.argv[1])
assert again.result.rows == before.result.rows
sys.exit('torch' in sys.modules)
"""


@pytest.mark.parametrize("at", [None, 0.9])
def test_repeating_a_finished_comparison_loads_no_torch(tmp_path, at):
    compared("lora:r=1,8:lr=1e-3,probe:lr=4e-3", tmp_path, at)
    done = subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_damaged_record_is_made_again(tmp_path):
    first = compared("lora:r=1:lr=1e-3", tmp_path)
    for path in (tmp_path / "comparison.json", tmp_path / "comparisons" / f"{first.run.compare_id}.json"):
        path.write_text("{")
    assert compared("lora:r=1:lr=1e-3", tmp_path).result.rows == first.result.rows
    assert read_comparison(tmp_path).result.rows == first.result.rows


def without_full(trial, **more):
    """A runner under which full fine-tuning diverges."""
    made = runner(trial)
    if trial.method.name != "full":
        return made
    run = made.run.model_copy(update={"status": "diverged", "error": "loss is nan"})
    return made.model_copy(update={"run": run, "train": made.train.model_copy(update={"score": None})})


WHY = "nothing was searched for: no trial of full fine-tuning gave a score; the first ended as diverged: loss is nan"


def test_full_fine_tuning_without_a_score_leaves_a_record_that_says_so(tmp_path):
    asked = spec("lora:r=1,8:lr=1e-3,vera:r=1,8:lr=5e-4,1e-3,2e-3,probe:lr=4e-3", 0.9)
    result = compare(asked, tmp_path, runner=without_full, profiler=profiler)
    assert read_comparison(tmp_path) == result
    assert [(row.label, row.mean is None) for row in result.result.rows] == [("full", True), ("probe", False)]
    assert result.result.target is None
    found = [(one.label, one.search.status, one.search.d, one.search.points) for one in result.result.smallest]
    assert found == [("lora", "no-baseline", None, ()), ("vera", "no-baseline", None, ())]
    write_report(result, tmp_path)
    assert (tmp_path / "comparison.tex").exists()
    assert "Methods" in result._repr_html_()
    assert [note for note in notes(result) if WHY in note] == [f"lora: {WHY}", f"vera: {WHY}"]


def test_without_a_search_over_sizes_a_note_says_that_there_is_no_target(tmp_path):
    result = compare(spec("probe:lr=4e-3", 0.9), tmp_path, runner=without_full, profiler=profiler)
    assert result.result.smallest == ()
    assert WHY in notes(result)

"""Tables from canned records: right numbers, escaped names, sound LaTeX, atomic files."""

from __future__ import annotations

import csv
import io
import re

import pytest
from records_fake import RATE, measured

from intrinsic.errors import StoreError
from intrinsic.records import MeasureResult
from intrinsic.report import contents, words, write_report
from intrinsic.report.curve import curve_csv
from intrinsic.report.tables import by_dimension, facts, latex, markdown
from intrinsic.spec import PRESETS, ModelSpec, TaskSpec

STATUSES = ("found", "met-at-lowest", "never-met", "not-monotone", "no-baseline")
HOSTILE = r"[10%]_a&b\c{d}$e#f~g^h|i`j*k<l>" + '"m\nn'


def hostile() -> MeasureResult:
    spec = PRESETS["demo"].model_copy(update={"task": TaskSpec(name=HOSTILE), "model": ModelSpec(name=HOSTILE)})
    return measured(spec=spec)


def check_latex(text: str) -> None:
    """Balanced braces, environments and math; as many cells a row as columns; no bare special character."""
    bare = re.sub(r"(?m)(?<!\\)%.*$", "", text)
    depth = 0
    for token in re.findall(r"\\.|[{}]", bare):
        depth += {"{": 1, "}": -1}.get(token, 0)
        assert depth >= 0
    assert depth == 0
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        stack.append(name) if kind == "begin" else check_equal(stack.pop(), name)
    assert not stack
    assert len(re.findall(r"(?<!\\)\$", bare)) % 2 == 0
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", bare, re.DOTALL):
        body = re.sub(r"\\(top|mid|bottom)rule", "", body)
        rows = [row for row in re.split(r"\\\\(?!\w)", body) if row.strip()]
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1, row
            assert not row.lstrip().startswith(("[", "*")), "would be an argument of the line break before it"
    outside_math = re.sub(r"\$[^$]*\$", "", re.sub(r"\\.", "", bare))
    outside_math = re.sub(r"label\{[^}]*\}", "", outside_math)
    assert not re.search(r"[_^#~]", outside_math)


def check_equal(a: object, b: object) -> None:
    assert a == b


@pytest.mark.parametrize("status", STATUSES)
def test_latex_is_sound_for_every_status(status):
    check_latex(latex(measured(status)))


def test_latex_survives_hostile_names():
    text = latex(hostile())
    check_latex(text)
    escaped = r"{[}10\%{]}\_a\&b\textbackslash{}c\{d\}\$e\#f\textasciitilde{}g\textasciicircum{}h\textbar{}i`j*k"
    assert escaped in text


def test_markdown_survives_hostile_names():
    text = markdown(hostile())
    tables = [line for line in text.splitlines() if line.startswith("|")]
    for line in tables:
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        assert cells in (2, 6, 8), line
    assert "<l>" not in text
    assert text.count("\n# ") == 0
    assert text.startswith("# d90 of ")


def test_latex_table_tells_the_result():
    text = latex(measured())
    assert r"0.7750 $\pm$ 0.0013" in text
    assert r"512 & {[}256, 1024{]} \\" in text
    assert "12\\,345\\,678" in text
    assert r"$\le$ 4" in latex(measured("met-at-lowest"))


def test_markdown_tells_everything():
    result = measured(open_end=True)
    text = markdown(result)
    for expected in (
        "0.7750 ± 0.0013 (3 seeds), rate 0.0005",
        "0.6975 = 0.9 × baseline",
        r"512, 95 % interval \[256, …)",
        "0.0041 % of 12,345,678",
        "2,948 bytes",
        "**Warning.** the target 0.5500 lies within 2 points of the chance level 0.5400",
        "    intrinsic measure\n",
        "torch 2.13.0",
        f"Fingerprint of the data: {'ab' * 32}.",
    ):
        assert expected in text
    assert all(trial.trial_id in text for trial in result.result.trials)


def test_no_baseline_is_said_and_leaves_no_hole():
    text = markdown(measured("no-baseline"))
    assert "unknown (no baseline)" in text
    assert "None" not in text
    assert "nan" not in text


def test_scores_by_dimension_are_the_trials_means():
    result = measured()
    rows = by_dimension(result)
    trials = [t for t in result.result.trials if t.d == 1024 and t.learning_rate == RATE]
    row = next(r for r in rows if r.d == "1024" and r.rate == "0.004")
    assert row.trials == str(len(trials)) == "3"
    assert float(row.mean) == pytest.approx(sum(t.score for t in trials) / 3, abs=5e-5)
    assert row.reached == "yes"
    assert [int(r.d) for r in rows] == sorted(int(r.d) for r in rows)


def test_a_trial_without_a_score_is_counted_and_enters_no_mean():
    result = measured(seeds=1)
    trials = [
        t.model_copy(update={"status": "diverged", "score": None}) if t.role == "search" and t.d == 256 else t
        for t in result.result.trials
    ]
    failed = result.model_copy(update={"result": result.result.model_copy(update={"trials": tuple(trials)})})
    row = next(r for r in by_dimension(failed) if r.d == "256")
    assert (row.trials, row.mean, row.reached) == ("1 (1 failed)", "–", "–")


def test_scores_that_took_part_in_a_choice_enter_no_mean():
    def counts(result: MeasureResult) -> dict[tuple[str, str], str]:
        return {(row.d, row.rate): row.trials for row in by_dimension(result)}

    result = measured()
    like = next(t for t in result.result.trials if t.d == 1024)
    more = [{"role": "subspace-rate", "seed": 0}, {"role": "guard", "seed": 8, "first_look": True}]
    chosen = tuple(like.model_copy(update={"score": 1.0, **changes}) for changes in more)
    longer = result.result.model_copy(update={"trials": result.result.trials + chosen})
    assert counts(result.model_copy(update={"result": longer})) == counts(result)
    fresh = like.model_copy(update={"role": "guard", "seed": 9})
    longer = result.result.model_copy(update={"trials": (*result.result.trials, fresh)})
    assert counts(result.model_copy(update={"result": longer}))["1024", "0.004"] == "4"


def test_lower_is_better_reaches_from_above():
    result = measured(lower_is_better=True)
    reached = {int(r.d) for r in by_dimension(result) if r.reached == "yes" and r.rate == "0.004"}
    assert reached == {4096}
    assert ("metric", "mse (lower is better)") in facts(result)


def test_curve_csv_holds_every_number_exactly():
    result = measured()
    rows = list(csv.DictReader(io.StringIO(curve_csv(result))))
    by_series = {name: [r for r in rows if r["series"] == name] for name in {r["series"] for r in rows}}
    assert set(by_series) == {"chance", "baseline", "target", "d", "fit", "trial"}
    assert len(by_series["trial"]) == len(result.result.trials)
    assert [float(r["score"]) for r in by_series["fit"]] == [p.mean for p in result.result.search.fit]
    scores = {r["trial_id"]: r["score"] for r in by_series["trial"]}
    assert all(scores[t.trial_id] == ("" if t.score is None else repr(t.score)) for t in result.result.trials)
    drawn = {r["trial_id"]: r["mark"] for r in by_series["trial"]}
    assert {drawn[t.trial_id] for t in result.result.trials if t.role == "subspace-rate"} == {"pilot"}
    assert {drawn[t.trial_id] for t in result.result.trials if t.learning_rate == RATE} == {"in use"}
    assert {drawn[t.trial_id] for t in result.result.trials if t.d is None} == {""}
    assert (by_series["d"][0]["d"], by_series["d"][0]["low"], by_series["d"][0]["high"]) == ("512", "256.0", "1024.0")


def test_files_are_written_whole_and_named(tmp_path):
    result = measured()
    paths = write_report(result, tmp_path / "new")
    assert sorted(p.name for p in paths) == ["curve.csv", "curve.pdf", "curve.png", "result.md", "result.tex"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(p.name for p in paths)
    written = {p.name: p.read_bytes() for p in paths}
    expected = {k: v.encode() if isinstance(v, str) else v for k, v in contents(result).items()}
    assert written == expected


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cannot write to .*file .*choose a directory"):
        write_report(measured(), tmp_path / "file")


@pytest.mark.parametrize(
    ("share", "text"), [(0.000041, "0.0041 %"), (0.5, "50 %"), (0.0123, "1.2 %"), (3.2e-7, "0.000032 %"), (0, "0 %")]
)
def test_percent_has_two_digits_and_no_powers(share, text):
    assert words.percent(share) == text


@pytest.mark.parametrize(("seconds", "text"), [(4.21, "4.2 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_duration(seconds, text):
    assert words.duration(seconds) == text


def test_names_of_targets_models_and_files():
    assert words.short_name("/home/me/models/x-base") == "x-base"
    assert words.short_name("org/x-base") == "org/x-base"
    spec = PRESETS["text"].model_copy(update={"task": TaskSpec(name="files", data_dir="/data/reviews.csv")})
    assert words.task(spec) == "reviews.csv"
    assert words.target_rule(spec.target) == "0.9 × baseline"

"""Bounds from canned records: the numbers from the formulas written out again, what is paid, what is said."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest
from mpmath import mp, mpf
from records_fake import RATE, measured, row
from test_report import check_latex

from intrinsic.errors import SpecError
from intrinsic.records import ErrorCount, MeasureResult, TrialErrors, TrialResult, TrialRun, TrialTrain
from intrinsic.report.bounds import Material, contents, write_bounds
from intrinsic.report.bounds import rows as made
from intrinsic.report.bounds.price import WIDTHS, Function, choice_bits, code_bits, gamma_bits
from intrinsic.report.bounds.rows import (
    COMPARISON,
    TAIL,
    TEST_SET,
    THEOREM1,
    BoundRow,
    Claim,
    at,
    representatives,
    rows_of,
)
from intrinsic.report.bounds.tables import all_bounds, by_dimension, chosen_dimension, latex, markdown
from intrinsic.report.bounds.verdict import assumptions, best, findings, verdict
from intrinsic.spec import TrialSpec

DELTA = 0.05


def run(**changes: object) -> MeasureResult:
    """Scores that are counts of right answers among 1,066, as accuracy is."""
    result = measured()
    trials = [
        t.model_copy(update={"score": None if t.score is None else round(t.score * 1066) / 1066})
        for t in result.result.trials
    ]
    return result.model_copy(update={"result": result.result.model_copy(update={"trials": tuple(trials), **changes})})


def counted(result: MeasureResult, errors: dict[int, int], **changes: object) -> dict[str, TrialErrors]:
    """Of every representative the same errors: bits -> training errors."""
    made = {}
    for trial in representatives(result):
        made[trial.trial_id] = TrialErrors(
            trial_id=trial.trial_id,
            spec=TrialSpec(),
            num_train=6000,
            num_eval=1066,
            coordinates=trial.d or 0,
            tensors=2,
            counts=tuple(ErrorCount(bits=b, train_errors=e, eval_errors=e // 5) for b, e in errors.items()),
            score=0.7,
            seconds=1.0,
        ).model_copy(update=changes)
    return made


def material(result: MeasureResult | None = None, errors: dict[int, int] | None = None) -> Material:
    result = result or run()
    return Material(result, {}, {} if errors is None else counted(result, errors), DELTA)


def paid_bits(d: int, width: int, index: int = 0) -> mpf:
    """By hand: the coordinates, 8 bits a tensor's scale, one of four widths, one of 17 dimensions, Elias gamma."""
    gamma = 2 * math.floor(math.log2(index + 1)) + 1
    return mpf(width * d) + (0 if width == 32 else 16) + 2 + mp.log(17, 2) + gamma


def test_theorem_1_is_its_formula_with_every_bit_paid():
    rows = rows_of(material(errors={32: 900, 16: 900, 4: 1200, 1: 2500}))
    for d in (4, 64, 1024):
        for width, errors in ((32, 900), (16, 900), (4, 1200), (1, 2500)):
            found = at(rows, THEOREM1, d, width)
            exact = mpf(errors) / 6000 + mp.sqrt((paid_bits(d, width) * mp.log(2) + mp.log(20)) / 12000)
            assert found is not None
            assert (found.kind, found.errors, found.samples) == ("bound", errors, 6000)
            assert exact <= mpf(found.value) <= exact * (1 + mpf("1e-12"))


def test_without_counts_only_the_least_a_bound_could_be_is_given():
    floors, full = rows_of(material()), rows_of(material(errors=dict.fromkeys(WIDTHS, 1)))
    assert {r.kind for r in floors} == {"floor", "bound", "observed", "not a bound"}
    assert {r.name for r in floors if r.kind == "bound"} == {TEST_SET}
    for floor in (r for r in floors if r.kind == "floor"):
        same = at(full, floor.name, floor.d, floor.width)
        assert same is not None
        assert same.kind == "bound"
        assert floor.value < same.value
        assert floor.bits == same.bits
    assert best(floors) is None


def test_no_bound_lies_below_the_binomial_tails():
    rows = rows_of(material(errors={32: 3, 16: 40, 4: 700, 1: 3000}))
    for d in (4, 256):
        for width in WIDTHS:
            tail = at(rows, TAIL, d, width)
            others = [r for r in rows if (r.d, r.width, r.kind) == (d, width, "bound") and r.name != TEST_SET]
            assert tail is not None
            assert len(others) == len(made.BOUNDS)
            assert all(tail.value <= r.value or math.isclose(tail.value, r.value, rel_tol=1e-12) for r in others)


def test_a_later_seed_costs_more():
    assert [gamma_bits(index) for index in range(8)] == [1, 3, 3, 5, 5, 5, 5, 7]
    assert sum(2.0 ** -gamma_bits(index) for index in range(2**14)) < 1  # Kraft
    result = run()
    first, fourth = (code_bits(result, Function(256, i, 256, 2), 4) for i in (0, 3))
    assert sum(fourth.values()) - sum(first.values()) == 4


def test_what_evaluation_chose_is_paid_for():
    """d of 17, seed index 0, one rate of a grid of one with two guards' factors, the best of eight checkpoints."""
    parts = choice_bits(run(), Function(256, 0, 256, 2, evaluations=8))
    assert parts["d of the grid"] == pytest.approx(math.log2(17))
    assert parts["seed index"] == 1
    assert parts["learning rate"] == pytest.approx(math.log2(3))
    assert parts["checkpoint"] == 3


def test_a_rate_from_a_grid_is_paid_for_in_the_order_of_the_pilots():
    """Grid (2, 4, 8) e-3; the third pilot's rate costs 3 bits, an extension one more for the end it went to."""
    result = run()
    spec = result.run.spec.model_copy(update={"subspace_rates": (2e-3, 4e-3, 8e-3)})
    pilots = [row("subspace-rate", 512, 0, rate, 0.7) for rate in (2e-3, 4e-3, 8e-3, 1.6e-2)]
    trials = (*pilots, *(t for t in result.result.trials if t.role != "subspace-rate"))

    def bits(chosen: float) -> float:
        outcome = result.result.model_copy(update={"subspace_learning_rate": chosen, "trials": trials})
        changed = result.model_copy(
            update={"run": result.run.model_copy(update={"spec": spec}), "result": outcome},
        )
        return choice_bits(changed, Function(256, 0, 256, 2))["learning rate"] - math.log2(3)

    assert [round(bits(rate), 9) for rate in (2e-3, 4e-3, 8e-3, 1.6e-2)] == [1, 3, 3, 6]


def test_the_test_set_bound_pays_for_the_choice():
    result = run()
    rows = rows_of(material(result))
    trial = next(t for t in representatives(result) if t.d == 512)
    found = at(rows, TEST_SET, 512)
    assert found is not None
    errors = round((1 - trial.score) * 1066)
    assert found.errors == errors
    share = mpf("0.05") * mpf(2) ** -(mp.log(17, 2) + 1 + mp.log(3, 2))
    p = mpf(found.value)
    tail = mp.betainc(1066 - errors, errors + 1, 0, 1 - p, regularized=True)
    assert share * (1 - mpf("1e-9")) <= tail <= share


def test_the_network_is_named_before_its_score():
    """Not the best of a dimension's seeds but the least index at the rate in use."""
    result = run()
    for trial in representatives(result):
        peers = [t for t in result.result.trials if t.d == trial.d and t.role == "search" and t.learning_rate == RATE]
        assert trial.seed == min(t.seed for t in peers if t.status == "ok")
    better = [
        t for t in result.result.trials for r in representatives(result) if t.d == r.d and (t.score or 0) > r.score
    ]
    assert better


def test_a_trial_that_ended_badly_does_not_stand_for_its_dimension():
    result = run()
    gone = next(t for t in representatives(result) if t.d == 64)
    trials = [
        t.model_copy(update={"status": "diverged", "score": None}) if t == gone else t for t in result.result.trials
    ]
    result = result.model_copy(update={"result": result.result.model_copy(update={"trials": tuple(trials)})})
    assert next(t.seed for t in representatives(result) if t.d == 64) == gone.seed + 1
    floor = at(rows_of(material(result)), THEOREM1, 64, 4)
    assert floor is not None
    assert floor.bits == pytest.approx(float(paid_bits(64, 4, index=1)))


def test_buffers_that_training_changed_leave_no_bound():
    result = run()
    errors = counted(result, dict.fromkeys(WIDTHS, 5), learned_buffers=("bn.running_mean", "bn.running_var"))
    there = Material(result, {}, errors, DELTA)
    rows = rows_of(there)
    assert {r.name for r in rows if r.kind == "bound"} == {TEST_SET}
    assert any("bn.running_mean" in told and "no bound from training data" in told for told in findings(there, rows))


def test_a_free_head_counts_or_there_is_no_bound():
    result = run()
    spec = result.run.spec.model_copy(update={"head": "free"})
    result = result.model_copy(update={"run": result.run.model_copy(update={"spec": spec})})
    rows = rows_of(material(result))
    assert {r.kind for r in rows} == {"not a bound"}
    assert any("how much was trained is not known" in told for told in findings(material(result), rows))
    trial = representatives(result)[0]
    known = TrialResult(
        run=TrialRun(trial_id=trial.trial_id, spec=TrialSpec(), status="ok", started="", seconds=1.0),
        train=TrialTrain(parameters_trained=4 + 592_130, scores={"accuracy": 0.5}),
    )
    rows = rows_of(Material(result, {trial.trial_id: known}, {}, DELTA))
    found = at(rows, THEOREM1, trial.d, 32)
    assert found is not None
    assert found.value > 30
    assert verdict(found, 0.5) == "vacuous"


def test_errors_come_from_accuracy_and_from_nothing_else():
    f1 = run(metric="f1")
    assert {r.name for r in rows_of(material(f1))} == {THEOREM1, TAIL, made.SQRT}
    trial = representatives(f1)[0]
    record = TrialResult(
        run=TrialRun(trial_id=trial.trial_id, spec=TrialSpec(), status="ok", started="", seconds=1.0),
        train=TrialTrain(parameters_trained=trial.d, scores={"f1": 0.9, "accuracy": 966 / 1066}),
    )
    found = at(rows_of(Material(f1, {trial.trial_id: record}, {}, DELTA)), TEST_SET, trial.d)
    assert found is not None
    assert found.errors == 100
    with pytest.raises(SpecError, match="share of wrong answers, and this run's metric is mse: choose a run on a task"):
        rows_of(material(run(metric="mse")))


def test_a_run_without_a_network_has_nothing_to_bound():
    with pytest.raises(
        SpecError, match=r"no trial in a subspace ended with a score \(the search ended as no-baseline\)"
    ):
        rows_of(material(measured("no-baseline")))


def test_a_score_that_is_no_count_of_answers_gives_no_test_set_bound():
    assert TEST_SET not in {r.name for r in rows_of(material(measured()))}


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("bound", 1.0, "vacuous"),
        ("floor", 3.5, "vacuous"),
        ("bound", 0.5, "worse than the majority class"),
        ("bound", 0.4, ""),
        ("observed", 1.0, ""),
        ("not a bound", 0.1, "not a bound"),
    ],
)
def test_verdicts(kind, value, says):
    assert verdict(BoundRow("x", kind, value), 0.5) == says


def test_findings_are_plain():
    vacuous = material(errors={32: 900, 16: 900, 4: 900, 1: 3000})
    told = " ".join(findings(vacuous, rows_of(vacuous)))
    assert "With every choice paid the least bound from training data is" in told
    assert "(Occam, binomial tail, d = 4, 4 bits a coordinate)" in told
    assert "For reference, the evaluation split alone bounds the error by" in told
    large = run(trials=tuple(t for t in run().result.trials if t.d is None or t.d >= 1024))
    told = " ".join(findings(material(large), rows_of(material(large))))
    assert "As stored, in float32, the training data certify nothing at any d: the least bound could be" in told
    assert "`intrinsic bound --count`" in told


def test_shuffled_labels_must_not_be_certified():
    result = run()
    shuffled = counted(result, dict.fromkeys(WIDTHS, 2900), random_labels=True)
    sound = Material(result, {}, {}, DELTA, shuffled=shuffled)
    told = " ".join(findings(sound, rows_of(sound)))
    assert "not below the majority class's error 0.5000, as it must" in told
    unsound = Material(result, {}, {}, DELTA, shuffled=counted(result, dict.fromkeys(WIDTHS, 100), random_labels=True))
    told = " ".join(findings(unsound, rows_of(unsound)))
    assert "below the majority class's error 0.5000, which no sound bound does but with probability delta" in told
    assert best(rows_of(unsound)) is None


def test_assumptions_name_what_no_record_can_show():
    told = " ".join(assumptions(material()))
    for word in (
        "independent draws",
        "pretraining saw them",
        "log2 k bits",
        "float32 and costs 32 bits",
        "bounds nothing",
    ):
        assert word in told


def everything() -> Material:
    result = run()
    there = material(result, {32: 900, 16: 905, 4: 1200, 1: 2500})
    claims = (Claim("certificate", 0.31, 0.05, 300, 1600),)
    return Material(result, {}, there.errors, DELTA, counted(result, {4: 2900}), claims)


def test_tables_hold_the_rows():
    there = everything()
    rows = rows_of(there)
    body = by_dimension(rows)
    assert [int(line[0]) for line in body] == sorted({t.d for t in representatives(there.result)})
    line = next(cells for cells in body if cells[0] == "256")
    assert line[3] == f"{at(rows, THEOREM1, 256, 1).value:.4f}"
    assert chosen_dimension(there.result, rows) == there.result.result.d90
    names = [cells[0] for cells in all_bounds(rows, 256)]
    assert names == ["training error", *made.BOUNDS, COMPARISON]
    assert "≥ " in " ".join(by_dimension(rows_of(material()))[0])


def test_latex_and_markdown_are_sound():
    there = everything()
    rows = rows_of(there)
    check_latex(latex(there, rows))
    check_latex(latex(material(), rows_of(material())))
    text = markdown(there, rows)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") - 1 for line in tables} <= {2, 5, 8}
    assert "certificate claims 0.3100 at delta 0.05 with 1,600 bits (d = 300)" in text
    assert "nan" not in text
    assert "None" not in text


def test_csv_and_json_hold_every_number_exactly(tmp_path):
    there = everything()
    rows = rows_of(there)
    paths = write_bounds(there, rows, tmp_path / "new")
    assert sorted(p.name for p in paths) == sorted(
        f"bounds.{kind}" for kind in ("md", "tex", "csv", "json", "png", "pdf")
    )
    read = list(csv.DictReader(io.StringIO((tmp_path / "new" / "bounds.csv").read_text())))
    assert [float(r["value"]) for r in read] == [r.value for r in rows]
    assert {r["verdict"] for r in read if r["kind"] == "not a bound"} == {"not a bound"}
    record = json.loads((tmp_path / "new" / "bounds.json").read_text())
    assert [r["value"] for r in record["rows"]] == [r.value for r in rows]
    assert record["delta"] == DELTA
    assert record["assumptions"] == assumptions(there)


def test_the_same_material_gives_the_same_bytes():
    there = everything()
    assert contents(there, rows_of(there)) == contents(there, rows_of(there))

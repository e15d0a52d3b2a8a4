"""Every problem keeps one contract, and the two of this package their formulas."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import intrinsic
from intrinsic.errors import DataError, Diverged, SpecError, UnknownName
from intrinsic.measurement.checks import check_direction
from intrinsic.plugins import entries_of, package_of
from intrinsic.problems import METRICS, PROBLEMS, problem_named, unknown_metrics
from intrinsic.problems.metrics import error_of_correlation, error_of_f1, error_of_share, error_of_squares, signed
from intrinsic.spec import TargetSpec, TaskSpec
from intrinsic.tasks import TASKS, load_task
from intrinsic.tasks.base import Task

CLASSIFICATION, REGRESSION = PROBLEMS["classification"], PROBLEMS["regression"]
NAMES = ("a", "b", "c")
CASES = {
    "classification": (["b", "a", "c", "b"], NAMES, np.eye(3)[[1, 0, 2, 1]] * 4),
    "regression": ([0.5, -1.0, 2.0, 0.0], (), np.array([[0.5], [-1.0], [2.0], [0.0]])),
}
"""Column of the data, classes, and outputs that answer every example rightly."""
if "intrinsic-outsider" in {package_of(entry) for entry in entries_of("problem").values()}:  # tests/plugin
    CASES["grades"] = (["b", "a", "c", "b"], NAMES, np.array([[1, -1], [-1, -1], [1, 1], [1, -1]]) * 8.0)


def test_every_problem_is_here() -> None:
    assert CASES.keys() == set(PROBLEMS)


@pytest.mark.parametrize("name", CASES)
class TestContract:
    def test_it_describes_itself(self, name: str) -> None:
        problem = PROBLEMS[name]
        assert problem.name == name
        assert problem.description
        assert problem.metrics
        assert unknown_metrics(problem.metrics) == []
        assert problem_named(name) is problem
        assert problem_named(problem) is problem

    def test_right_answers_get_the_best_score_and_no_loss_worth_speaking_of(self, name: str) -> None:
        problem, (values, names, outputs) = PROBLEMS[name], CASES[name]
        targets = problem.targets(values, names, "here")
        scores = problem.score(problem.metrics, outputs, targets, None, problem.num_outputs(names))
        for metric, score in scores.items():
            low, high = METRICS[metric].range
            assert score == pytest.approx(high if METRICS[metric].higher_is_better else low)
        loss = problem.loss(torch.from_numpy(outputs), problem.encoded(targets, None))
        assert 0 <= float(loss) < 0.05

    def test_items_go_into_batches_with_their_labels(self, name: str) -> None:
        problem, (values, names, _) = PROBLEMS[name], CASES[name]
        encoded = problem.encoded(problem.targets(values, names, "here"), None)
        items = [{"x": torch.full((2,), float(i)), "labels": label} for i, label in enumerate(encoded)]
        batch = problem.collate(items, lambda bare: {"x": torch.stack([item["x"] for item in bare])})
        assert set(batch) == {"x", "labels"}
        assert batch["x"][:, 0].tolist() == [0, 1, 2, 3]
        assert torch.equal(batch["labels"], torch.stack(list(encoded)))

    def test_parts_of_outputs_are_joined_in_order(self, name: str) -> None:
        problem, (_, _, outputs) = PROBLEMS[name], CASES[name]
        assert np.array_equal(problem.joined([outputs[:1], outputs[1:3], outputs[3:]]), outputs)

    def test_outputs_that_are_not_finite_diverge_and_are_errors(self, name: str) -> None:
        problem, (values, names, outputs) = PROBLEMS[name], CASES[name]
        targets = problem.targets(values, names, "here")
        broken = outputs.copy()
        broken[2, 0] = math.nan
        with pytest.raises(Diverged, match="1 of the model's outputs are not finite"):
            problem.score(problem.metrics, broken, targets, None, problem.num_outputs(names))
        assert problem.errors(broken, targets).tolist() == [False, False, True, False]
        assert problem.errors(outputs, targets).tolist() == [False] * 4

    def test_no_constant_is_better_than_chance(self, name: str) -> None:
        problem, (values, names, _) = PROBLEMS[name], CASES[name]
        targets = problem.targets(values, names, "here")
        for metric in problem.metrics:
            chance = problem.chance(metric, targets, None, names)
            for constant in np.linspace(float(targets.min()), float(targets.max()), 13).astype(targets.dtype):
                score = METRICS[metric](np.full(targets.shape, constant), targets)
                higher = METRICS[metric].higher_is_better
                assert signed(score, higher) <= signed(chance, higher) + 1e-7


def test_the_losses_are_their_formulas() -> None:
    logits, labels = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]), torch.tensor([2, 1])
    rows = [math.log(sum(math.exp(x) for x in row)) - row[k] for row, k in zip(logits.tolist(), [2, 1], strict=True)]
    assert float(CLASSIFICATION.loss(logits, labels)) == pytest.approx(sum(rows) / 2)
    assert float(REGRESSION.loss(torch.tensor([[1.0], [4.0]]), torch.tensor([2.0, 1.0]))) == pytest.approx(5.0)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20))
def test_chance_by_squared_error_is_the_variance(values: list[float]) -> None:
    targets = np.array(values, dtype=np.float32)
    expected = float(np.mean((targets.astype(np.float64) - targets.astype(np.float64).mean()) ** 2))
    assert REGRESSION.chance("mse", targets, None, ()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_widths_of_heads() -> None:
    for problem, wrong in ((CLASSIFICATION, 1), (CLASSIFICATION, 0), (REGRESSION, 2)):
        with pytest.raises(SpecError, match=f"{problem.name} has .* got {wrong}"):
            problem.check_outputs(wrong)
    assert (CLASSIFICATION.num_outputs(NAMES), REGRESSION.num_outputs(())) == (3, 1)


def test_one_class_alone_teaches_nothing() -> None:
    with pytest.raises(DataError, match="the 3 training examples of 'here' all have one label"):
        CLASSIFICATION.check_targets(np.array([1, 1, 1]), "here")


def test_what_cannot_be_bounded_is_refused_by_name() -> None:
    CLASSIFICATION.check_countable("mnist", "a bound")
    with pytest.raises(SpecError, match="a certificate is on the share of wrong answers, and task 'stsb' asks"):
        REGRESSION.check_countable("stsb", "a certificate")


def test_an_unknown_problem_lists_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"unknown problem 'clasification'.*did you mean 'classification'"):
        problem_named("clasification")


# ------------------------------------------------------------------ direction


def test_a_task_scored_by_an_error_is_better_when_lower_everywhere() -> None:
    info = replace(TASKS["stsb"], name="gap", metrics=("mse", "pearson"))
    assert not info.higher_is_better
    assert TASKS["stsb"].higher_is_better
    task = replace(load_task(TaskSpec(name="digits")), problem=REGRESSION, metrics=("mse",), label_names=())
    assert isinstance(task, Task)
    assert not task.higher_is_better
    assert task.chance == pytest.approx(float(np.var(task.eval.labels)))
    for kind, value in (("own", None), ("global", 0.5)):
        with pytest.raises(SpecError, match="mse is better when lower: use --target chance-corrected"):
            check_direction(TargetSpec(kind=kind, value=value), "mse", higher_is_better=False)
    check_direction(TargetSpec(kind="chance-corrected"), "mse", higher_is_better=False)


# ------------------------------------------------------------------ standard errors, against simulation


def spread(metric: str, sample, count: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Mean score and its standard deviation over 2000 evaluation splits of `count` examples."""
    rng = np.random.default_rng(5)
    scores = [METRICS[metric](*sample(rng, count)) for _ in range(2000)]
    return float(np.mean(scores)), float(np.std(scores))


def classes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, 2, count)
    return np.where(rng.random(count) < 0.8, labels, 1 - labels), labels


def numbers(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.normal(size=count)
    return 0.7 * labels + 0.5 * rng.normal(size=count), labels


@pytest.mark.parametrize(
    ("metric", "sample", "error"),
    [
        ("accuracy", classes, error_of_share),
        ("f1", classes, error_of_f1),
        ("matthews", classes, error_of_correlation),
        ("pearson", numbers, error_of_correlation),
        ("mse", numbers, error_of_squares),
    ],
)
def test_standard_errors_are_those_of_drawn_splits(metric: str, sample, error) -> None:  # type: ignore[no-untyped-def]
    mean, deviation = spread(metric, sample, 400)
    assert METRICS[metric].standard_error is error
    assert error(mean, 400) == pytest.approx(deviation, rel=0.3)


# ------------------------------------------------------------------ the house


def test_no_other_module_compares_a_problems_name() -> None:
    root = Path(intrinsic.__file__).parent
    for path in [*root.rglob("*.py"), *(root.parent / "cli").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            sides = (node.left, *node.comparators) if isinstance(node, ast.Compare) else ()
            named = [s.value for s in sides if isinstance(s, ast.Constant) and s.value in CASES]
            assert not named, f"{path}:{node.lineno} compares {named[0]!r}"

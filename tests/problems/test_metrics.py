"""Metrics against formulas written out here, and their values in degenerate cases."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intrinsic.problems import METRICS, PROBLEMS
from intrinsic.problems.metrics import evaluate, exact_match

binary = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30)


def counts(pairs: list[tuple[int, int]]) -> tuple[int, int, int, int]:
    """True positives, false positives, false negatives, true negatives of (prediction, label) pairs."""
    return tuple(pairs.count(pair) for pair in ((1, 1), (1, 0), (0, 1), (0, 0)))  # type: ignore[return-value]


@settings(deadline=None)  # the first call imports scikit-learn
@given(binary)
def test_binary_metrics_by_their_formulas(pairs: list[tuple[int, int]]) -> None:
    tp, fp, fn, tn = counts(pairs)
    predictions, labels = np.array(pairs).T
    assert METRICS["accuracy"](predictions, labels) == pytest.approx((tp + tn) / len(pairs))
    f1 = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
    assert METRICS["f1"](predictions, labels) == pytest.approx(f1)
    negative = 2 * tn / (2 * tn + fp + fn) if tn else 0.0
    classes = [f for f, present in ((negative, tn + fp + fn), (f1, tp + fp + fn)) if present]
    assert METRICS["macro_f1"](predictions, labels) == pytest.approx(sum(classes) / len(classes))
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert METRICS["matthews"](predictions, labels) == pytest.approx((tp * tn - fp * fn) / root if root else 0.0)


def ranks(values: list[float]) -> list[float]:
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def correlation(x: list[float], y: list[float]) -> float:
    a, b = np.array(x) - math.fsum(x) / len(x), np.array(y) - math.fsum(y) / len(y)
    return float(a @ b / math.sqrt(a @ a * (b @ b)))


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=20))
def test_correlations_by_their_formulas(pairs: list[tuple[int, int]]) -> None:
    x, y = ([float(value) for value in side] for side in zip(*pairs, strict=True))
    constant = len(set(x)) == 1 or len(set(y)) == 1
    predictions, labels = np.array(x), np.array(y, dtype=np.float32)
    assert METRICS["pearson"](predictions, labels) == pytest.approx(0.0 if constant else correlation(x, y), abs=1e-9)
    expected = 0.0 if constant else correlation(ranks(x), ranks(y))
    assert METRICS["spearman"](predictions, labels) == pytest.approx(expected, abs=1e-9)
    assert METRICS["mse"](predictions, labels) == pytest.approx(sum((a - b) ** 2 for a, b in pairs) / len(pairs))


PLAIN = sorted(name for name in METRICS if not METRICS[name].grouped)
CLASSIFICATION = PROBLEMS["classification"]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("labels", [[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1]])
@pytest.mark.parametrize("answer", [0, 1])
def test_constant_predictions_neither_warn_nor_give_nan(name: str, labels: list[int], answer: int) -> None:
    value = METRICS[name](np.full(len(labels), answer), np.array(labels))
    assert math.isfinite(value)
    if name in ("matthews", "pearson", "spearman"):
        assert value == 0.0


def test_almost_constant_predictions_stay_finite_and_silent() -> None:
    predictions = 1e8 + np.array([0.0, 1e-8, 0.0, 2e-8])
    for name in ("pearson", "spearman"):
        assert -1.0 <= METRICS[name](predictions, np.array([1.0, 2.0, 3.0, 4.0])) <= 1.0


def test_exact_match_needs_every_answer_to_a_question() -> None:
    predictions, labels = np.array([1, 0, 1, 1, 0]), np.array([1, 0, 1, 0, 0])
    assert exact_match(predictions, labels, ("a", "a", "b", "b", "c")) == pytest.approx(2 / 3)


def test_combined_is_the_mean_of_what_stands_before_it() -> None:
    predictions, labels = np.array([1, 0, 1, 1]), np.array([1, 0, 0, 1])
    names = ("f1", "exact_match", "combined", "accuracy")
    scores = evaluate(names, predictions, labels, ("a", "a", "b", "b"))
    assert scores == pytest.approx({"f1": 0.8, "exact_match": 0.5, "combined": 0.65, "accuracy": 0.75})
    assert set(evaluate(names, predictions, labels, None)) == {"f1", "accuracy"}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_the_best_constant_by_accuracy_is_the_majority(labels: list[int]) -> None:
    expected = max(labels.count(c) for c in range(4)) / len(labels)
    assert CLASSIFICATION.chance("accuracy", np.array(labels), None, "abcd") == pytest.approx(expected)


def test_the_best_constant_by_f1_answers_yes() -> None:
    shares = [CLASSIFICATION.chance("f1", np.array([1] * k + [0] * (10 - k)), None, "ny") for k in range(11)]
    assert shares == pytest.approx([2 * k / (10 + k) for k in range(11)])
    assert all(a < b for a, b in pairwise(shares))


@settings(deadline=None)
@given(binary)
def test_no_metric_leaves_its_range(pairs: list[tuple[int, int]]) -> None:
    predictions, labels = np.array(pairs).T
    for name in PLAIN:
        (low, high), best = METRICS[name].range, METRICS[name](labels, labels)
        assert low - 1e-12 <= METRICS[name](predictions, labels) <= high + 1e-12
        assert low <= best <= high

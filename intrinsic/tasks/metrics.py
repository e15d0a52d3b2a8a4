"""The metrics of the tasks: predictions [n] and labels [n] in, one float out.

Degenerate input has a defined value instead of a warning or NaN: an F1 without true or predicted
positives is 0, a correlation (Matthews, Pearson, Spearman) with a constant is 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def accuracy(predictions: Array, labels: Array) -> float:
    """Share of predictions that equal their label."""
    return float(np.mean(predictions == labels))


def f1(predictions: Array, labels: Array) -> float:
    """F1 of class 1: 2 TP / (2 TP + FP + FN)."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels == 1, predictions == 1, zero_division=0.0))


def macro_f1(predictions: Array, labels: Array) -> float:
    """Unweighted mean of the classes' F1, over the classes that occur in labels or predictions."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, average="macro", zero_division=0.0))


def matthews(predictions: Array, labels: Array) -> float:
    """Matthews correlation of two class assignments (Gorodkin's R_K for more than two classes)."""
    from sklearn.metrics import matthews_corrcoef

    if _constant(predictions) or _constant(labels):
        return 0.0
    return float(matthews_corrcoef(labels, predictions))


def pearson(predictions: Array, labels: Array) -> float:
    """Linear correlation, in float64."""
    from scipy.stats import pearsonr

    return _correlation(pearsonr, predictions, labels)


def spearman(predictions: Array, labels: Array) -> float:
    """Rank correlation; ties get their mean rank."""
    from scipy.stats import spearmanr

    return _correlation(spearmanr, predictions, labels)


def mse(predictions: Array, labels: Array) -> float:
    """Mean squared error, in the labels' own unit squared."""
    return float(np.mean((predictions.astype(np.float64) - labels) ** 2))


METRICS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
    "mse": mse,
}


RANGES: dict[str, tuple[float, float]] = {
    "accuracy": (0.0, 1.0),
    "f1": (0.0, 1.0),
    "macro_f1": (0.0, 1.0),
    "matthews": (-1.0, 1.0),
    "pearson": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "mse": (0.0, inf),
}
"""Lowest and highest value of each."""


def exact_match(predictions: Array, labels: Array, groups: Sequence[str]) -> float:
    """Share of groups in which every prediction is right (MultiRC: of questions)."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    wrong = np.bincount(group, weights=predictions != labels)
    return float(np.mean(wrong == 0))


def evaluate(
    metrics: Sequence[str], predictions: Array, labels: Array, groups: Sequence[str] | None
) -> dict[str, float]:
    """The named metrics; `combined` is the mean of the metrics named before it, as GLUE averages them."""
    scores: dict[str, float] = {}
    for name in metrics:
        if name == "combined":
            scores[name] = float(np.mean(list(scores.values())))
        elif name != "exact_match":
            scores[name] = METRICS[name](predictions, labels)
        elif groups is not None:
            scores[name] = exact_match(predictions, labels, groups)
    if "exact_match" in metrics and groups is None:
        scores.pop("combined", None)
    return scores


def constant_score(metric: str, labels: Array, groups: Sequence[str] | None, constants: Iterable[float]) -> float:
    """The best score that one and the same answer for every example gets."""
    answers = (np.full(labels.shape, c, dtype=labels.dtype) for c in constants)
    return max(evaluate((metric,), answer, labels, groups)[metric] for answer in answers)


def _correlation(measure: Callable[..., Any], predictions: Array, labels: Array) -> float:
    x, y = predictions.astype(np.float64), labels.astype(np.float64)
    if _constant(x) or _constant(y):
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nearly constant predictions: the value is noise, and in [-1, 1]
        value = float(measure(x, y).statistic)
    return value if np.isfinite(value) else 0.0


def _constant(values: Array) -> bool:
    return bool((values == values[0]).all())

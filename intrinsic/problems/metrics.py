"""Metrics: functions from predictions [n] and targets [n] to one float.

NumPy, SciPy and scikit-learn are imported only when a score is computed. Degenerate input has a defined
value instead of a warning or NaN: an F1 without true or predicted positives is 0, a correlation (Matthews, Pearson,
Spearman) with a constant is 0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean
from typing import TYPE_CHECKING, Any

from intrinsic.errors import SpecError
from intrinsic.plugins import Registry, is_a

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
StandardError = Callable[[float, int], float]
"""Standard error of a score over the draw of the evaluation examples: (score, number of examples) -> float."""

COMBINED = "combined"
"""Name of the mean of the metrics that a task lists before it, as GLUE averages them; it is not in METRICS."""


def error_of_share(score: float, count: int) -> float:
    """Standard error sqrt(|s| (1 - |s|) / n) of a score s over n examples.

    It is exact for a share of n independent examples, and a rough guide for other scores in [-1, 1].
    """
    share = min(abs(score), 1.0)
    return math.sqrt(share * (1 - share) / count)


def error_of_f1(score: float, count: int) -> float:
    """Standard error sqrt(F (1 - F) (2 - F) / n) of an F1 score, by the delta method with Poisson counts.

    n stands for 2 TP + FP + FN. The two are equal if predicted and true positives are half of the examples each; with
    rarer positives the true error is larger.
    """
    share = min(max(score, 0.0), 1.0)
    return math.sqrt(share * (1 - share) * (2 - share) / count)


def error_of_correlation(score: float, count: int) -> float:
    """Standard error (1 - r^2) / sqrt(n) of Pearson's r, for normal variables and large n.

    It is a rough guide for the correlations of Spearman and Matthews.
    """
    return (1 - min(score * score, 1.0)) / math.sqrt(count)


def error_of_squares(score: float, count: int) -> float:
    """Standard error mse sqrt(2 / n) of a mean squared error, for normal residuals of mean 0."""
    return abs(score) * math.sqrt(2 / count)


@dataclass(frozen=True)
class Metric:
    """A rule that scores answers against targets, and facts about its score."""

    function: Callable[..., float]
    """Function (predictions [n], targets [n]) -> score; if `grouped`, it takes the groups [n] as a third argument."""
    range: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest possible score."""
    higher_is_better: bool = True
    """Whether a larger score is better."""
    standard_error: StandardError = error_of_share
    """Standard error of the score, estimated from the score and the number of evaluation examples alone."""
    counts_errors: bool = True
    """Whether the answers it scores are right or wrong one by one. Only then does a bound on the share of wrong answers
    apply to the same answers."""
    grouped: bool = False
    """Whether the metric needs to know which examples are judged together."""

    def __call__(self, predictions: Array, targets: Array, groups: Sequence[str] | None = None) -> float:
        """The score of predictions [n] against targets [n]; `groups` [n] are needed only if `grouped`."""
        return self.function(predictions, targets, groups) if self.grouped else self.function(predictions, targets)


def signed(score: float, higher_is_better: bool) -> float:
    """The score, negated if lower is better, so that higher is better; applied twice it gives the score back.

    Every comparison of two scores goes through here.
    """
    return score if higher_is_better else -score


def accuracy(predictions: Array, targets: Array) -> float:
    """Share of predictions that equal their target."""
    import numpy as np

    return float(np.mean(predictions == targets))


def f1(predictions: Array, targets: Array) -> float:
    """F1 of class 1: 2 TP / (2 TP + FP + FN)."""
    from sklearn.metrics import f1_score

    return float(f1_score(targets == 1, predictions == 1, zero_division=0.0))


def macro_f1(predictions: Array, targets: Array) -> float:
    """Unweighted mean of the classes' F1, over the classes that occur in targets or predictions."""
    from sklearn.metrics import f1_score

    return float(f1_score(targets, predictions, average="macro", zero_division=0.0))


def matthews(predictions: Array, targets: Array) -> float:
    """Matthews correlation of two class assignments (Gorodkin's R_K for more than two classes)."""
    from sklearn.metrics import matthews_corrcoef

    if _constant(predictions) or _constant(targets):
        return 0.0
    return float(matthews_corrcoef(targets, predictions))


def pearson(predictions: Array, targets: Array) -> float:
    """Pearson's linear correlation, in float64."""
    from scipy.stats import pearsonr

    return _correlation(pearsonr, predictions, targets)


def spearman(predictions: Array, targets: Array) -> float:
    """Spearman's rank correlation; ties get their mean rank."""
    from scipy.stats import spearmanr

    return _correlation(spearmanr, predictions, targets)


def mse(predictions: Array, targets: Array) -> float:
    """Mean squared error, in the square of the targets' unit."""
    import numpy as np

    return float(np.mean((predictions.astype(np.float64) - targets) ** 2))


def exact_match(predictions: Array, targets: Array, groups: Sequence[str]) -> float:
    """Share of groups in which every prediction is right (in MultiRC: share of questions)."""
    import numpy as np

    _, group = np.unique(np.asarray(groups), return_inverse=True)
    wrong = np.bincount(group, weights=predictions != targets)
    return float(np.mean(wrong == 0))


def _wrong_metric(name: str, made: object) -> str | None:
    wrong = is_a(Metric)(name, made)
    if wrong is None and isinstance(made, Metric) and not made.range[0] < made.range[1]:
        wrong = f"has the range {made.range}: expected the lowest and the highest score"
    return wrong


METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "accuracy": Metric(accuracy),
        "f1": Metric(f1, standard_error=error_of_f1),
        "macro_f1": Metric(macro_f1),
        "exact_match": Metric(exact_match, grouped=True),
        "matthews": Metric(matthews, (-1.0, 1.0), standard_error=error_of_correlation),
        "pearson": Metric(pearson, (-1.0, 1.0), standard_error=error_of_correlation, counts_errors=False),
        "spearman": Metric(spearman, (-1.0, 1.0), standard_error=error_of_correlation, counts_errors=False),
        "mse": Metric(mse, (0.0, inf), False, error_of_squares, counts_errors=False),
    },
    _wrong_metric,
)
"""The metrics by name. Other packages add to them through the entry point group `intrinsic.metrics`."""


def range_of(name: str | None) -> tuple[float, float]:
    """Lowest and highest value of a metric; (-inf, inf) for None, and for a metric of a record not usable here."""
    try:
        return METRICS[name].range if name is not None and name in METRICS else (-inf, inf)
    except SpecError:  # the package that brings it has become unusable
        return (-inf, inf)


def evaluate(
    metrics: Sequence[str], predictions: Array, targets: Array, groups: Sequence[str] | None
) -> dict[str, float]:
    """Scores by name of metric; `combined` is the mean of the scores named before it.

    Without groups, metrics that need them are left out; `combined` is then left out too.
    """
    known = [name for name in metrics if groups is not None or name == COMBINED or not METRICS[name].grouped]
    scores: dict[str, float] = {}
    for name in known:
        if name != COMBINED:
            scores[name] = METRICS[name](predictions, targets, groups)
        elif len(known) == len(metrics):
            scores[name] = fmean(scores.values())
    return scores


def _correlation(measure: Callable[..., Any], predictions: Array, targets: Array) -> float:
    x, y = predictions.astype("float64"), targets.astype("float64")
    if _constant(x) or _constant(y):
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nearly constant predictions; the value is noise in [-1, 1]
        value = float(measure(x, y).statistic)
    return value if math.isfinite(value) else 0.0


def _constant(values: Array) -> bool:
    return bool((values == values[0]).all())

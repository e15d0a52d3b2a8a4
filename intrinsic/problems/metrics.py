"""Metrics: predictions [n] and targets [n] in, one float out. NumPy and scikit-learn are imported where a score is taken.

Degenerate input has a defined value instead of a warning or NaN: an F1 without true or predicted
positives is 0, a correlation (Matthews, Pearson, Spearman) with a constant is 0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean
from typing import TYPE_CHECKING, Any

from intrinsic.plugins import Registry, is_a

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
StandardError = Callable[[float, int], float]
"""Standard error of a score over the draw of the evaluation examples: (score, number of examples) -> float."""

COMBINED = "combined"
"""The mean of the metrics that a task names before it, as GLUE averages them; it is no metric by itself."""


def error_of_share(score: float, count: int) -> float:
    """sqrt(s (1 - s) / n): exact for a share of n independent examples; for |s| of other scores within [-1, 1] a guide."""
    share = min(abs(score), 1.0)
    return math.sqrt(share * (1 - share) / count)


def error_of_f1(score: float, count: int) -> float:
    """sqrt(F (1 - F) (2 - F) / n), by the delta method with Poisson counts, n for 2 TP + FP + FN.

    That sum is n where predicted and true positives are half of the examples each; where positives are rarer, the
    true error is larger.
    """
    share = min(max(score, 0.0), 1.0)
    return math.sqrt(share * (1 - share) * (2 - share) / count)


def error_of_correlation(score: float, count: int) -> float:
    """(1 - r^2) / sqrt(n): Pearson's, for normal variables and large n; for ranks and for Matthews' r a guide."""
    return (1 - min(score * score, 1.0)) / math.sqrt(count)


def error_of_squares(score: float, count: int) -> float:
    """mse sqrt(2 / n): for normal residuals of mean 0."""
    return abs(score) * math.sqrt(2 / count)


@dataclass(frozen=True)
class Metric:
    """One way to score answers against targets."""

    function: Callable[..., float]
    """(predictions [n], targets [n]) -> score; with the groups [n] as a third argument if `grouped`."""
    range: tuple[float, float] = (0.0, 1.0)
    """The lowest and the highest possible score."""
    higher_is_better: bool = True
    standard_error: StandardError = error_of_share
    """The score's standard error, estimated from the score and the number of evaluation examples alone."""
    counts_errors: bool = True
    """Whether what it scores are answers that are right or wrong one by one: only then do bounds on the share of wrong
    answers speak of the same thing."""
    grouped: bool = False
    """Whether it needs to know which examples are judged together."""

    def __call__(self, predictions: Array, targets: Array, groups: Sequence[str] | None = None) -> float:
        """The score."""
        return self.function(predictions, targets, groups) if self.grouped else self.function(predictions, targets)

    def signed(self, score: float) -> float:
        """The score, negated where lower is better; and back."""
        return score if self.higher_is_better else -score


def accuracy(predictions: Array, targets: Array) -> float:
    """Share of predictions that equal their label."""
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
    """Linear correlation, in float64."""
    from scipy.stats import pearsonr

    return _correlation(pearsonr, predictions, targets)


def spearman(predictions: Array, targets: Array) -> float:
    """Rank correlation; ties get their mean rank."""
    from scipy.stats import spearmanr

    return _correlation(spearmanr, predictions, targets)


def mse(predictions: Array, targets: Array) -> float:
    """Mean squared error, in the targets' own unit squared."""
    import numpy as np

    return float(np.mean((predictions.astype(np.float64) - targets) ** 2))


def exact_match(predictions: Array, targets: Array, groups: Sequence[str]) -> float:
    """Share of groups in which every prediction is right (MultiRC: of questions)."""
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
    """Lowest and highest value of a metric; infinite for one that is not installed here, as a record may name."""
    return METRICS[name].range if name is not None and name in METRICS else (-inf, inf)


def evaluate(
    metrics: Sequence[str], predictions: Array, targets: Array, groups: Sequence[str] | None
) -> dict[str, float]:
    """Scores by the named metrics; `combined` is the mean of those named before it.

    Without groups, metrics that need them are left out, and the mean that would contain them too.
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
        warnings.simplefilter("ignore")  # nearly constant predictions: the value is noise, and in [-1, 1]
        value = float(measure(x, y).statistic)
    return value if math.isfinite(value) else 0.0


def _constant(values: Array) -> bool:
    return bool((values == values[0]).all())

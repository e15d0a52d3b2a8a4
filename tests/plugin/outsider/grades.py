"""The problem `grades`: classes in an order, told by thresholds; and its metric, an error. No torch until it is needed.

Cheng, Wang and Pollastri 2008: a model has an output for every grade but the lowest, the logit of whether the answer is
that grade or a higher one; the answer is how many of them are above 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

from intrinsic.errors import DataError, SpecError
from intrinsic.problems import Array, Metric, Problem, Targets
from intrinsic.problems.labels import class_names, ids_by_name, named_ids

if TYPE_CHECKING:
    from torch import Tensor


@final
class Grades(Problem):
    """Outputs [b, grades - 1] are learned by the binary cross-entropy of every threshold."""

    name = "grades"
    description = "grades in an order"
    metrics = ("sides_off", "accuracy")
    auto_classes = {"text": "AutoModelForSequenceClassification", "vision": "AutoModelForImageClassification"}

    def label_names(self, values: Sequence[Any], where: str) -> tuple[str, ...]:
        return class_names(values, where)

    def targets(self, values: Sequence[Any], names: Sequence[str], where: str, *, known: bool = True) -> Targets:
        return named_ids(values, names, where) if known else ids_by_name(values, names, where)

    def check_targets(self, targets: Targets, name: str) -> None:
        if len(set(targets.tolist())) < 2:
            raise DataError(f"the training examples of {name!r} all have one grade: training needs two or more")

    def num_outputs(self, names: Sequence[str]) -> int:
        return len(names) - 1

    def check_outputs(self, width: int) -> None:
        if width < 1:
            raise SpecError(f"grades need a threshold or more, got {width} outputs: name two grades or more")

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        import torch
        from torch.nn import functional

        thresholds = torch.arange(outputs.shape[1], device=outputs.device)
        return functional.binary_cross_entropy_with_logits(outputs, (labels[:, None] > thresholds).to(outputs.dtype))

    def decided(self, outputs: Array) -> Array:
        passed: Array = (outputs > 0).sum(axis=1)
        return passed

    def constants(self, targets: Targets, names: Sequence[str]) -> Sequence[float]:
        return range(len(names))


def sides_off(predictions: Array, targets: Array) -> float:
    """Mean distance between answer and target, in grades."""
    return float(abs(predictions.astype("float64") - targets).mean())


def error_of_distance(score: float, count: int) -> float:
    """Of a mean of geometric distances: sqrt(s (1 + s) / n)."""
    return math.sqrt(score * (1 + score) / count)


GRADES = Grades()
SIDES_OFF = Metric(sides_off, (0.0, math.inf), False, error_of_distance, counts_errors=False)

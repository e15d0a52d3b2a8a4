"""Regression: every input has a real number as its target."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, final

from intrinsic.errors import SpecError
from intrinsic.problems.base import Array, Problem, Targets
from intrinsic.problems.labels import numbers

if TYPE_CHECKING:
    from torch import Tensor


@final
class Regression(Problem):
    """Real numbers, learned by mean squared error; the answer is the one logit, in the unit that the file has."""

    name = "regression"
    description = "real numbers"
    metrics = ("pearson", "spearman", "mse")
    auto_classes = {"text": "AutoModelForSequenceClassification", "vision": "AutoModelForImageClassification"}
    problem_type = "regression"

    def targets(self, values: Sequence[Any], names: Sequence[str], where: str, *, known: bool = True) -> Targets:
        """Numbers, float32 [n], not standardised; see :meth:`Problem.targets`."""
        return numbers(values, where)

    def num_outputs(self, names: Sequence[str]) -> int:
        return 1

    def check_outputs(self, width: int) -> None:
        if width != 1:
            raise SpecError(f"regression has 1 label, got {width}: classification has 2 or more")

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean squared error of outputs [b, 1] against labels [b]."""
        from torch.nn import functional

        return functional.mse_loss(outputs.reshape(-1), labels.to(outputs.dtype))

    def decided(self, outputs: Array) -> Array:
        return outputs[:, 0]

    def constants(self, targets: Targets, names: Sequence[str]) -> Sequence[float]:
        """The mean and the median of the targets: the best constants by squared and by absolute error."""
        values = targets.tolist()
        return fmean(values), median(values)

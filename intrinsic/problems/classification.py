"""Classification: every input belongs to one of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

from intrinsic.errors import DataError, SpecError
from intrinsic.problems.base import Array, Problem, Targets
from intrinsic.problems.labels import class_names, ids_by_name, named_ids

if TYPE_CHECKING:
    from torch import Tensor


@final
class Classification(Problem):
    """Classes, learned by cross-entropy on logits [b, classes]; the answer is the class with the largest logit."""

    name = "classification"
    description = "classes"
    metrics = ("accuracy", "macro_f1")
    auto_classes = {"text": "AutoModelForSequenceClassification", "vision": "AutoModelForImageClassification"}
    problem_type = "single_label_classification"
    countable = True

    def label_names(self, values: Sequence[Any], where: str) -> tuple[str, ...]:
        return class_names(values, where)

    def targets(self, values: Sequence[Any], names: Sequence[str], where: str, *, known: bool = True) -> Targets:
        """Class ids, int64 [n]; see :meth:`Problem.targets`."""
        return named_ids(values, names, where) if known else ids_by_name(values, names, where)

    def check_targets(self, targets: Targets, name: str) -> None:
        if len(set(targets.tolist())) < 2:
            raise DataError(
                f"the {len(targets)} training examples of {name!r} all have one label; "
                "training needs at least two (raise --limit, or mend the data)"
            )

    def num_outputs(self, names: Sequence[str]) -> int:
        return len(names)

    def check_outputs(self, width: int) -> None:
        if width < 2:
            raise SpecError(f"classification has 2 labels or more, got {width}: regression has 1")

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of outputs [b, classes] against labels [b]."""
        from torch.nn import functional

        return functional.cross_entropy(outputs, labels)

    def decided(self, outputs: Array) -> Array:
        chosen: Array = outputs.argmax(axis=1)
        return chosen

    def constants(self, targets: Targets, names: Sequence[str]) -> Sequence[float]:
        return range(len(names))

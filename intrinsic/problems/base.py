"""The contract of a problem: targets, batches, loss, answers and score for one kind of question asked of a model.

A trial goes through a problem in this order: targets are read and checked, encoded and collated; the loss is computed
from them; answers are obtained, scored, and compared with the best constant answer. The rest of the package does not
distinguish problems: a search sees a score and its direction. Torch is imported only in the methods that need it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, final

from intrinsic.errors import Diverged, SpecError
from intrinsic.problems.metrics import METRICS, evaluate, signed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

Array: TypeAlias = "NDArray[Any]"
Targets: TypeAlias = "NDArray[Any]"
"""Targets of a split, [n]: int64 class ids, or float32 numbers with the values that the file has."""
Item: TypeAlias = "dict[str, Tensor]"
"""One example or one batch: tensors by the names of the model's inputs, and the targets as `labels`."""
Groups = Sequence[str] | None
"""Name of each example's group, [n]; examples of one group are judged together. None: there are no groups."""


class Problem(ABC):
    """One kind of question asked of a model, as an object without state.

    A subclass implements the abstract methods, and overrides another method only if its default does not suit.
    """

    name: ClassVar[str]
    """Key in :data:`intrinsic.problems.PROBLEMS`."""
    description: ClassVar[str]
    """Plural noun for the targets, as in "the task asks for classes"."""
    metrics: ClassVar[tuple[str, ...]]
    """Metrics of a task that names none of its own for this problem (the user's files), the primary one first."""
    auto_classes: ClassVar[Mapping[str, str]]
    """Name of the transformers class that builds a model with a head, by kind of input (`text`, `vision`)."""
    problem_type: ClassVar[str | None] = None
    """Value of `problem_type` in the model's configuration, as transformers names it; None leaves it unset."""
    countable: ClassVar[bool] = False
    """Whether each answer is right or wrong by itself, so that errors can be counted and bounded."""

    # ------------------------------------------------------------------ targets

    def label_names(self, values: Sequence[Any], where: str) -> tuple[str, ...]:
        """The classes in a column of the training data, in the order of their ids; () for a problem without classes.

        where: the name of the column in error messages.
        Raises DataError for values that do not suit the problem.
        """
        return ()

    @abstractmethod
    def targets(self, values: Sequence[Any], names: Sequence[str], where: str, *, known: bool = True) -> Targets:
        """The targets [n] that a column of raw values stands for.

        names: the classes, in the order of their ids.
        where: the name of the column in error messages.
        known: True if a catalogue names the classes, so that a number in the data is an id; False if the data name
        them, so that a number is a name.
        Raises DataError for a target that is missing, unknown or of another type.
        """

    def check_targets(self, targets: Targets, name: str) -> None:
        """Raise DataError for training targets from which nothing can be learned; by default all are accepted.

        name: the task's name, for the error message.
        """
        return

    @abstractmethod
    def num_outputs(self, names: Sequence[str]) -> int:
        """The width of the model's head: the number of logits per example."""

    @abstractmethod
    def check_outputs(self, width: int) -> None:
        """Raise SpecError for a head width that the problem cannot have."""

    # ------------------------------------------------------------------ batches and loss

    def encoded(self, targets: Targets, preprocessor: Any) -> Sequence[Tensor]:
        """The targets as the items' `labels`, one tensor per example; `preprocessor` is the model's, or None."""
        import torch

        return torch.from_numpy(targets.copy())  # type: ignore[return-value]  # rows of one tensor

    def collate(self, items: list[Item], inputs: Callable[[list[Item]], Item]) -> Item:
        """The items as one batch: `inputs` collates and pads all but the labels, which are stacked."""
        import torch

        bare = [{name: tensor for name, tensor in item.items() if name != "labels"} for item in items]
        return inputs(bare) | {"labels": torch.stack([item["labels"] for item in items])}

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar.

        outputs: the model's logits [b, ...], in float32 or float64.
        labels: the batch's labels.
        """

    # ------------------------------------------------------------------ answers and scores

    def answer(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The model's outputs [b, ...] for a batch without labels, by default its logits.

        Called in eval mode and without gradient.
        """
        logits: Tensor = model(**batch).logits
        return logits

    def joined(self, parts: Sequence[Array]) -> Array:
        """The outputs of several batches, concatenated along the first axis."""
        import numpy as np

        return np.concatenate(parts)

    @abstractmethod
    def decided(self, outputs: Array) -> Array:
        """The answers [n] that the outputs stand for, in the form that metrics compare with targets."""

    @final
    def score(
        self, metrics: Sequence[str], outputs: Array, targets: Targets, groups: Groups, width: int
    ) -> dict[str, float]:
        """The scores of the outputs [n, width] against the targets [n], by name of metric.

        Raises SpecError for outputs or targets of other shapes, Diverged for outputs that are not finite.
        """
        import numpy as np

        made = self.checked(np.asarray(outputs), np.asarray(targets), width)
        return evaluate(metrics, self.decided(made), np.asarray(targets), groups)

    def checked(self, outputs: Array, targets: Targets, width: int) -> Array:
        """The outputs as float64 [n, width], after the checks. Raises what :meth:`score` raises."""
        import numpy as np

        outputs = outputs.astype(np.float64)
        outputs = outputs[:, None] if outputs.ndim == 1 else outputs
        if outputs.shape != (len(targets), width) or len(targets) == 0:
            raise SpecError(
                f"expected logits [n, {width}] and labels [n] with n > 0, "
                f"got {list(outputs.shape)} and {list(targets.shape)}"
            )
        if not np.isfinite(outputs).all():
            raise Diverged(f"{int((~np.isfinite(outputs)).sum())} of the model's outputs are not finite")
        return outputs

    @abstractmethod
    def constants(self, targets: Targets, names: Sequence[str]) -> Sequence[float]:
        """The constant answers among which :meth:`chance` takes the best: each is given to every example alike."""

    @final
    def chance(self, metric: str, targets: Targets, groups: Groups, names: Sequence[str]) -> float:
        """The best score by `metric` that a constant answer gets: the same for every example."""
        import numpy as np

        judge = METRICS[metric]
        answers = [np.full(targets.shape, c) for c in self.constants(targets, names)]
        scores = [evaluate((metric,), answer, targets, groups)[metric] for answer in answers]
        return max(scores, key=lambda score: signed(score, judge.higher_is_better))

    def errors(self, outputs: Array, targets: Targets) -> Array:
        """Mask of the wrong answers, bool [n]; an example whose output is not finite counts as wrong."""
        import numpy as np

        finite = np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1)
        wrong: Array = ~((self.decided(outputs) == targets) & finite)
        return wrong

    @final
    def check_countable(self, task: str, what: Literal["a bound", "a certificate"]) -> None:
        """Raise SpecError if the problem's errors cannot be counted; `task` names the task, `what` what needs them."""
        if not self.countable:
            raise SpecError(
                f"{what} is on the share of wrong answers, and task {task!r} asks for {self.description}, which are "
                "not right or wrong one by one: choose a task with classes"
            )

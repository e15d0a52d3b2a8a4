"""The contract of a problem: everything that depends on what is asked of a model. No torch here until it is needed.

A trial goes through a problem in this order: targets are read and checked, encoded and collated; the loss is taken of
them; answers are got and scored, and set against the best constant answer. Nothing else in the package knows which
problem it is: a search sees a score and its direction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, final

from intrinsic.errors import Diverged, SpecError
from intrinsic.problems.metrics import METRICS, evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

Array: TypeAlias = "NDArray[Any]"
Targets: TypeAlias = "NDArray[Any]"
"""The targets of a split, one an example: int64 class ids, or float32 numbers as they are in the file."""
Item: TypeAlias = "dict[str, Tensor]"
"""One example, or a batch of them, by the names of the model's inputs, and `labels`: what the model should say."""
Groups = Sequence[str] | None
"""For each example the name of those it is judged with."""


class Problem(ABC):
    """What is asked of a model: one object for every kind, without state of its own.

    A kind implements the abstract methods and overrides of the others those whose default does not suit it.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """The metrics of a task whose catalogue entry names none for this problem (files of the user's own), primary first."""
    auto_classes: ClassVar[Mapping[str, str]]
    """For each kind of input, `text` or `vision`, the class of transformers that builds the model with a head for it."""
    problem_type: ClassVar[str | None] = None
    """`problem_type` in the model's configuration, as transformers names it."""
    countable: ClassVar[bool] = False
    """Whether an answer is right or wrong by itself, so that errors can be counted, and bounded."""

    # ------------------------------------------------------------------ targets

    def label_names(self, values: Sequence[Any], where: str) -> tuple[str, ...]:
        """The classes that occur in a column of the training data, in the order of their ids; () if there are none.

        Raises DataError for values that do not suit the problem; `where` names the column in its sentence.
        """
        return ()

    @abstractmethod
    def targets(self, values: Sequence[Any], names: Sequence[str], where: str, *, known: bool = True) -> Targets:
        """A column of targets as an array [n].

        names: the classes, in the order of their ids; known: whether a catalogue names them, so that a number in the
        data is an id, or the data do, so that it is a name.
        Raises DataError for a target that is missing, unknown or of another type.
        """

    def check_targets(self, targets: Targets, name: str) -> None:
        """Raise DataError for training targets that nothing can be learned from; `name` is the task's."""
        return

    @abstractmethod
    def num_outputs(self, names: Sequence[str]) -> int:
        """The width of the model's head."""

    @abstractmethod
    def check_outputs(self, width: int) -> None:
        """Raise SpecError for a width of the head that the problem cannot have."""

    # ------------------------------------------------------------------ batches and loss

    def encoded(self, targets: Targets, preprocessor: Any) -> Sequence[Tensor]:
        """The targets as `labels` of the items, one tensor an example."""
        import torch

        return torch.from_numpy(targets.copy())  # type: ignore[return-value]  # rows of one tensor

    def collate(self, items: list[Item], inputs: Callable[[list[Item]], Item]) -> Item:
        """A batch of items; `inputs` collates all but the labels, padding them as the model wants it."""
        import torch

        bare = [{name: tensor for name, tensor in item.items() if name != "labels"} for item in items]
        return inputs(bare) | {"labels": torch.stack([item["labels"] for item in items])}

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar, in float32 at least.  outputs: the model's logits, labels: the batch's."""

    # ------------------------------------------------------------------ answers and scores

    def answer(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The model's outputs for a batch without labels, [b, ...]: here its logits. Called in eval mode, without grad."""
        logits: Tensor = model(**batch).logits
        return logits

    def joined(self, parts: Sequence[Array]) -> Array:
        """The outputs of several batches, one after the other."""
        import numpy as np

        return np.concatenate(parts)

    @abstractmethod
    def decided(self, outputs: Array) -> Array:
        """The answers that the outputs stand for, [n]: what metrics compare with targets."""

    @final
    def score(
        self, metrics: Sequence[str], outputs: Array, targets: Targets, groups: Groups, width: int
    ) -> dict[str, float]:
        """The scores by the named metrics.

        Raises SpecError for outputs or targets of other shapes, Diverged for outputs that are not finite.
        """
        import numpy as np

        made = self.checked(np.asarray(outputs), np.asarray(targets), width)
        return evaluate(metrics, self.decided(made), np.asarray(targets), groups)

    def checked(self, outputs: Array, targets: Targets, width: int) -> Array:
        """The outputs, [n, width] in float64, after the checks that :meth:`score` promises."""
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
        """The answers that a model which ignores its input might give to every example alike."""

    @final
    def chance(self, metric: str, targets: Targets, groups: Groups, names: Sequence[str]) -> float:
        """The best score that one and the same answer for every example gets."""
        import numpy as np

        judge = METRICS[metric]
        answers = [np.full(targets.shape, c, dtype=targets.dtype) for c in self.constants(targets, names)]
        scores = [evaluate((metric,), answer, targets, groups)[metric] for answer in answers]
        return max(scores, key=judge.signed)

    def errors(self, outputs: Array, targets: Targets) -> Array:
        """For each example whether its answer is wrong, bool [n]; an output that is not finite is."""
        import numpy as np

        finite = np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1)
        wrong: Array = ~((self.decided(outputs) == targets) & finite)
        return wrong

    @final
    def check_countable(self, task: str, what: Literal["a bound", "a certificate"]) -> None:
        """Raise SpecError for a problem whose errors cannot be counted; `task` is the task's name."""
        if not self.countable:
            raise SpecError(
                f"{what} is on the share of wrong answers, and task {task!r} asks for {self.description}, which are not "
                "right or wrong one by one: choose a task with classes"
            )

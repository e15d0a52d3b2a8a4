"""The contract of a fine-tuning method: a model prepared for training, and its numbers of parameters."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from intrinsic.errors import SpecError
from intrinsic.seeds import derive
from intrinsic.spec import SeedSpec
from intrinsic.subspace.layout import is_under

Batch = Mapping[str, Tensor]
"""One batch: tensors by the names of the model's inputs."""
Forward = Callable[[Batch], Tensor]
"""Function from a batch without labels to the model's outputs; the caller chooses device and precision."""


class Pretrained(Protocol):
    """The part of a loaded model that a method needs; :func:`intrinsic.models.load_model` returns one."""

    @property
    def model(self) -> nn.Module:
        """The network at theta_0."""

    @property
    def head_names(self) -> tuple[str, ...]:
        """Name prefixes of the parameters of the newly initialised head."""

    @property
    def embedding_names(self) -> tuple[str, ...]:
        """Name prefixes of the embeddings' parameters."""

    @property
    def preprocessor(self) -> Any:
        """The tokenizer, if there is one; some methods start from words."""


class Trainable(ABC):
    """A model prepared for training by one method; the training loop does not depend on which.

    Four numbers are reported with every result:

        parameters_trained   scalars that the optimiser moves
        parameters_stored    scalars that must be kept, besides theta_0 and the code, to restore the model
        head_parameters      those of parameters_trained that are entries of the task's head; told apart because a
                             free head of 592 k is far more than d = 200. Coordinates of a subspace do not count.
        artefact_bytes       bytes that :meth:`save` writes

    and full_dim, the D that they are compared with: the number of weights that full fine-tuning would move, or that a
    subspace lies over.

    A new method implements the abstract methods, sets `model` and `full_dim`, and gets an entry in
    :data:`intrinsic.methods.METHODS`; the contract suite, tests/methods/test_methods_contract.py, fails until it has a
    case for the method.
    """

    model: nn.Module
    """The network, called as model(**batch).logits; every parameter that is trained is registered in it."""
    full_dim: int
    """Number D of weights that parameters_trained is compared with."""

    @abstractmethod
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The names and tensors that the optimiser moves, each tensor once."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """All tensors that training changes, buffers included. They are not copies: copy them to keep their values."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the values of a state that :meth:`state_dict` returned."""

    @abstractmethod
    def merge(self) -> nn.Module:
        """End the training and return the fine-tuned model, which computes what the trained one computes.

        If `mergeable`, it is a plain module of the original architecture; else the method's modules stay in it.
        """

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write the artefact into a folder, which is made if it does not exist."""

    @abstractmethod
    def load(self, folder: str | Path) -> None:
        """Load what the same method saved, attached with the same settings to the same base model.

        The model then gives the saved one's logits, bit for bit. Parameters may be new objects: make the optimiser
        afterwards. Raises ArtefactError if the artefact is damaged or does not belong to this method and model.
        """

    @property
    @abstractmethod
    def head_parameters(self) -> int:
        """The number of trained scalars that are entries of the task's head."""

    @final
    def parameters(self) -> Iterator[nn.Parameter]:
        """The tensors that the optimiser moves, each once."""
        return (parameter for _, parameter in self.named_parameters())

    @final
    @property
    def parameters_trained(self) -> int:
        """The number of scalars that the optimiser moves."""
        return sum(parameter.numel() for parameter in self.parameters())

    def penalty(self) -> Tensor | float:
        """The term that the method adds to the loss of a step, at the present parameters; by default 0."""
        return 0.0

    def after_step(self, step: int, total: int) -> None:
        """Hook after the optimiser's step number `step` of `total`, counted from 1; gradients are still there.

        Empty by default.
        """
        return

    def prepare_answers(self, batches: Iterable[Batch]) -> None:
        """Hook before every evaluation, in eval mode, for a method that changes inference; empty by default.

        batches: the training examples as the loop sees them, labels included, in a fixed order. They are made when they
        are iterated over, so that they cost nothing unless a method reads them.
        """
        return

    def answer(self, forward: Forward, batch: Batch) -> Tensor:
        """The outputs for one evaluation batch without labels, by default by one forward pass without gradient."""
        with torch.no_grad():
            return forward(batch)

    @property
    def answers_by_batch(self) -> bool:
        """Whether the answer to an example depends on the others in its batch; if so, bounds refuse the method."""
        return False

    @property
    def mergeable(self) -> bool:
        """Whether :meth:`merge` gives the original architecture, with nothing added to it."""
        return True

    @property
    def parameters_stored(self) -> int:
        """The number of scalars that are kept, by default those trained."""
        return self.parameters_trained

    @property
    def artefact_bytes(self) -> int:
        """The size of the artefact in bytes, by default measured by saving it to a temporary folder."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder)
            return folder_bytes(folder)


def folder_bytes(folder: str | Path) -> int:
    """Total size of all files below a folder, in bytes."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def head_size(parameters: Iterable[tuple[str, nn.Parameter]], loaded: Pretrained) -> int:
    """Number of the given parameters' entries that belong to the newly initialised head."""
    return sum(p.numel() for name, p in parameters if is_under(name, loaded.head_names))


def require_some(parameters: Iterable[nn.Parameter], method: str) -> None:
    """Raise SpecError if there is no parameter; `method` is the method's name, for the message."""
    if not any(True for _ in parameters):
        raise SpecError(f"method {method!r} finds no parameter to train in this model; unfreeze some first")


def generator_of(seeds: SeedSpec, *names: str) -> torch.Generator:
    """CPU generator for a method's initial values, seeded by the initialisation seed and `names`."""
    return torch.Generator().manual_seed(derive(seeds.initialisation, "method", *names))

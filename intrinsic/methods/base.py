"""The contract of a way to fine-tune: a model laid out for training, and what that costs."""

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

Batch = Mapping[str, Tensor]
"""A batch by the names of the model's inputs."""
Forward = Callable[[Batch], Tensor]
"""What gives the model's outputs for a batch without labels, on whatever device and in whatever precision it runs."""


class Pretrained(Protocol):
    """What a method needs of a loaded model; :func:`intrinsic.models.load_model` returns one."""

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
        """The tokenizer, where there is one: some methods start from words."""


class Trainable(ABC):
    """A model laid out for one way of fine-tuning. The training loop never asks which.

    Four numbers are reported with every result:

        parameters_trained   scalars the optimiser moves
        parameters_stored    scalars that must be kept, beside theta_0 and the code, to have the model back
        head_parameters      of parameters_trained, those that are the task head's own entries: a free head
                             of 592 k would swamp d = 200. Coordinates of a subspace are nobody's entries.
        artefact_bytes       what :meth:`save` writes

    and full_dim, the D that they are compared with: the number of weights full fine-tuning would move, or
    those that a subspace lies over.

    A method that comes later implements the abstract methods, sets `model` and `full_dim`, and gets a line in
    :data:`intrinsic.methods.METHODS`; the contract suite, tests/methods/test_methods_contract.py, fails until it
    has a case for it.
    """

    model: nn.Module
    """The network, called as model(**batch).logits; every parameter that is trained is registered in it."""
    full_dim: int
    """D, the number of weights that parameters_trained is compared with."""

    @abstractmethod
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What the optimiser moves, each tensor once."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """All that training changes, buffers included; the tensors are live, so copy them to keep them."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state_dict` gave."""

    @abstractmethod
    def merge(self) -> nn.Module:
        """The fine-tuned model as it is used afterwards, computing what the trained one computes. Ends training.

        If `mergeable`, that is a plain module of the original architecture; else the method's modules stay in it.
        """

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write the artefact into a folder, which is made if need be."""

    @abstractmethod
    def load(self, folder: str | Path) -> None:
        """Take over what was saved by the same method, attached with the same settings to the same base model.

        Afterwards the model gives the saved one's logits, bit for bit. Parameters may be new objects: make an
        optimiser after, not before. Raises ArtefactError if the artefact is damaged or another's.
        """

    @property
    @abstractmethod
    def head_parameters(self) -> int:
        """The number of trained scalars that are the task head's own entries."""

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
        """What the method adds to the loss of a step, at the present parameters; here nothing."""
        return 0.0

    def after_step(self, step: int, total: int) -> None:
        """Called after the optimiser's step, counted from 1, while the gradients are still there; here nothing."""
        return

    def prepare_answers(self, batches: Iterable[Batch]) -> None:
        """Called before every evaluation, in eval mode: a method that changes inference gets ready for it; here nothing.

        batches: the training examples as the loop sees them, labels included, in a fixed order; made when they are asked
        for, so that a method that does not look at them costs nothing.
        """
        return

    def answer(self, forward: Forward, batch: Batch) -> Tensor:
        """The outputs for one batch of an evaluation, without labels; here those of one forward pass without gradient."""
        with torch.no_grad():
            return forward(batch)

    @property
    def answers_by_batch(self) -> bool:
        """Whether the answer to an example depends on the others in its batch; bounds then refuse the method."""
        return False

    @property
    def mergeable(self) -> bool:
        """Whether merge() leaves the original architecture, with nothing added to it."""
        return True

    @property
    def parameters_stored(self) -> int:
        """The number of scalars kept: here those trained; a method that must keep others as well says so."""
        return self.parameters_trained

    @property
    def artefact_bytes(self) -> int:
        """The size of what is saved, measured by saving; a method whose artefact is large computes the same number."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder)
            return folder_bytes(folder)


def folder_bytes(folder: str | Path) -> int:
    """Sum of the sizes of all files below a folder, in bytes."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def is_under(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a parameter's dotted name is one of the prefixes or lies below one."""
    return any(name == p or name.startswith(p + ".") for p in (q.rstrip(".") for q in prefixes))


def head_size(parameters: Iterable[tuple[str, nn.Parameter]], loaded: Pretrained) -> int:
    """Entries of the given parameters that belong to the newly initialised head."""
    return sum(p.numel() for name, p in parameters if is_under(name, loaded.head_names))


def require_some(parameters: Iterable[nn.Parameter], method: str) -> None:
    """Raise SpecError if there is no parameter at all."""
    if not any(True for _ in parameters):
        raise SpecError(f"method {method!r} finds no parameter to train in this model; unfreeze some first")


def generator_of(seeds: SeedSpec, *names: str) -> torch.Generator:
    """A CPU generator for what a method draws at its start, under the initialisation seed."""
    return torch.Generator().manual_seed(derive(seeds.initialisation, "method", *names))

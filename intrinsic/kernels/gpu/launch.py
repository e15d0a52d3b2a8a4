"""The tables that tell a kernel of the tensors it serves, so that one launch serves a whole layer.

Tensors stay where they are: a program finds its tensor through a map from programs to rows of a table, and the
tensor's data through a table of addresses. One flat buffer for all of them would spare the addresses, but W_0 belongs
to the model and gradients come from autograd, so both would have to be copied; and weights that share their
storage would be written whole whenever one of them is saved. Both tables are kept for the next call: a model's
sizes do not change, and the caching allocator gives a step's tensors the addresses of the step before.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

COLUMNS = 5
"""The number of columns of a launch's table: seed, key, n, first program, number of programs."""


@dataclass(frozen=True, eq=False)
class LaunchTable:
    """The tensors of one launch, and the tensor that each program works on."""

    table: Tensor
    """A row for each tensor, [tensors, COLUMNS] int64."""
    row_of: Tensor
    """The row that each program works on, [programs] int32."""


@dataclass(frozen=True)
class Task:
    """One tensor, for which P(key) has n rows."""

    key: int
    n: int
    programs: int
    """The number of programs that share the tensor."""


@lru_cache(maxsize=4096)
def launch_table(seed: int, tasks: tuple[Task, ...], device: torch.device) -> LaunchTable:
    """The table of a launch that serves these tensors, on the device."""
    rows, first = [], 0
    for task in tasks:
        rows.append((signed(seed), signed(task.key), task.n, first, task.programs))
        first += task.programs
    programs = torch.tensor([task.programs for task in tasks])
    row_of = torch.arange(len(rows), dtype=torch.int32).repeat_interleave(programs)
    return LaunchTable(torch.tensor(rows, dtype=torch.int64).to(device), row_of.to(device))


def signed(word: int) -> int:
    """The int64 with the same 64 bits."""
    return word - 2**64 if word >= 2**63 else word


def addresses(*columns: Sequence[Tensor]) -> Tensor:
    """The addresses of tensors.  Sequences of equal length -> [tensors, columns] int64."""
    rows = tuple(zip(*([tensor.data_ptr() for tensor in column] for column in columns), strict=True))
    return _addresses(rows, columns[0][0].device)


@lru_cache(maxsize=4096)
def _addresses(rows: tuple[tuple[int, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor([[signed(pointer) for pointer in row] for row in rows], dtype=torch.int64).to(device)


def alike(tensors: Sequence[tuple[int, torch.dtype | None]]) -> Iterator[list[int]]:
    """Positions of the tensors (n, dtype) in groups that one launch can serve: a dtype each, and n by fours or not."""
    groups: dict[Hashable, list[int]] = {}
    for i, (n, dtype) in enumerate(tensors):
        groups.setdefault((dtype, n % 4 == 0), []).append(i)
    yield from groups.values()


def by_fours(tensors: Sequence[Tensor]) -> bool:
    """Whether four neighbours can be read or written at once: sizes and addresses are multiples of four elements."""
    return all(t.numel() % 4 == 0 and t.data_ptr() % 16 == 0 for t in tensors)


@cache
def one(device: torch.device) -> Tensor:
    """The number 1: the lambda of a tensor that has none."""
    return torch.ones((), device=device)


def on_device(device: torch.device) -> AbstractContextManager[Any]:
    """A block in which the tensors' device is the current one, on which Triton launches."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

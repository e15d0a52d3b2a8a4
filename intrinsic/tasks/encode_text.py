"""Conversion of texts to token ids, once and in chunks; padding is added only when a batch is collated."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from intrinsic.errors import SpecError
from intrinsic.problems import Problem
from intrinsic.tasks.base import Examples, Task, TextExamples

Item = dict[str, Tensor]
_CHUNK = 4096
"""Texts given to the tokenizer in one call."""
_UNLIMITED = 10**9
"""Length limit from which on a tokenizer counts as unlimited: those without a limit announce a huge one."""


class Ragged:
    """Rows of different lengths in one int32 array; row i is values[ends[i-1]:ends[i]]."""

    def __init__(self, rows: list[list[int]]) -> None:
        self.ends: NDArray[np.int64] = np.cumsum([len(row) for row in rows], dtype=np.int64)
        self.values = np.fromiter((x for row in rows for x in row), dtype=np.int32, count=int(self.ends[-1]))

    def __getitem__(self, index: int) -> Tensor:
        start = self.ends[index - 1] if index else 0
        return torch.from_numpy(self.values[start : self.ends[index]].astype(np.int64))


class TokenDataset(Dataset[Item]):
    """Dataset of input_ids, attention_mask and perhaps token_type_ids, int64 [length], and the problem's labels."""

    def __init__(self, columns: dict[str, Ragged], labels: Sequence[Tensor]) -> None:
        self._columns, self._labels = columns, labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(index)
        item = {name: column[index] for name, column in self._columns.items()}
        item["attention_mask"] = torch.ones_like(item["input_ids"])
        item["labels"] = self._labels[index]
        return item


@dataclass(frozen=True)
class PadCollate:
    """Function from items to a batch [B, longest], padded on the right: ids with `pad_id`, masks and types with 0."""

    pad_id: int
    problem: Problem

    def __call__(self, items: list[Item]) -> Item:
        return self.problem.collate(items, self._padded)

    def _padded(self, items: list[Item]) -> Item:
        return {
            name: torch.nn.utils.rnn.pad_sequence(
                [item[name] for item in items], True, self.pad_id if name == "input_ids" else 0
            )
            for name in items[0]
        }


@dataclass(frozen=True)
class TextPrepared:
    """Both splits as token ids."""

    train: TokenDataset
    eval: TokenDataset
    collate: PadCollate


def prepare(task: Task, tokenizer: Any) -> TextPrepared:
    """Tokenise both splits, cut to the shorter of task.max_length and the tokenizer's own limit.

    In a pair the longer text is cut first. A tokenizer without a padding token (GPT-2, Llama) pads with its
    end-of-sequence token; a text that gives no token at all becomes one padding token.
    Raises SpecError for an object that is no tokenizer, a tokenizer without a token to pad with, or a length that
    leaves no room for text.
    """
    if not callable(tokenizer) or not hasattr(tokenizer, "num_special_tokens_to_add"):
        raise SpecError(f"text task {task.name!r} needs a tokenizer, got {type(tokenizer).__name__}")
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if pad_id is None:
        raise SpecError("the tokenizer has neither a padding nor an end-of-sequence token; set one of them")
    length = _length(task, tokenizer)
    train, evaluation = (
        TokenDataset(_encoded(examples, tokenizer, length, pad_id), task.problem.encoded(examples.labels, tokenizer))
        for examples in (task.train, task.eval)
    )
    return TextPrepared(train, evaluation, PadCollate(pad_id, task.problem))


def _length(task: Task, tokenizer: Any) -> int:
    limit = tokenizer.model_max_length
    length = min(task.max_length, int(limit)) if limit and limit < _UNLIMITED else task.max_length
    pair = isinstance(task.train, TextExamples) and len(task.train.columns) == 2
    special = tokenizer.num_special_tokens_to_add(pair=pair)
    if length <= special:
        raise SpecError(f"max_length {length} leaves no room beside {special} special tokens; raise it")
    return length


def _encoded(examples: Examples, tokenizer: Any, length: int, pad_id: int) -> dict[str, Ragged]:
    assert isinstance(examples, TextExamples)
    rows: dict[str, list[list[int]]] = {}
    for chunk in _chunks(examples):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coded = tokenizer(*chunk, truncation=True, max_length=length, padding=False, verbose=False)
        for name in ("input_ids", "token_type_ids"):
            if name in coded:
                empty = [pad_id if name == "input_ids" else 0]
                rows.setdefault(name, []).extend(row or empty for row in coded[name])
    return {name: Ragged(found) for name, found in rows.items()}


def _chunks(examples: TextExamples) -> Iterator[list[list[str]]]:
    for start in range(0, len(examples), _CHUNK):
        yield [list(column[start : start + _CHUNK]) for column in examples.columns]

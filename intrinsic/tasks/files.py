"""The task `files`: the user's csv, tsv, jsonl or parquet file, or a folder of them.

A folder holds `train.*` and an evaluation split: `validation.*` (also `dev`, `val`, `valid`), else
`test.*`; a split may lie in several files (`train-00000-of-00002.parquet`). A folder with a training split
only, and a single file, are divided 80/20 by a fixed shuffle. `splits` names other splits (`--splits fold1 fold2`).
Columns: `text` and `label` unless named otherwise; one or two text columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intrinsic.errors import DataError, SpecError
from intrinsic.problems import PROBLEMS, Problem
from intrinsic.spec import TaskSpec
from intrinsic.tasks.base import Loaded, TextExamples, shuffled
from intrinsic.tasks.catalogue import TaskInfo
from intrinsic.tasks.tables import READERS, Table, file_type, read_tables, texts

EVAL_SPLITS = ("validation", "dev", "val", "valid", "test")
"""Names of an evaluation split, preferred first."""
HOLDOUT = 0.2
"""Share of the examples that become the evaluation split where the data have none."""
_SPLIT_KEY = 0x5EED_0002
"""Philox key of the shuffle that divides data without an evaluation split."""


def load(info: TaskInfo, spec: TaskSpec) -> Loaded:
    """Load the user's files. Raises SpecError for settings and DataError for data that do not fit."""
    if spec.data_dir is None:
        raise SpecError("task 'files' needs --data-dir: a csv, tsv, jsonl or parquet file, or a folder of them")
    if len(spec.text_columns) > 2:
        raise SpecError(f"a tokenizer takes one or two texts, got {len(spec.text_columns)} text_columns")
    root = Path(spec.data_dir).expanduser()
    files = find_splits(root)
    if len(files) == 1 and spec.splits is None:
        name, paths = next(iter(files.items()))
        where = str(paths[0] if len(paths) == 1 else root / name)
        return _divided(read_tables(paths), spec, PROBLEMS[info.problem], where)
    train, evaluation = _choose(files, spec.splits, root)
    tables = {name: read_tables(files[name]) for name in dict.fromkeys((train, evaluation))}
    wheres = [f"split {name!r} of {root}" for name in (train, evaluation)]
    names, first, second = _two_splits(tables[train], tables[evaluation], spec, PROBLEMS[info.problem], wheres)
    return Loaded(first, second, names, f"{root.name}, splits {train} and {evaluation}")


def find_splits(root: Path) -> dict[str, list[Path]]:
    """Files of each split, sorted, by its name; `train-00000-of-00002.csv` belongs to `train`. Raises DataError."""
    if root.is_file():
        if file_type(root) not in READERS:
            raise DataError(f"{root} is of no known type; expected one of {', '.join(READERS)}")
        return {_split_name(root): [root]}
    if not root.is_dir():
        raise DataError(f"{root} does not exist; data_dir is a file or a folder with examples")
    found: dict[str, list[Path]] = {}
    for path in sorted(p for p in root.iterdir() if file_type(p) in READERS and p.is_file()):
        found.setdefault(_split_name(path), []).append(path)
    if not found:
        raise DataError(f"{root} holds no file ending in {', '.join(READERS)}")
    for name, paths in found.items():
        if len({file_type(path) for path in paths}) > 1:
            raise DataError(f"{root} has the split {name!r} twice: {', '.join(p.name for p in paths)}; keep one type")
    return found


def _split_name(path: Path) -> str:
    stem, _, rest = path.stem.partition("-")
    return stem if rest.replace("-of-", "").isdigit() else path.stem


def _choose(files: dict[str, list[Path]], splits: tuple[str, str] | None, root: Path) -> tuple[str, str]:
    if splits is None:
        evaluation = next((name for name in EVAL_SPLITS if name in files), None)
        if "train" not in files or evaluation is None:
            raise DataError(
                f"{root} has {', '.join(files)}; expected train and one of {', '.join(EVAL_SPLITS)}, "
                "or say which with --splits"
            )
        return "train", evaluation
    for name in splits:
        if name not in files:
            raise DataError(f"{root} has no split {name!r}; it has {', '.join(files)}: leave --splits out, or name two")
    return splits


def _two_splits(
    train: Table, evaluation: Table, spec: TaskSpec, problem: Problem, wheres: Sequence[str]
) -> tuple[tuple[str, ...], TextExamples, TextExamples]:
    """Names of the classes, which the training split decides, and the examples of both splits."""
    names = problem.label_names(_column(train, _label(spec), wheres[0]), wheres[0])
    first, second = (
        _examples(table, spec, problem, names, where) for table, where in zip((train, evaluation), wheres, strict=True)
    )
    return names, first, second


def _divided(table: Table, spec: TaskSpec, problem: Problem, where: str) -> Loaded:
    names = problem.label_names(_column(table, _label(spec), where), where)
    whole = _examples(table, spec, problem, names, where)
    train, evaluation = divide(whole, where)
    return Loaded(train, evaluation, names, f"{Path(where).name}, divided 80/20 by a fixed shuffle")


def divide(whole: TextExamples, where: str) -> tuple[TextExamples, TextExamples]:
    """Divide the examples 80/20 in a fixed way; equal inputs stay together, so no text is in both splits.

    Each distinct text (pair) gets a place in a Philox order; the first 80 % of the examples in that order are the
    training split. Both splits keep the order of the file. Raises DataError if a split would be empty.
    """
    ids: dict[tuple[str, ...], int] = {}
    group = np.array([ids.setdefault(texts, len(ids)) for texts in zip(*whole.columns, strict=True)])
    place = np.argsort(shuffled(len(ids), _SPLIT_KEY), kind="stable")[group]
    boundary = np.sort(place)[min(len(whole) - 1, round(len(whole) * (1 - HOLDOUT)))]
    train = np.flatnonzero(place < boundary)
    if len(train) == 0 or len(train) == len(whole):
        raise DataError(f"{where} has {len(ids)} different examples, too few to divide into two splits")
    return whole.take(train), whole.take(np.flatnonzero(place >= boundary))


def _label(spec: TaskSpec) -> str:
    return spec.label_column or "label"


def _column(table: Table, name: str, where: str) -> list[Any]:
    if name not in table:
        columns = ", ".join(map(str, table))
        raise DataError(
            f"{where} has no column {name!r}; its columns are: {columns}; "
            "name the ones to read with --text-columns and --label-column"
        )
    return table[name]


def _examples(table: Table, spec: TaskSpec, problem: Problem, names: Sequence[str], where: str) -> TextExamples:
    columns = tuple(texts(_column(table, name, where), name, where) for name in spec.text_columns or ("text",))
    return TextExamples(columns, problem.targets(_column(table, _label(spec), where), names, where, known=False))

"""The task `files`: every layout, every damage a clear error."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_folders import jsonl, philox_order, write

from intrinsic.errors import DataError, SpecError
from intrinsic.spec import TaskSpec
from intrinsic.tasks import load_task
from intrinsic.tasks.base import Task, TextExamples
from intrinsic.tasks.files import divide
from intrinsic.tasks.tables import read_csv, read_tsv

ROWS = [{"text": f'say "{i}", then\u2028go', "label": ("no", "yes", "maybe")[i % 3]} for i in range(12)]


def as_csv(rows: list[dict[str, Any]], **style: Any) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, rows[0].keys(), **style)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def as_tsv(rows: list[dict[str, Any]]) -> str:
    lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
    return "\n".join(lines) + "\n"


def save(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        text = {".csv": as_csv, ".tsv": as_tsv, ".jsonl": jsonl}[path.suffix](rows)
        path.write_text(text, encoding="utf-8", newline="")


def load(path: Path, **settings_: Any) -> Task:
    return load_task(TaskSpec.model_validate({"name": "files", "data_dir": str(path), **settings_}))


def texts(examples: Any) -> list[str]:
    assert isinstance(examples, TextExamples)
    return list(examples.columns[0])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("evaluation", ["validation", "dev", "test"])
def test_a_folder_of_any_type(tmp_path: Path, suffix: str, evaluation: str) -> None:
    save(tmp_path / f"train{suffix}", ROWS[:9])
    save(tmp_path / f"{evaluation}{suffix}", ROWS[9:])
    task = load(tmp_path)
    assert texts(task.train) == [row["text"] for row in ROWS[:9]]
    assert texts(task.eval) == [row["text"] for row in ROWS[9:]]
    assert task.label_names == ("maybe", "no", "yes")
    assert task.train.labels.tolist() == [1, 2, 0] * 3
    assert (task.train.labels.dtype, task.num_labels, task.metric) == (np.int64, 3, "accuracy")
    assert f"splits train and {evaluation}" in task.description


def test_all_types_give_the_same_task(tmp_path: Path) -> None:
    prints = set()
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        save(tmp_path / f"data{suffix}", ROWS)
        prints.add(load(tmp_path / f"data{suffix}").fingerprint)
    assert len(prints) == 1


@pytest.mark.parametrize("folder", [False, True])
def test_a_single_split_is_divided_and_that_is_said(tmp_path: Path, folder: bool) -> None:
    rows = [{"text": f"t{i}", "label": i % 2} for i in range(100)]
    save(tmp_path / "train.csv", rows)
    task = load(tmp_path if folder else tmp_path / "train.csv")
    assert (task.num_train, task.num_eval) == (80, 20)
    order = philox_order(100, 0x5EED_0002)
    assert texts(task.train) == [f"t{i}" for i in sorted(order[:80])]
    assert texts(task.eval) == [f"t{i}" for i in sorted(order[80:])]
    assert "train.csv, divided 80/20 by a fixed shuffle" in task.description


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xy")), min_size=2, max_size=40))
def test_a_division_never_has_a_text_on_both_sides(pairs: list[tuple[str, str]]) -> None:
    columns = tuple(zip(*pairs, strict=True))
    whole = TextExamples(columns, np.arange(len(pairs)))
    if len(set(pairs)) == 1:
        with pytest.raises(DataError, match="1 different examples, too few to divide"):
            divide(whole, "here")
        return
    train, evaluation = divide(whole, "here")
    assert len(train) > 0 < len(evaluation)
    sides = [set(zip(*side.columns, strict=True)) for side in (train, evaluation)]
    assert not sides[0] & sides[1]
    assert sorted([*train.labels, *evaluation.labels]) == list(range(len(pairs)))


def test_shards_of_a_split_are_joined_in_order(tmp_path: Path) -> None:
    save(tmp_path / "train-00001-of-00002.parquet", ROWS[5:9])
    save(tmp_path / "train-00000-of-00002.parquet", ROWS[:5])
    save(tmp_path / "test-00000-of-00001.parquet", ROWS[9:])
    assert texts(load(tmp_path).train) == [row["text"] for row in ROWS[:9]]


def test_shards_with_other_columns_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "train-0.csv", ROWS[:5])
    save(tmp_path / "train-1.csv", [{"text": "x", "answer": "no"}])
    with pytest.raises(DataError, match=r"train-1.csv has the columns text, answer; expected text, label as in"):
        load(tmp_path)


def test_named_splits_and_columns(tmp_path: Path) -> None:
    rows = [{"question": f"q{i}", "reply": f"r{i}", "gold": i % 2, "text": "unread"} for i in range(6)]
    save(tmp_path / "fold1.csv", rows[:4])
    save(tmp_path / "fold2.csv", rows[4:])
    task = load(tmp_path, splits=("fold2", "fold1"), text_columns=("question", "reply"), label_column="gold")
    assert isinstance(task.train, TextExamples)
    assert task.train.columns == (("q4", "q5"), ("r4", "r5"))
    assert task.label_names == ("0", "1")


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    save(tmp_path / "train.csv", ROWS)
    with pytest.raises(DataError, match=r"has no split 'dev'; it has train"):
        load(tmp_path, splits=("train", "dev"))
    save(tmp_path / "fold2.csv", ROWS)
    with pytest.raises(DataError, match=r"has fold2, train; expected train and one of validation, dev.*--splits"):
        load(tmp_path)


def test_integer_labels_sort_by_value(tmp_path: Path) -> None:
    save(tmp_path / "a.csv", [{"text": f"t{i}", "label": 9 + i % 3} for i in range(9)])
    assert load(tmp_path / "a.csv").label_names == ("9", "10", "11")


@pytest.mark.parametrize(
    "labels", [[0, 1, 0, 1], [0.0, 1.0, 0.0, 1.0], ["0", "1.0", "0", "1"], [False, True, False, True]]
)
def test_one_spelling_for_each_class(tmp_path: Path, labels: list[Any]) -> None:
    rows = [{"text": f"t{i}", "label": label} for i, label in enumerate(labels)]
    for name in ("train.jsonl", "test.jsonl"):
        save(tmp_path / name, rows)
    task = load(tmp_path)
    assert task.label_names == (("False", "True") if labels[0] is False else ("0", "1"))
    assert task.train.labels.tolist() == [0, 1, 0, 1]


def test_regression(tmp_path: Path) -> None:
    save(tmp_path / "a.csv", [{"text": f"t{i}", "label": 0.5 * i - 2} for i in range(10)])
    task = load(tmp_path / "a.csv", regression=True)
    assert (task.problem.name, task.num_labels, task.label_names) == ("regression", 1, ())
    assert (task.metric, task.chance, task.train.labels.dtype) == ("pearson", 0.0, np.float32)
    assert sorted([*task.train.labels, *task.eval.labels]) == [0.5 * i - 2 for i in range(10)]
    assert set(task.score(task.eval.labels, task.eval.labels)) == {"pearson", "spearman", "mse"}
    with pytest.raises(DataError, match=r"the labels are real numbers, such as '-0.5'; use --regression"):
        load(tmp_path / "a.csv")


def damaged(tmp_path: Path, name: str, data: bytes | str, **settings_: Any) -> str:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(DataError) as caught:
        load(path, **settings_)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", "a.csv is empty; expected a table"),
        ("a.jsonl", b" \n\n", "a.jsonl is empty; expected a table"),
        ("a.csv", b"\xef\xbb\xbf", "a.csv is empty; expected a table"),
        ("a.csv", b"text,label\n", "has a header but no examples"),
        ("a.tsv", b"text\tlabel\n", "has a header but no examples"),
        ("a.csv", b"text,label\ncaf\xe9,1\n", "is not UTF-8: byte 0xe9 at offset 14; convert it first"),
        ("a.csv", b"text,label\na,0\nb\n", "line 3: 1 fields, expected 2"),
        ("a.tsv", b"text\tlabel\na\t0\nb\tc\t1\n", "line 3: 3 fields, expected 2 (tsv is read without quoting)"),
        ("a.csv", b'text,label\n"a,0\n', "not valid csv (unexpected end of data)"),
        ("a.csv", b"text,text,label\na,b,0\n", "names a column twice in its header: text, text, label"),
        ("a.jsonl", b'{"text": "a", "label": 0}\n{"text"\n', "line 2: not valid JSON"),
        ("a.jsonl", b"[1]\n", "line 1: expected a JSON object, got list"),
        ("a.jsonl", b"[" * 100_000, "line 1: not valid JSON"),
        ("a.jsonl", b'{"text": "a", "label": 0}\n{"text": "b"}\n', "example 2: the label is missing"),
        ("a.jsonl", b'{"text": "a", "label": NaN}\n', "example 1: the label is NaN"),
        ("a.jsonl", b'{"text": "a", "label": {}}\n', "example 1: expected a label, got dict {}"),
        ("a.jsonl", b'{"text": 3, "label": 0}\n{"text": "b", "label": 1}\n', "expected text in 'text', got int 3"),
        (
            "a.jsonl",
            b'{"text": null, "label": 0}\n{"text": "b", "label": 1}\n',
            "example 1: the text 'text' is missing",
        ),
        ("a.jsonl", b'{"text": "\\ud800", "label": 0}\n{"text": "b", "label": 1}\n', "'text' holds a lone surrogate"),
        ("a.csv", b"text,label\na,\nb,1\n", "example 1: the label is missing"),
        ("a.csv", b"text,label\na,nan\nb,1\n", "example 1: the label is NaN"),
        ("a.csv", b"text,label\na,1\nb,1\n", "all 2 labels are '1'; expected at least two classes"),
        ("a.parquet", b"PAR1 no parquet at all", "a.parquet cannot be read as parquet"),
        ("a.xlsx", b"?", "is of no known type; expected one of .csv, .tsv, .jsonl, .parquet"),
    ],
)
def test_damage_is_one_clear_sentence(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    assert message in damaged(tmp_path, name, data)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("high", "expected a number as label, got 'high'"),
        ("inf", "the label 'inf' is not a finite number"),
        ("1e39", "the label '1e39' is not a finite number"),
        ("NaN", "the label is NaN"),
        ("", "the label is missing"),
    ],
)
def test_regression_labels_must_be_finite(tmp_path: Path, label: str, message: str) -> None:
    assert message in damaged(tmp_path, "a.csv", f"text,label\na,1\nb,{label}\n", regression=True)


def test_a_column_that_is_not_there_lists_the_columns(tmp_path: Path) -> None:
    save(tmp_path / "a.csv", [{"review": "x", "stars": 1}])
    with pytest.raises(DataError, match=r"has no column 'label'; its columns are: review, stars"):
        load(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"has no column 'body'; its columns are: review, stars"):
        load(tmp_path / "a.csv", text_columns=("body",), label_column="stars", regression=True)


def test_a_class_that_only_evaluation_has(tmp_path: Path) -> None:
    save(tmp_path / "train.csv", [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}])
    save(tmp_path / "test.csv", [{"text": "c", "label": "z"}])
    with pytest.raises(
        DataError, match=r"split 'test' of .* has the label 'z', which no training example has \(x, y\)"
    ):
        load(tmp_path)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; data_dir is a file or a folder"):
        load(tmp_path / "no")
    with pytest.raises(DataError, match=r"holds no file ending in .csv, .tsv, .jsonl, .parquet"):
        load(write(tmp_path / "d", {"train.txt": "x"}))
    with pytest.raises(SpecError, match="task 'files' needs --data-dir"):
        load_task(TaskSpec(name="files"))
    with pytest.raises(SpecError, match="one or two texts, got 3 text_columns"):
        load(tmp_path, text_columns=("a", "b", "c"))


def test_a_split_in_two_types_is_ambiguous(tmp_path: Path) -> None:
    save(tmp_path / "train.csv", ROWS)
    save(tmp_path / "train.tsv", ROWS)
    with pytest.raises(DataError, match=r"has the split 'train' twice: train.csv, train.tsv; keep one type"):
        load(tmp_path)


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    for suffix, gap in ((".csv", b","), (".tsv", b"\t")):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(
            b"\xef\xbb\xbftext" + gap + b"label\r\n" + b"".join(b"t%d%s%d\r\n" % (i, gap, i % 2) for i in range(9))
        )
        task = load(path)
        assert {*texts(task.train), *texts(task.eval)} == {f"t{i}" for i in range(9)}
        assert task.label_names == ("0", "1")


def test_endings_in_capitals(tmp_path: Path) -> None:
    save(tmp_path / "a.csv", ROWS)
    (tmp_path / "a.csv").rename(tmp_path / "A.CSV")
    assert load(tmp_path / "A.CSV").num_train == 10


def test_fields_longer_than_the_csv_module_expects(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    save(tmp_path / "a.csv", [{"text": str(i) * 200_000, "label": i % 2} for i in range(4)])
    assert sorted(map(len, texts(load(tmp_path / "a.csv").train))) == [200_000] * 3
    assert csv.field_size_limit() == limit


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=200)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_csv_reads_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "roundtrip.csv"
    records = [{"left": left, "right": right} for left, right in rows]
    path.write_text(as_csv(records, quoting=csv.QUOTE_ALL), encoding="utf-8", newline="")
    assert read_csv(path) == {"left": [row[0] for row in rows], "right": [row[1] for row in rows]}


plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=12)


@settings(max_examples=200)
@given(st.lists(st.tuples(plain, plain), min_size=1, max_size=6))
def test_tsv_reads_back_any_text_without_tabs(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "roundtrip.tsv"
    path.write_text(as_tsv([{"left": a, "right": b} for a, b in rows]), encoding="utf-8", newline="")
    assert read_tsv(path) == {"left": [row[0] for row in rows], "right": [row[1] for row in rows]}


@settings(max_examples=300)
@given(st.sampled_from(["a.csv", "a.tsv", "a.jsonl"]), st.binary(max_size=60))
def test_any_bytes_give_a_task_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes({"a.csv": b"text,label\n", "a.tsv": b"text\tlabel\n", "a.jsonl": b""}[name] + data)
    message = ""
    try:
        assert load(path).num_train >= 1
    except DataError as error:
        message = str(error)
    assert message == "" or name in message or "one label" in message


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_parquet_file(tmp_path: Path, keep: float) -> None:
    save(tmp_path / "a.parquet", ROWS)
    data = (tmp_path / "a.parquet").read_bytes()
    assert "cannot be read as parquet" in damaged(tmp_path, "a.parquet", data[: int(keep * len(data))])


def test_parquet_without_rows_or_with_bytes_that_are_no_text(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}), tmp_path / "a.parquet"
    )
    with pytest.raises(DataError, match=r"a.parquet is empty"):
        load(tmp_path / "a.parquet")
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 2], dtype=np.int32)), pa.py_buffer(b"\xff\xfe"))
    pq.write_table(pa.table({"text": bad, "label": [1]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet cannot be read as parquet: 'utf-8' codec"):
        load(tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": ["a", "b"], "label": [1.0, float("nan")]}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match="example 2: the label is NaN"):
        load(tmp_path / "c.parquet")

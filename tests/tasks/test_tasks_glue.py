"""GLUE's own TSV folders: the layouts as shipped, and the real files where they are at hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from paths import shared_data
from task_folders import GLUE_FILES, write

from intrinsic.errors import DataError
from intrinsic.spec import TaskSpec
from intrinsic.tasks import load_task
from intrinsic.tasks.base import Task, TextExamples
from intrinsic.tasks.glue import LAYOUTS

READ = {
    "cola": ((("Our \"friends won't buy it.", "Them likes it."),), [1, 0], [1, 0, 1]),
    "sst2": ((('hide "new secretions ', "a fine film "),), [0, 1], [1, 0, 0]),
    "mrpc": ((('A "one .', "Two ."), ("One .", "Three .")), [1, 0], [1]),
    "qqp": ((("Why?", "Who?"), ("How?", "Who is it?")), [0, 1], [1]),
    "stsb": ((("A plane.", "A man."), ("An air plane.", "A dog.")), [5.0, 0.25], [4.75]),
    "mnli": ((("It rains.", "It rains."), ("It is wet.", "It is dry.")), [0, 2], [1]),
    "mnli-mm": ((("It rains.", "It rains."), ("It is wet.", "It is dry.")), [0, 2], [2]),
    "qnli": ((("Who?", "Who?"), ("He did.", "It rained.")), [0, 1], [0]),
    "rte": ((("A.", "A."), ("B.", "A.")), [1, 0], [1]),
    "wnli": ((("Ann hit Bo. She ran.", "A."), ("Ann ran.", "B.")), [1, 0], [0]),
}


def load(name: str, folder: Path, splits: tuple[str, str] | None = None) -> Task:
    return load_task(TaskSpec(name=name, data_dir=str(folder), splits=splits))


def columns(examples: object) -> tuple[tuple[str, ...], ...]:
    assert isinstance(examples, TextExamples)
    return examples.columns


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("above", [False, True])
def test_every_layout(tmp_path: Path, name: str, above: bool) -> None:
    folder = tmp_path / (LAYOUTS[name].folder if above else "anything")
    write(folder, GLUE_FILES[name])
    task = load(name, tmp_path if above else folder)
    expected, train, evaluation = READ[name]
    assert columns(task.train) == expected
    assert task.train.labels.tolist() == train
    assert task.eval.labels.tolist() == evaluation
    assert re.search(r"GLUE's own files train.tsv.* and dev", task.description)


def test_mnli_reads_the_two_evaluation_sets(tmp_path: Path) -> None:
    folder = write(tmp_path, GLUE_FILES["mnli"])
    assert columns(load("mnli", folder).eval)[0] == ("Matched.",)
    assert columns(load("mnli-mm", folder).eval)[0] == ("Mismatched.",)
    assert columns(load("mnli", folder, ("train", "dev_mismatched")).eval)[0] == ("Mismatched.",)


def test_gold_test_sets(tmp_path: Path) -> None:
    sst2 = load("sst2", write(tmp_path / "a", GLUE_FILES["sst2"]), ("train", "test"))
    assert columns(sst2.eval)[0] == ("no movement , no yuks", "rancid crème brûlée")
    assert sst2.eval.labels.tolist() == [0, 1]
    mrpc = load("mrpc", write(tmp_path / "b", GLUE_FILES["mrpc"]), ("train", "test"))
    assert columns(mrpc.eval) == (("Five .", "Six"), ("6 .", "Six"))
    assert "train.tsv and test_labeled.tsv" in mrpc.description


def test_qqps_broken_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    task = load("qqp", write(tmp_path, GLUE_FILES["qqp"]))
    assert "train.tsv (1 broken lines left out) and dev.tsv" in task.description


def test_a_hidden_test_set(tmp_path: Path) -> None:
    folder = write(tmp_path, GLUE_FILES["rte"])
    with pytest.raises(DataError, match=r"test.tsv has no labels: GLUE keeps them; choose another"):
        load("rte", folder, ("train", "test"))


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        (
            "rte",
            "dev.tsv",
            "index\tsentence1\tlabel\n0\tA.\tentailment\n",
            "has no column 'sentence2'; its columns are",
        ),
        (
            "rte",
            "dev.tsv",
            "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tperhaps\n",
            "unknown label 'perhaps'; expected",
        ),
        ("rte", "dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\n", "line 2: 3 fields, expected 4"),
        ("cola", "dev.tsv", "sentence\tlabel\nx\t1\n", "line 1: 2 fields, expected CoLA's 4 without a header"),
        ("stsb", "dev.tsv", "sentence1\tsentence2\tscore\na\tb\thigh\n", "expected a number as label, got 'high'"),
        ("sst2", "dev.tsv", "sentence\tlabel\nx\t2\n", "unknown label '2'; expected one of negative, positive"),
        ("mrpc", "dev.tsv", "", "dev.tsv is empty"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, file: str, text: str, message: str) -> None:
    folder = write(tmp_path, GLUE_FILES[name] | {file: text})
    with pytest.raises(DataError, match=re.escape(message)):
        load(name, folder)


def test_missing_files_and_splits(tmp_path: Path) -> None:
    folder = write(tmp_path, {"train.tsv": GLUE_FILES["rte"]["train.tsv"]})
    with pytest.raises(DataError, match=r"has no dev.tsv, which split 'validation' is read from"):
        load("rte", folder)
    with pytest.raises(DataError, match=r"have no split 'night'; they have train, validation"):
        load("rte", folder, ("train", "night"))
    with pytest.raises(DataError, match=r"does not exist or is no folder; expected a copy of nyu-mll/glue"):
        load("rte", tmp_path / "no")


@pytest.mark.parametrize(
    ("name", "splits", "m", "evaluated", "positive", "chance"),
    [
        ("mrpc", None, 3668, 408, 2474, 279 / 408),
        ("mrpc", ("train", "test"), 3668, 1725, 2474, 1147 / 1725),
        ("sst2", None, 67349, 872, 37569, 444 / 872),
        ("sst2", ("train", "test"), 67349, 1821, 37569, 912 / 1821),
        ("rte", None, 2490, 277, 1241, 146 / 277),
    ],
)
def test_the_real_files(
    name: str, splits: tuple[str, str] | None, m: int, evaluated: int, positive: int, chance: float
) -> None:
    task = load(name, shared_data(name), splits)
    assert (task.num_train, task.num_eval) == (m, evaluated)
    assert int(task.train.labels.sum()) == positive
    assert task.chance == pytest.approx(chance)


def test_the_real_stsb() -> None:
    task = load("stsb", shared_data("stsb"))
    assert (task.num_train, task.num_eval, task.chance) == (5749, 1500, 0.0)
    labels = np.concatenate([task.train.labels, task.eval.labels])
    assert (labels.min(), labels.max(), labels.dtype) == (0.0, 5.0, np.float32)
    assert columns(task.train)[1][0] == "An air plane is taking off."


def test_quotes_survive_in_the_real_mrpc() -> None:
    first = columns(load("mrpc", shared_data("mrpc")).train)
    assert (
        first[0][0]
        == 'Amrozi accused his brother , whom he called " the witness " , of deliberately distorting his evidence .'
    )
    assert first[1][0].startswith('Referring to him as only " the witness " , Amrozi')

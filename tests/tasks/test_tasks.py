"""What holds for every task: the registry, limits, fingerprint, chance, score."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_folders import GLUE_FILES, jsonl, philox_order, write

from intrinsic.errors import DataError, Diverged, SpecError, UnknownName
from intrinsic.plugins import entries_of
from intrinsic.problems import METRICS
from intrinsic.spec import TaskSpec
from intrinsic.tasks import TASKS, check_task, load_task
from intrinsic.tasks.base import ImageExamples, Loaded, Task, TextExamples, build_task, shuffled

EXPECTED = {
    "ag-news", "anli-r1", "anli-r2", "anli-r3", "boolq", "cb", "cola", "copa", "digits", "fashion-mnist", "files",
    "imdb", "imdb-offline", "mnist", "mnli", "mnli-mm", "mrpc", "multirc", "qnli", "qqp", "rotten-tomatoes", "rte",
    "sst2", "stsb", "wic", "wnli", "wsc", "yelp-polarity",
}  # fmt: skip


def table(tmp_path: Path, count: int = 50, **extra: object) -> str:
    rows = [{"text": f"text {i}", "label": "ab"[i % 3 == 0]} | extra for i in range(count)]
    return str(write(tmp_path / "data", {"train.jsonl": jsonl(rows), "test.jsonl": jsonl(rows[:20])}))


def test_the_registry_is_complete() -> None:
    assert set(TASKS) - entries_of("task").keys() == EXPECTED


def test_the_registry_needs_no_heavy_import() -> None:
    code = (
        "import sys, intrinsic.tasks as t; print(len(t.TASKS));"
        "print({'torch', 'transformers', 'datasets', 'numpy', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [str(len(TASKS)), "set()"]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_task_has_a_metric_that_exists_and_a_description(name: str) -> None:
    info = TASKS[name]
    assert set(info.metrics) <= {*METRICS, "combined", "exact_match"}
    assert info.metrics[0] in METRICS
    assert len(info.description) > 10
    assert (info.problem == "regression" or name == "files") == (info.label_names == ())


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"unknown task 'mrcp'.*cola.*did you mean 'mrpc'"):
        load_task(TaskSpec(name="mrcp"))


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("mrpc", {"text_columns": ("a",)}),
        ("mrpc", {"label_column": "y"}),
        ("stsb", {"regression": True}),
        ("digits", {"data_dir": "here"}),
        ("rotten-tomatoes", {"splits": ("train", "test")}),
    ],
)
def test_settings_that_belong_to_files_are_refused(name: str, setting: dict[str, object]) -> None:
    expected = (
        rf"takes no {next(iter(setting))} \(got .*\): leave it out, or use the task 'files' for files of your own"
    )
    with pytest.raises(SpecError, match=expected):
        load_task(TaskSpec.model_validate({"name": name, **setting}))


def test_images_are_not_cut_to_tokens() -> None:
    with pytest.raises(SpecError, match=r"'digits' has images and takes no max_length \(got 64\).* leave it at 128"):
        check_task(TaskSpec(name="digits", max_length=64))
    assert check_task(TaskSpec(name="digits", max_length=128)) is TASKS["digits"]


def test_data_that_may_not_be_read_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The superuser may look anywhere, so the answer of the operating system is made up here.
    def closed(path: Path) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(DataError, match=r"cannot read .*data \(Permission denied\): check its rights"):
        load_task(TaskSpec(name="files", data_dir=table(tmp_path)))


@pytest.mark.parametrize("count", [1, 2, 10, 1001])
@pytest.mark.parametrize("key", [1, 0x5EED_0001, 0x5EED_0002, 2**64 - 1])
def test_the_shuffle_is_philox_and_nothing_of_numpys_own(count: int, key: int) -> None:
    assert shuffled(count, key).tolist() == philox_order(count, key)


def test_limit_takes_the_first_of_a_fixed_shuffle(tmp_path: Path) -> None:
    data = table(tmp_path)
    whole = load_task(TaskSpec(name="files", data_dir=data))
    some = load_task(TaskSpec(name="files", data_dir=data, limit=10, eval_limit=5))
    more = load_task(TaskSpec(name="files", data_dir=data, limit=20))
    assert isinstance(whole.train, TextExamples)
    assert isinstance(some.train, TextExamples)
    assert isinstance(more.train, TextExamples)
    assert (some.num_train, some.num_eval, more.num_train) == (10, 5, 20)
    assert some.train.columns[0] == more.train.columns[0][:10] != whole.train.columns[0][:10]
    assert set(more.train.columns[0]) < set(whole.train.columns[0])
    order = philox_order(50, 0x5EED_0001)
    assert some.train.columns[0] == tuple(f"text {i}" for i in order[:10])
    assert "the first 10 of a fixed shuffle of 50 training examples" in some.description
    assert "the first 5 of a fixed shuffle of 20 evaluation examples" in some.description
    assert "50 training examples" in whole.description


def test_a_limit_beyond_the_data_uses_all_and_says_so(tmp_path: Path) -> None:
    data = table(tmp_path)
    task = load_task(TaskSpec(name="files", data_dir=data, limit=99, eval_limit=20))
    assert (task.num_train, task.num_eval) == (50, 20)
    assert "all 50 training examples (the limit is 99)" in task.description
    assert task.fingerprint == load_task(TaskSpec(name="files", data_dir=data)).fingerprint


def test_a_limit_that_leaves_one_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the 1 training examples of 'files' all have one label.*raise --limit"):
        load_task(TaskSpec(name="files", data_dir=table(tmp_path), limit=1))


def test_a_split_without_examples_is_an_error() -> None:
    some, none = TextExamples((("a", "b"),), np.array([0, 1])), TextExamples(((),), np.array([], dtype=np.int64))
    with pytest.raises(DataError, match="task 'files' has 2 training and 0 evaluation examples"):
        build_task(TASKS["files"], TaskSpec(name="files"), Loaded(some, none, ("a", "b"), "here"))


def test_the_fingerprint_sees_every_used_example_and_nothing_else(tmp_path: Path) -> None:
    base = load_task(TaskSpec(name="files", data_dir=table(tmp_path / "a")))
    assert load_task(TaskSpec(name="files", data_dir=table(tmp_path / "b", unread=1))).fingerprint == base.fingerprint
    assert len(base.fingerprint) == 64
    others = {
        load_task(TaskSpec(name="files", data_dir=table(tmp_path / "c", 51))).fingerprint,
        load_task(TaskSpec(name="files", data_dir=table(tmp_path / "d"), limit=40)).fingerprint,
        load_task(TaskSpec(name="files", data_dir=table(tmp_path / "e"), eval_limit=10)).fingerprint,
        load_task(TaskSpec(name="files", data_dir=table(tmp_path / "f"), splits=("test", "train"))).fingerprint,
    }
    assert len(others | {base.fingerprint}) == 5


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=2, max_size=5))
def test_text_digests_differ_wherever_texts_do(texts: list[str]) -> None:
    labels = np.zeros(len(texts), dtype=np.int64)
    digest = TextExamples((tuple(texts),), labels).digest()
    moved = [texts[0] + texts[1][:1], texts[1][1:], *texts[2:]]
    assert (TextExamples((tuple(moved),), labels).digest() == digest) == (moved == texts)
    assert TextExamples((tuple(texts),), labels.astype(np.float32)).digest() != digest


def test_image_digests_see_pixels_shape_and_labels() -> None:
    pixels, labels = np.arange(24, dtype=np.uint8).reshape(2, 1, 3, 4), np.array([0, 1])
    variants = [(pixels, labels), (pixels, labels[::-1]), (pixels.reshape(2, 1, 4, 3), labels), (pixels + 1, labels)]
    assert len({ImageExamples(p, y).digest() for p, y in variants}) == 4


def glue(tmp_path: Path, name: str) -> Task:
    return load_task(TaskSpec(name=name, data_dir=str(write(tmp_path, GLUE_FILES[name]))))


def test_score_of_classification(tmp_path: Path) -> None:
    task = glue(tmp_path, "mrpc")
    logits = np.array([[0.1, 2.0], [3.0, 1.0], [0.0, 1.0], [0.0, 1.0]], dtype=np.float32)
    scores = task.score(logits, np.array([1, 0, 0, 1]))
    assert scores == pytest.approx({"accuracy": 0.75, "f1": 0.8, "combined": 0.775})
    assert next(iter(scores)) == task.metric == "accuracy"


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_score_of_regression_takes_a_column_or_a_vector(tmp_path: Path, shape: tuple[int, ...]) -> None:
    task = glue(tmp_path, "stsb")
    assert (task.problem.name, task.num_labels, task.metric, task.chance) == ("regression", 1, "pearson", 0.0)
    scores = task.score(np.array([1.0, 2.0, 4.0]).reshape(shape), np.array([0.0, 5.0, 4.0], dtype=np.float32))
    expected = np.corrcoef([1, 2, 4], [0, 5, 4])[0, 1]
    assert scores == pytest.approx({"pearson": expected, "spearman": 0.5, "combined": (expected + 0.5) / 2})


def test_score_refuses_shapes_that_do_not_fit(tmp_path: Path) -> None:
    task = glue(tmp_path, "mrpc")
    for logits, labels in (((4, 3), 4), ((4, 2), 3), ((0, 2), 0), ((4,), 4)):
        with pytest.raises(SpecError, match=r"expected logits \[n, 2\] and labels \[n\] with n > 0, got"):
            task.score(np.zeros(logits), np.zeros(labels))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_score_of_outputs_that_are_not_finite_is_divergence(tmp_path: Path, bad: float) -> None:
    with pytest.raises(Diverged, match="1 of the model's outputs are not finite"):
        glue(tmp_path, "mrpc").score(np.array([[0.0, bad], [0.0, 0.0]]), np.array([0, 1]))


def test_chance_is_the_best_constant_answer(tmp_path: Path) -> None:
    assert glue(tmp_path / "sst2", "sst2").chance == pytest.approx(2 / 3)
    assert glue(tmp_path / "cola", "cola").chance == 0.0
    assert load_task(TaskSpec(name="files", data_dir=table(tmp_path))).chance == pytest.approx(13 / 20)

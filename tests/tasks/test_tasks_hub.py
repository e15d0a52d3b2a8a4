"""The Hub's data sets, read from copies in a folder and from the library's cache; no network is used."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pytest
from task_folders import hub_dataset

from intrinsic.errors import DataError
from intrinsic.spec import TaskSpec
from intrinsic.tasks import TASKS, hub, load_task, superglue
from intrinsic.tasks.base import TextExamples

TEXT_TASKS = sorted(name for name, info in TASKS.items() if info.hub and info.kind == "text")


@pytest.fixture(autouse=True)
def _no_bars() -> Iterator[None]:
    """The fixtures below write data sets, whose bars are the library's own affair."""
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def snapshot(root: Path, name: str, sizes: dict[str, int] | None = None, *, card: bool = True) -> Path:
    """A folder as the Hub lays it out: config/split-00000-of-00001.parquet, and the card that names them."""
    info = TASKS[name]
    assert info.hub is not None
    config = info.hub.config or "plain_text"
    sizes = sizes or {info.splits[0]: 6, info.splits[1]: 4}
    (root / config).mkdir(parents=True)
    for split, count in sizes.items():
        hub_dataset(name, count).to_parquet(root / config / f"{split}-00000-of-00001.parquet")
    if card:
        files = "".join(f"  - split: {split}\n    path: {config}/{split}-*\n" for split in sizes)
        text = f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{files}---\n# A card\n"
        (root / "README.md").write_text(text)
    return root


def saved(root: Path, name: str) -> Path:
    train, evaluation = TASKS[name].splits
    datasets.DatasetDict({train: hub_dataset(name, 6), evaluation: hub_dataset(name, 4)}).save_to_disk(root)
    return root


@pytest.mark.parametrize("name", TEXT_TASKS)
@pytest.mark.parametrize("layout", [snapshot, saved])
def test_every_text_task_from_a_copy(tmp_path: Path, name: str, layout: Any) -> None:
    task = load_task(TaskSpec(name=name, data_dir=str(layout(tmp_path / "copy", name))))
    info = TASKS[name]
    assert (task.num_train, task.num_eval) == (6, 4)
    assert isinstance(task.train, TextExamples)
    assert 1 <= len(task.train.columns) <= 2
    if info.problem == "regression":
        assert task.eval.labels.tolist() == [0.0, 0.5, 1.0, 1.5]
    else:
        assert task.eval.labels.tolist() == [i % len(info.label_names) for i in range(4)]
        assert task.label_names == info.label_names
    if name not in superglue.COMPOSE:
        assert info.hub is not None
        assert [column[5] for column in task.train.columns] == [
            "Then he left the room" if column == "text" else f"{column} 5" for column in info.hub.columns
        ]


def test_one_configurations_folder_without_a_card(tmp_path: Path) -> None:
    root = snapshot(tmp_path / "glue", "mrpc", card=False)
    outer = load_task(TaskSpec(name="mrpc", data_dir=str(root)))
    inner = load_task(TaskSpec(name="mrpc", data_dir=str(root / "mrpc")))
    assert outer.fingerprint == inner.fingerprint
    assert "copy of nyu-mll/glue in glue, splits train and validation" in outer.description


def test_a_snapshot_in_the_hubs_cache_is_links_to_blobs(tmp_path: Path) -> None:
    root = snapshot(tmp_path / "real", "rte")
    links = tmp_path / "snapshots" / "abc"
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        blob = tmp_path / "blobs" / f"{len(list(tmp_path.glob('blobs/*')))}"
        blob.parent.mkdir(exist_ok=True)
        shutil.move(path, blob)
        link = links / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    assert load_task(TaskSpec(name="rte", data_dir=str(links))).num_train == 6


def test_a_copy_that_changed_is_read_anew(tmp_path: Path) -> None:
    """The library's cache, asked for the same folder twice, answers with what the folder held before."""
    root = snapshot(tmp_path / "copy", "rte", {"train": 6, "validation": 4})
    before = load_task(TaskSpec(name="rte", data_dir=str(root)))
    shutil.rmtree(root)
    snapshot(root, "rte", {"train": 8, "validation": 4})
    after = load_task(TaskSpec(name="rte", data_dir=str(root)))
    assert (before.num_train, after.num_train) == (6, 8)


def test_classes_in_another_order_are_put_right_by_name(tmp_path: Path) -> None:
    data = hub_dataset("rte", 4).rename_column("label", "old")
    swapped = datasets.ClassLabel(names=["not_entailment", "entailment"])
    data = data.add_column("label", [0, 0, 1, 1]).cast_column("label", swapped).remove_columns("old")
    datasets.DatasetDict({"train": data, "validation": data}).save_to_disk(tmp_path / "copy")
    task = load_task(TaskSpec(name="rte", data_dir=str(tmp_path / "copy")))
    assert task.train.labels.tolist() == [1, 1, 0, 0]


def test_other_classes_are_refused(tmp_path: Path) -> None:
    root = saved(tmp_path / "copy", "sst2")
    with pytest.raises(DataError, match=r"has no column 'premise'; its columns are: sentence, label, extra"):
        load_task(TaskSpec(name="cb", data_dir=str(root), splits=("train", "validation")))
    with pytest.raises(DataError, match="has the classes negative, positive; expected unacceptable, acceptable"):
        load_task(TaskSpec(name="cola", data_dir=str(root)))


def test_splits_that_are_missing_or_empty(tmp_path: Path) -> None:
    few = snapshot(tmp_path / "few", "rte", {"train": 6})
    with pytest.raises(DataError, match="copy of nyu-mll/glue in few has no split 'validation'; it has train"):
        load_task(TaskSpec(name="rte", data_dir=str(few)))
    empty = snapshot(tmp_path / "empty", "rte", {"train": 6, "validation": 0})
    with pytest.raises(
        DataError, match=r'empty for task .rte. \(ValueError: Instruction "validation" corresponds to no'
    ):
        load_task(TaskSpec(name="rte", data_dir=str(empty)))


def test_hidden_labels(tmp_path: Path) -> None:
    data = hub_dataset("rte", 4).cast_column("label", datasets.Value("int64"))
    hidden = data.remove_columns("label").add_column("label", [-1] * 4)
    hidden = hidden.cast_column("label", data.features["label"])
    datasets.DatasetDict({"train": data, "test": hidden}).save_to_disk(tmp_path / "copy")
    with pytest.raises(DataError, match=r"split 'test' of .* keeps its labels hidden \(label -1\); choose a split"):
        load_task(TaskSpec(name="rte", data_dir=str(tmp_path / "copy"), splits=("train", "test")))


def test_copies_that_cannot_be_read(tmp_path: Path) -> None:
    root = snapshot(tmp_path / "copy", "rte")
    (root / "rte" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(DataError, match=r"cannot load .*copy for task 'rte' \(\w+: .*\)$"):
        load_task(TaskSpec(name="rte", data_dir=str(root)))
    with pytest.raises(DataError, match=r"cannot load .*copy for task 'mrpc' \(ValueError: .*'mrpc' not found"):
        load_task(TaskSpec(name="mrpc", data_dir=str(root)))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"no data of task 'imdb' in .*nothing: expected a copy of stanfordnlp/imdb \("):
        load_task(TaskSpec(name="imdb", data_dir=str(tmp_path / "nothing")))
    with pytest.raises(DataError, match=r"expected GLUE's train.tsv, or a copy of nyu-mll/glue"):
        load_task(TaskSpec(name="mrpc", data_dir=str(tmp_path / "nothing")))
    hub_dataset("rte", 4).save_to_disk(tmp_path / "single")
    with pytest.raises(DataError, match=r"holds a single split; expected what DatasetDict.save_to_disk writes"):
        load_task(TaskSpec(name="rte", data_dir=str(tmp_path / "single")))


def test_composed_texts(tmp_path: Path) -> None:
    def first(name: str) -> list[str]:
        task = load_task(TaskSpec(name=name, data_dir=str(saved(tmp_path / name, name))))
        assert isinstance(task.train, TextExamples)
        return [column[0] for column in task.train.columns]

    assert first("copa") == ["premise 0", "What was the question 0? First: choice1 0 Second: choice2 0"]
    assert first("wic") == ["word 0: sentence1 0", "sentence2 0"]
    assert first("wsc") == ["Then *he* left the room", "span1_text 0"]
    assert first("multirc") == ["paragraph 0", "question 0 answer 0"]


@pytest.mark.parametrize("index", [-1, 3, 9])
def test_a_span_outside_its_text(index: int) -> None:
    with pytest.raises(DataError, match=rf"the span 'he' at word {index} lies outside its text 'a b c'"):
        superglue.mark("a b c", "he", index)
    assert superglue.mark("they scold and go", "they scold", 0) == "*they scold* and go"


def test_multirc_scores_whole_questions(tmp_path: Path) -> None:
    task = load_task(TaskSpec(name="multirc", data_dir=str(saved(tmp_path / "copy", "multirc"))))
    assert isinstance(task.eval, TextExamples)
    assert task.eval.groups == ("0/0", "0/0", "0/1", "0/1")
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    scores = task.score(logits, task.eval.labels)
    assert scores == pytest.approx({"f1": 0.8, "exact_match": 0.5, "combined": 0.65, "accuracy": 0.75})
    assert set(task.score(logits[:2], task.eval.labels[:2])) == {"f1", "accuracy"}
    assert task.chance == pytest.approx(2 / 3)


def test_loading_is_silent_and_leaves_the_library_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = snapshot(tmp_path / "copy", "rte")
    datasets.enable_progress_bars()
    level = logging.getLogger("datasets").level
    capfd.readouterr()
    load_task(TaskSpec(name="rte", data_dir=str(root)))
    assert capfd.readouterr() == ("", "")
    assert not datasets.are_progress_bars_disabled()
    assert logging.getLogger("datasets").level == level


def test_downloads_would_be_silent_too() -> None:
    import huggingface_hub.utils as hub_utils

    datasets.enable_progress_bars()
    with hub._quiet():
        assert datasets.are_progress_bars_disabled()
        assert hub_utils.are_progress_bars_disabled()
        assert not logging.getLogger("huggingface_hub.utils._http").isEnabledFor(logging.WARNING)
    assert not datasets.are_progress_bars_disabled()
    assert not hub_utils.are_progress_bars_disabled()


OFFLINE = r"cannot reach the Hugging Face Hub for nyu-mll/glue \(cola\).*no cached copy; set --data-dir.*HF_HOME"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def test_an_endpoint_that_refuses_fails_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(DataError, match=OFFLINE):
            load_task(TaskSpec(name="cola"))
    assert time.monotonic() - start < 40


def test_an_endpoint_that_never_answers_fails_within_the_limit(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "CONNECT_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(DataError, match=OFFLINE):
            load_task(TaskSpec(name="cola"))
        assert time.monotonic() - start < 40


def test_offline_mode_asks_nobody(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError("asked the network in offline mode")

    monkeypatch.setattr(huggingface_hub, "get_session", never)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=OFFLINE):
        load_task(TaskSpec(name="cola"))


@pytest.mark.parametrize("name", ["mrpc", "imdb", "mnli", "multirc"])
def test_a_cached_copy_is_enough(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The cache as the library leaves it: namespace___name/config/version/hash."""
    info = TASKS[name]
    assert info.hub is not None
    root = snapshot(tmp_path / info.hub.path.split("/")[1], name)
    folder = load_task(TaskSpec(name=name, data_dir=str(root)))
    config = info.hub.config or "plain_text"
    datasets.load_dataset(str(root), config, cache_dir=str(tmp_path / "made"))
    shutil.copytree(tmp_path / "made" / root.name / config, cache / info.hub.path.replace("/", "___") / config)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    cached = load_task(TaskSpec(name=name))
    assert cached.fingerprint == folder.fingerprint


def test_in_a_fresh_process_a_hub_name_fails_in_seconds(tmp_path: Path) -> None:
    code = (
        "from intrinsic.spec import TaskSpec; from intrinsic.tasks import load_task; load_task(TaskSpec(name='cola'))"
    )
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_OFFLINE", None)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert time.monotonic() - start < 40
    assert "DataError: cannot reach the Hugging Face Hub for nyu-mll/glue (cola)" in done.stderr
    assert "Retrying" not in done.stderr


def test_warnings_filters_are_left_alone(tmp_path: Path) -> None:
    before = list(warnings.filters)
    load_task(TaskSpec(name="rte", data_dir=str(saved(tmp_path / "copy", "rte"))))
    assert list(warnings.filters) == before

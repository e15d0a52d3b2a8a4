"""MNIST and Fashion-MNIST, read from a folder with the original idx files (gzip or not), or from the Hub."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intrinsic.errors import DataError
from intrinsic.problems import PROBLEMS, Targets
from intrinsic.spec import TaskSpec
from intrinsic.tasks import hub
from intrinsic.tasks.base import ImageExamples, Loaded
from intrinsic.tasks.catalogue import TaskInfo
from intrinsic.tasks.tables import Table

_PREFIXES = {"train": "train", "test": "t10k"}
_KINDS = ("images-idx3", "labels-idx1")


def load(info: TaskInfo, spec: TaskSpec) -> Loaded:
    """Load the splits `train` and `test`, or those that `spec.splits` names. Raises DataError."""
    root = None if spec.data_dir is None else Path(spec.data_dir).expanduser()
    if root is None or (_is_copy(root) and not any(root.glob("*ubyte*"))):
        return _from_hub(info, spec)
    if not any(root.glob("*ubyte*")):
        raise DataError(_no_idx(info, root))
    train, evaluation = (_split(info, root, name) for name in spec.splits or info.splits)
    return Loaded(train, evaluation, info.label_names, f"idx files in {root.name}")


def _is_copy(root: Path) -> bool:
    """Whether the folder may be a copy of the Hub's repository, which keeps its files up to two folders deep."""
    places = (f"{depth}*.{kind}" for depth in ("", "*/", "*/*/") for kind in ("parquet", "arrow"))
    return any(any(root.glob(place)) for place in places)


def _no_idx(info: TaskInfo, root: Path) -> str:
    assert info.hub is not None, info.name
    files = ", ".join(f"{prefix}-{kind}-ubyte[.gz]" for prefix in _PREFIXES.values() for kind in _KINDS)
    why = f"no idx files in {root}" if root.is_dir() else f"{root} is no folder"
    return f"{why}: expected {files}, or the parquet files of {info.hub.path}; give --data-dir the folder that has them"


def _split(info: TaskInfo, root: Path, name: str) -> ImageExamples:
    if name not in _PREFIXES:
        raise DataError(f"task {info.name!r} has no split {name!r}; it has {', '.join(_PREFIXES)}")
    images = read_idx(_find(root, f"{_PREFIXES[name]}-images-idx3-ubyte"), 3)
    labels = read_idx(_find(root, f"{_PREFIXES[name]}-labels-idx1-ubyte"), 1)
    if len(images) != len(labels):
        raise DataError(f"{root} has {len(images)} {name} images but {len(labels)} labels")
    ids = _targets(info, labels.tolist(), f"{name} labels in {root}")
    return ImageExamples(images[:, None], ids)


def _targets(info: TaskInfo, values: Sequence[Any], where: str) -> Targets:
    return PROBLEMS[info.problem].targets(values, info.label_names, where)


def _find(root: Path, stem: str) -> Path:
    for name in (stem, f"{stem}.gz", stem.replace("-idx", ".idx"), f"{stem.replace('-idx', '.idx')}.gz"):
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root} has no {stem} or {stem}.gz; data_dir is the folder with the four idx files")


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Array of `ndim` dimensions in an idx file of unsigned bytes. Raises DataError.

    LeCun's format: two zero bytes, type (8: unsigned byte), ndim, ndim big-endian uint32 sizes, the values.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    if len(data) < 4 + 4 * ndim or data[:4] != bytes((0, 0, 8, ndim)):
        raise DataError(
            f"{path} is no idx file of {ndim} dimensions of unsigned bytes: it starts with {data[:4].hex()!r}"
        )
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(ndim))
    values = len(data) - 4 - 4 * ndim
    if values != math.prod(shape) or values == 0:
        raise DataError(f"{path} announces {' x '.join(map(str, shape))} values but holds {values}")
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * ndim).reshape(shape)


def _from_hub(info: TaskInfo, spec: TaskSpec) -> Loaded:
    tables, origin = hub.read_splits(info, spec)
    train, evaluation = (_decoded(info, table, where) for table, where in tables)
    if train.pixels.shape[1:] != evaluation.pixels.shape[1:]:
        raise DataError(f"{origin}: training and evaluation images differ in size")
    return Loaded(train, evaluation, info.label_names, origin)


def _decoded(info: TaskInfo, table: Table, where: str) -> ImageExamples:
    images = [_grey(image, where) for image in table["image"]]
    if len({image.shape for image in images}) > 1:
        raise DataError(f"{where}: the images differ in size")
    return ImageExamples(np.stack(images)[:, None], _targets(info, table["label"], where))


def _grey(image: Any, where: str) -> NDArray[np.uint8]:
    """Grey pixels [H, W] of a picture as the Hub stores it: {"bytes": ..., "path": ...}, one of which may be None."""
    from PIL import Image

    try:
        source = image["path"] if image["bytes"] is None else io.BytesIO(image["bytes"])
        return np.asarray(Image.open(source).convert("L"), dtype=np.uint8)
    except (OSError, TypeError, KeyError, ValueError) as error:
        raise DataError(f"{where} holds an image that cannot be decoded ({error})") from None

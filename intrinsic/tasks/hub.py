"""Data sets of the Hugging Face Hub: online, from the library's cache, or from a copy in a folder.

`data_dir` may be a snapshot of the Hub's repository (parquet files, with or without the card), one configuration's
folder of it, or what `DatasetDict.save_to_disk` wrote. Without `data_dir` the Hub is asked. One request of at most
CONNECT_SECONDS finds out whether it answers; if not, only the library's cache (HF_HOME) is read, so that a machine
without a network does not wait. HF_HUB_OFFLINE and HF_ENDPOINT are respected.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from intrinsic.errors import DataError
from intrinsic.problems import PROBLEMS
from intrinsic.spec import TaskSpec
from intrinsic.tasks import superglue
from intrinsic.tasks.base import Loaded, TextExamples
from intrinsic.tasks.catalogue import Hub, TaskInfo
from intrinsic.tasks.tables import Table, texts

CONNECT_SECONDS = 5.0
"""Seconds that the Hub may take to answer the request that finds out whether it can be reached."""


def load(info: TaskInfo, spec: TaskSpec) -> Loaded:
    """Load a text task from the Hub, its cache or a copy. Raises DataError."""
    tables, origin = read_splits(info, spec)
    train, evaluation = (_examples(info, table, where) for table, where in tables)
    return Loaded(train, evaluation, info.label_names, origin)


def read_splits(info: TaskInfo, spec: TaskSpec) -> tuple[list[tuple[Table, str]], str]:
    """Tables of the training and the evaluation split, each with its name for errors, and a phrase on their origin.

    A table holds the task's columns and `label`. Raises DataError.
    """
    hub = info.hub
    assert hub is not None, info.name
    splits = spec.splits or info.splits
    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        try:
            if spec.data_dir is None:
                found, origin = _from_hub(hub), f"{hub.path}{f' ({hub.config})' if hub.config else ''}"
            else:
                root = Path(spec.data_dir).expanduser().resolve()
                found, origin = _from_folder(root, hub, scratch), f"copy of {hub.path} in {root.name}"
            tables = [(_table(info, found, split, origin), f"split {split!r} of {origin}") for split in splits]
        except (DataError, MemoryError, PermissionError):
            raise
        except Exception as error:  # the library raises a dozen kinds; each becomes one sentence
            raise _refusal(info, spec, error) from error
    return tables, f"{origin}, splits {splits[0]} and {splits[1]}"


def _refusal(info: TaskInfo, spec: TaskSpec, error: Exception) -> DataError:
    assert info.hub is not None, info.name
    if spec.data_dir is not None and isinstance(error, FileNotFoundError):  # the library found nothing it knows
        return DataError(
            f"no data of task {info.name!r} in {spec.data_dir}: expected {info.hub.besides}a copy of "
            f"{info.hub.path} (its parquet files, or what DatasetDict.save_to_disk writes); "
            "give --data-dir the folder that has it"
        )
    reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return DataError(f"cannot load {spec.data_dir or info.hub.path} for task {info.name!r} ({reason})")


def _from_hub(hub: Hub) -> Any:
    import datasets

    if not _reachable():
        with _offline():
            try:
                return datasets.load_dataset(hub.path, hub.config)
            except (ConnectionError, FileNotFoundError, ValueError):  # how the library says "not in the cache"
                name = f"{hub.path} ({hub.config})" if hub.config else hub.path
                raise DataError(
                    f"cannot reach the Hugging Face Hub for {name}, and {datasets.config.HF_DATASETS_CACHE} "
                    "has no cached copy; set --data-dir to a folder with the data, HF_HOME to a cache with a "
                    "copy, or unset HF_HUB_OFFLINE where it is set"
                ) from None
    return datasets.load_dataset(hub.path, hub.config)


def _from_folder(root: Path, hub: Hub, scratch: str) -> Any:
    """The data set in a folder, converted under `scratch`: the library's own cache is stale once a file has changed."""
    import datasets

    inner = root / hub.config if hub.config and (root / hub.config).is_dir() else root
    if not root.is_dir():
        raise DataError(f"{root} does not exist or is no folder; expected a copy of {hub.path}")
    for folder in (root, inner):
        if (folder / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(folder), keep_in_memory=True)
        if (folder / "state.json").is_file():
            raise DataError(f"{folder} holds a single split; expected what DatasetDict.save_to_disk writes")
    if (root / "README.md").is_file():
        return datasets.load_dataset(str(root), hub.config, cache_dir=scratch, keep_in_memory=True)
    return datasets.load_dataset(str(inner), cache_dir=scratch, keep_in_memory=True)


def _table(info: TaskInfo, found: Any, split: str, origin: str) -> Table:
    hub = info.hub
    assert hub is not None, info.name
    if split not in found:
        raise DataError(f"{origin} has no split {split!r}; it has {', '.join(found)}")
    data = found[split]
    wanted = (*hub.columns, hub.label)
    for name in wanted:
        if name not in data.column_names:
            raise DataError(
                f"{origin} has no column {name!r}; its columns are: {', '.join(data.column_names)}; "
                f"give --data-dir a folder with the data of {hub.path}"
            )
    feature_names = getattr(data.features[hub.label], "names", None)
    table: Table = data.with_format(None).select_columns(list(wanted)).to_dict()
    if info.label_names:
        table[hub.label] = _renamed(table[hub.label], feature_names, info.label_names, origin)
    return {("label" if name == hub.label else name): values for name, values in table.items()}


def _renamed(values: list[Any], found: Sequence[str] | None, names: Sequence[str], origin: str) -> list[Any]:
    """Labels as the names of their classes where the copy numbers the classes in another order; else unchanged."""
    if found is None or tuple(found) == tuple(names):
        return values
    if set(found) != set(names):
        raise DataError(f"{origin} has the classes {', '.join(found)}; expected {', '.join(names)}")
    return [value if value is None or value < 0 else found[value] for value in values]


def _examples(info: TaskInfo, table: Table, where: str) -> TextExamples:
    assert info.hub is not None, info.name
    columns = {
        name: texts(values, name, where) if name not in superglue.NOT_TEXT else values
        for name, values in table.items()
        if name != "label"
    }
    values = table["label"]
    labels = PROBLEMS[info.problem].targets(values, info.label_names, where)
    if info.name in superglue.COMPOSE:
        return TextExamples(superglue.COMPOSE[info.name](columns), labels, superglue.groups(info.name, columns))
    return TextExamples(tuple(tuple(columns[name]) for name in info.hub.columns), labels)


def _reachable() -> bool:
    """Whether the Hub answers one request; it is sent from a thread, because name resolution has no time limit."""
    import datasets
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE or datasets.config.HF_HUB_OFFLINE:
        return False
    answered = threading.Event()

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=CONNECT_SECONDS)
        except Exception:  # whatever the reason, the Hub is out of reach
            return
        answered.set()

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    asker.join(CONNECT_SECONDS)
    return answered.is_set()


@contextmanager
def _offline() -> Iterator[None]:
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the libraries' progress bars, log lines and warnings; afterwards their settings are restored."""
    import datasets
    import huggingface_hub.utils as hub_utils

    libraries = (datasets, hub_utils)
    shown = [not library.are_progress_bars_disabled() for library in libraries]
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub", "fsspec")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for library in libraries:
                library.disable_progress_bars()
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            for library, was_shown in zip(libraries, shown, strict=True):
                if was_shown:
                    library.enable_progress_bars()

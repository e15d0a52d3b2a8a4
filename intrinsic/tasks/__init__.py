"""Tasks: data, labels and metric. The registry is importable without torch, transformers or datasets.

>>> from intrinsic.spec import TaskSpec
>>> from intrinsic.tasks import TASKS, load_task
>>> task = load_task(TaskSpec(name="mrpc", data_dir="glue/MRPC"))      # doctest: +SKIP
>>> prepared = task.prepare(tokenizer)                                 # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from intrinsic.errors import DataError, SpecError, UnknownName
from intrinsic.spec import TaskSpec
from intrinsic.tasks.catalogue import TASKS, TaskInfo

if TYPE_CHECKING:
    from intrinsic.tasks.base import Task

__all__ = ["TASKS", "TaskInfo", "check_task", "comes_from_hub", "load_task"]

DEFAULTS = TaskSpec()


def check_task(spec: TaskSpec) -> TaskInfo:
    """The task's row in the catalogue, if it takes the settings; no data are read.

    A setting that would change nothing is refused, unless it has its default.
    Raises UnknownName for a name outside TASKS, SpecError for a setting the task does not take.
    """
    if spec.name not in TASKS:
        raise UnknownName("task", spec.name, TASKS)
    info = TASKS[spec.name]
    idle = [f"{field} (got {getattr(spec, field)!r})" for field in _foreign(info) if _is_set(spec, field)]
    if idle:
        raise SpecError(
            f"task {info.name!r} has its own data and takes no {', '.join(idle)}: leave it out, "
            "or use the task 'files' for files of your own"
        )
    if info.kind == "vision" and _is_set(spec, "max_length"):
        raise SpecError(
            f"task {info.name!r} has images and takes no max_length (got {spec.max_length}), which cuts texts: "
            f"leave it at {DEFAULTS.max_length}"
        )
    return info


def load_task(spec: TaskSpec) -> Task:
    """Read the task's two splits, check them, cut them to the limits.

    Raises what check_task raises, and DataError for data that are absent, damaged or not what was announced.
    """
    info = check_task(spec)
    try:
        loaded = import_module(f"intrinsic.tasks.{info.loader}").load(info, spec)
    except OSError as error:  # a folder that may not be looked into, say
        where = error.filename or spec.data_dir or info.name
        raise DataError(f"cannot read {where} ({error.strerror or error}): check its rights and the disk") from error
    build: Task = import_module("intrinsic.tasks.base").build_task(info, spec, loaded)
    return build


def comes_from_hub(spec: TaskSpec) -> bool:
    """Whether the data are asked of the Hub, or of its cache on this machine."""
    return TASKS[spec.name].hub is not None and spec.data_dir is None


def _is_set(spec: TaskSpec, field: str) -> bool:
    return bool(getattr(spec, field) != getattr(DEFAULTS, field))


def _foreign(info: TaskInfo) -> tuple[str, ...]:
    """Fields of TaskSpec that say nothing about this task."""
    columns = ("text_columns", "label_column", "regression")
    return {"files": (), "embedded": (*columns, "data_dir", "splits")}.get(info.loader, columns)

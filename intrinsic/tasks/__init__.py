"""Tasks: data, labels and metric. The registry is importable without torch, transformers or datasets.

>>> from intrinsic.spec import TaskSpec
>>> from intrinsic.tasks import TASKS, load_task
>>> task = load_task(TaskSpec(name="mrpc", data_dir="glue/MRPC"))      # doctest: +SKIP
>>> prepared = task.prepare(tokenizer)                                 # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from intrinsic.errors import SpecError, UnknownName
from intrinsic.spec import TaskSpec
from intrinsic.tasks.catalogue import TASKS, TaskInfo

if TYPE_CHECKING:
    from intrinsic.tasks.base import Task

__all__ = ["TASKS", "TaskInfo", "load_task"]


def load_task(spec: TaskSpec) -> Task:
    """Read the task's two splits, check them, cut them to the limits.

    Raises UnknownName for a name outside TASKS, SpecError for settings the task does not take,
    DataError for data that are absent, damaged or not what was announced.
    """
    if spec.name not in TASKS:
        raise UnknownName("task", spec.name, TASKS)
    info = TASKS[spec.name]
    _refuse_foreign_settings(info, spec)
    loaded = import_module(f"intrinsic.tasks.{info.loader}").load(info, spec)
    build: Task = import_module("intrinsic.tasks.base").build_task(info, spec, loaded)
    return build


def _refuse_foreign_settings(info: TaskInfo, spec: TaskSpec) -> None:
    refused = {
        "text_columns": bool(spec.text_columns) and info.loader != "files",
        "label_column": spec.label_column is not None and info.loader != "files",
        "regression": spec.regression and info.loader != "files",
        "data_dir": spec.data_dir is not None and info.loader == "embedded",
        "splits": spec.splits is not None and info.loader == "embedded",
    }
    given = [name for name, bad in refused.items() if bad]
    if given:
        raise SpecError(
            f"task {info.name!r} has its own data and takes no {', '.join(given)}; "
            "for files of your own use the task 'files'"
        )

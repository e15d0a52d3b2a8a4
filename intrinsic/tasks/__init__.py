"""Tasks: data, labels and metric, by name. Importing this package imports no torch, transformers or datasets.

>>> from intrinsic.spec import TaskSpec
>>> from intrinsic.tasks import TASKS, load_task
>>> task = load_task(TaskSpec(name="mrpc", data_dir="glue/MRPC"))      # doctest: +SKIP
>>> prepared = task.prepare(tokenizer)                                 # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intrinsic.errors import DataError, SpecError, UnknownName
from intrinsic.plugins import REPAIR, check_call, named, printed, titled
from intrinsic.spec import TaskSpec
from intrinsic.tasks.catalogue import TASKS, TaskInfo

if TYPE_CHECKING:
    from intrinsic.tasks.base import Loaded, Task

__all__ = ["TASKS", "TaskInfo", "check_task", "comes_from_hub", "load_task"]

DEFAULTS = TaskSpec()
"""Default settings of a task."""
ALWAYS = ("name", "limit", "eval_limit")
"""Names of the settings that every task takes."""


def check_task(spec: TaskSpec) -> TaskInfo:
    """The catalogue's entry for the task, adapted to the settings, which are checked; no data are read.

    A setting that the task does not use is refused, unless it has its default.
    Raises UnknownName for a name outside TASKS, SpecError for a setting the task does not take.
    """
    if spec.name not in TASKS:
        raise UnknownName("task", spec.name, TASKS)
    info = TASKS[spec.name]
    idle = [field for field in TaskSpec.model_fields if field not in (*ALWAYS, *info.takes) and _is_set(spec, field)]
    own = [f"{field} (got {getattr(spec, field)!r})" for field in idle if field != "max_length"]
    if own:
        raise SpecError(
            f"task {info.name!r} has its own data and takes no {', '.join(own)}: leave it out, "
            "or use the task 'files' for files of your own"
        )
    if idle:
        raise SpecError(
            f"task {info.name!r} has images and takes no max_length (got {spec.max_length}), which cuts texts: "
            f"leave it at {DEFAULTS.max_length}"
        )
    return info.asked(spec)


def load_task(spec: TaskSpec) -> Task:
    """Read the task's two splits, check them, and cut them to the limits.

    Raises what :func:`check_task` raises, SpecError for another package's loader that takes or gives other things than
    a loader does, and DataError for data that are absent, damaged or of another form.
    """
    info = check_task(spec)
    try:
        loaded = _read(info, spec)
    except OSError as error:  # such as a folder that may not be read
        where = error.filename or spec.data_dir or info.name
        raise DataError(f"cannot read {where} ({error.strerror or error}): check its rights and the disk") from error
    build: Task = named(".base:build_task", __name__)(info, spec, loaded)
    return build


def _read(info: TaskInfo, spec: TaskSpec) -> Loaded:
    """Both splits, as the task's loader gives them. Raises SpecError for a package's loader that breaks its word."""
    load = named(info.loader, __name__)
    if TASKS.is_own(info.name):
        own: Loaded = load(info, spec)
        return own
    what = titled("task", info.name)
    check_call(what, "load(info, spec)", load, info, spec)
    loaded = load(info, spec)
    expected: type[Loaded] = named(".base:Loaded", __name__)
    if not isinstance(loaded, expected):
        raise SpecError(f"{what} must load an intrinsic.tasks.base.Loaded, got {printed(loaded)}: {REPAIR}")
    return loaded


def comes_from_hub(spec: TaskSpec) -> bool:
    """Whether the data are read from the Hub, or from its cache on this machine, and not from the user's files."""
    return TASKS[spec.name].hub is not None and spec.data_dir is None


def _is_set(spec: TaskSpec, field: str) -> bool:
    return bool(getattr(spec, field) != getattr(DEFAULTS, field))

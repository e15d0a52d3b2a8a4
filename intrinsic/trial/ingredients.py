"""The data and the model of a trial, kept between the trials of one process so that the next one starts at once."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from intrinsic.models import load_model
from intrinsic.models.loaded import LoadedModel
from intrinsic.spec import TaskSpec, TrialSpec
from intrinsic.tasks import load_task
from intrinsic.tasks.base import Prepared, Task


class _Shelf:
    """A cache of the few things asked for last, as many as fit into a budget of bytes, and always the last one."""

    def __init__(self, size: int, budget: float = math.inf, weigh: Callable[[Any], int] = lambda thing: 0) -> None:
        self._size, self._budget, self._weigh = size, budget, weigh
        self._things: OrderedDict[object, Any] = OrderedDict()

    def get(self, key: object, build: Callable[[], Any]) -> Any:
        if key not in self._things:
            self._things[key] = build()
        self._things.move_to_end(key)
        while len(self._things) > 1 and self._is_overfull():
            self._things.popitem(last=False)
        return self._things[key]

    def clear(self) -> None:
        self._things.clear()

    def _is_overfull(self) -> bool:
        return len(self._things) > self._size or sum(map(self._weigh, self._things.values())) > self._budget


def _model_bytes(loaded: LoadedModel) -> int:
    return sum(p.numel() * p.element_size() for p in loaded.model.parameters())


_TASKS, _PREPARED = _Shelf(2), _Shelf(2)
_MODELS = _Shelf(8, 2**29, _model_bytes)
"""Models at theta_0 for up to 8 head seeds in turn, of 512 MiB together."""


def forget() -> None:
    """Empty the caches: the next trial reads data and weights again."""
    for shelf in (_TASKS, _PREPARED, _MODELS):
        shelf.clear()


def task_of(spec: TaskSpec) -> tuple[Task, str]:
    """The task and its fingerprint, which takes a pass over the data; both are cached.

    Raises what load_task raises.
    """

    def build() -> tuple[Task, str]:
        task = load_task(spec)
        return task, task.fingerprint

    task: tuple[Task, str] = _TASKS.get(spec, build)
    return task


def model_of(spec: TrialSpec, task: Task) -> LoadedModel:
    """The trial's own copy of the model at theta_0, so that no training shows in the next trial.

    Raises what load_model raises.
    """
    seed = spec.seeds.initialisation
    facts = {
        "num_labels": task.num_labels,
        "problem": task.problem,
        "kind": task.kind,
        "input_shape": task.input_shape,
    }
    key = (spec.model, tuple(facts.values()), seed)
    pristine: LoadedModel = _MODELS.get(key, lambda: load_model(spec.model, **facts, seed=seed))  # type: ignore[arg-type]
    return dataclasses.replace(pristine, model=copy.deepcopy(pristine.model))


def data_of(spec: TrialSpec, task: Task, loaded: LoadedModel) -> Prepared:
    """The task's examples, prepared for the model; the same for every head seed."""
    prepared: Prepared = _PREPARED.get((spec.task, spec.model), lambda: task.prepare(loaded.preprocessor))
    return prepared

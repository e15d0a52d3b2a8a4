"""The costs of a method besides its training time: memory in training, and latency against the full model."""

from __future__ import annotations

import copy
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from intrinsic.methods import attach
from intrinsic.methods.base import Forward, Trainable
from intrinsic.problems import Problem
from intrinsic.records import Latency, Profile
from intrinsic.spec import FULL, TrialSpec
from intrinsic.tasks.base import Prepared
from intrinsic.training import loss_of
from intrinsic.training.batches import Batch
from intrinsic.training.evaluation import training_batches
from intrinsic.trial.ingredients import data_of, model_of, task_of

BATCH_SIZES = (1, 16, 32)
"""Batch sizes at which latency is measured."""
ROUNDS, WARM_UP = 15, 2
"""Smallest number of timed passes of each model, and number of passes before them that are not timed."""
SECONDS = 0.5
"""Least time, in seconds, that one batch size is measured for: other work on the machine may last longer than ROUNDS
short passes."""
STEPS = 2
"""Number of training steps in which memory is measured: the second one sees the optimiser's state from its start."""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are alive, and their peak.

    Memory that an operation holds only while it runs is not seen.
    """

    def __init__(self, tensors: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        """Bytes of the storages alive now, each counted once."""
        self.peak: int = 0
        """Largest value that `now` has had."""
        self._alive: set[int] = set()
        for tensor in tensors:
            self._see(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return made

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._alive:
            self._alive.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.now -= size


def standing(model: nn.Module) -> Iterator[Tensor]:
    """Every tensor that the model holds before a step, in whatever it holds it.

    parameters() and buffers() are not all of them: theta_0 of a subspace stands beside them, its weights are plain
    attributes, and some of peft's layers keep random indices in dicts.
    """
    seen: set[int] = set()
    rest: list[object] = [model]
    while rest:
        held = rest.pop()
        if id(held) in seen or isinstance(held, type | ModuleType | FunctionType | MethodType | str | bytes):
            continue
        seen.add(id(held))
        if isinstance(held, Tensor):
            yield held
        elif isinstance(held, Mapping):
            rest += held.values()
        elif isinstance(held, list | tuple | set | frozenset):
            rest += held
        else:
            rest += getattr(held, "__dict__", {}).values()


def profile_trial(spec: TrialSpec) -> Profile:
    """Measure memory and latency of a trial's method on its own model and data, without training it.

    peak_bytes: over two steps of AdamW at the spec's batch size. On a GPU it is the allocator's own count, else that of
    LiveBytes over all that stands before the first step.

    latencies: eval mode, batches of 1, 16 and 32 evaluation examples, milliseconds. Full model, unmerged and merged
    method run in turn, and the least of ROUNDS or more passes counts, as other work on the machine only ever adds to
    it.

    Raises what run_trial raises.
    """
    task, _ = task_of(spec.task)
    loaded = model_of(spec, task)
    prepared = data_of(spec, task, loaded)
    full = copy.deepcopy(loaded.model)
    trainable = attach(loaded, spec.method, spec.seeds)
    peak = _peak(trainable, prepared, spec, task.problem)
    return Profile(peak_bytes=peak, latencies=_latencies(full, trainable, spec, task.problem))


def _peak(trainable: Trainable, prepared: Prepared, spec: TrialSpec, problem: Problem) -> int:
    device = _device()
    model = trainable.model.to(device).train()
    parameters = list(trainable.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=0.0, fused=device.type == "cuda" or None)
    batch = _batch(prepared, spec.optim.batch_size, device, train=True)

    def steps() -> None:
        for _ in range(STEPS):
            inputs = {k: v for k, v in batch.items() if k != "labels"}
            loss: Tensor = loss_of(model(**inputs).logits, batch["labels"], problem) + trainable.penalty()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        steps()
        allocated: int = torch.cuda.max_memory_allocated(device)
        return allocated
    with LiveBytes(standing(model)) as live:
        steps()
    peak: int = live.peak
    return peak


def _latencies(full: nn.Module, trainable: Trainable, spec: TrialSpec, problem: Problem) -> tuple[Latency, ...]:
    device = _device()
    task, _ = task_of(spec.task)
    loaded = model_of(spec, task)
    prepared = data_of(spec, task, loaded)
    respond = partial(problem.answer, trainable.model.eval())
    trainable.prepare_answers(training_batches(prepared, spec.optim.eval_batch_size))
    runners: dict[str, Forward] = {
        "full": partial(problem.answer, full.to(device).eval()),
        "unmerged": partial(trainable.answer, respond),
    }
    if trainable.mergeable and spec.method.name != FULL:
        merged = attach(loaded, spec.method, spec.seeds)
        runners["merged"] = partial(problem.answer, merged.merge().to(device).eval())
    return tuple(_latency(runners, _batch(prepared, size, device, train=False), size) for size in BATCH_SIZES)


def _latency(runners: dict[str, Forward], batch: Batch, size: int) -> Latency:
    inputs = {k: v for k, v in batch.items() if k != "labels"}
    times: dict[str, list[float]] = {name: [] for name in runners}
    names = list(runners)
    with torch.no_grad():
        begin, turn = time.perf_counter(), 0
        while turn < WARM_UP + ROUNDS or time.perf_counter() - begin < SECONDS:
            for name in names[turn % len(names) :] + names[: turn % len(names)]:  # no model is always first
                seconds = _time(partial(runners[name], inputs))
                if turn >= WARM_UP:
                    times[name].append(1e3 * seconds)
            turn += 1
    found = {name: round(min(some), 4) for name, some in times.items()}
    return Latency(batch_size=size, full=found["full"], unmerged=found["unmerged"], merged=found.get("merged"))


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _time(run: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begin = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _batch(prepared: Prepared, size: int, device: torch.device, *, train: bool) -> Batch:
    split: Any = prepared.train if train else prepared.eval
    batch = prepared.collate([split[i % len(split)] for i in range(size)])
    return {k: v.to(device) for k, v in batch.items()}

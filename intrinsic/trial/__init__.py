"""One training run, from a spec to a record."""

from __future__ import annotations

import gc
import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from intrinsic.errors import DataError, Diverged, ModelError, SpecError
from intrinsic.methods import attach
from intrinsic.methods.base import Trainable
from intrinsic.records import Meta, TrialResult, TrialRun, TrialStatus, TrialTrain
from intrinsic.spec import TrialSpec
from intrinsic.tasks.base import Task
from intrinsic.training import FitReport, OnStep, fit
from intrinsic.training.runtime import device_name, is_main_process
from intrinsic.trial.check import check_trial, outline_trial
from intrinsic.trial.ingredients import data_of, model_of, task_of

__all__ = ["Interrupted", "check_trial", "outline_trial", "run_trial"]

PACKAGES = ("intrinsic", "torch", "transformers", "tokenizers", "accelerate", "datasets", "safetensors", "numpy",
            "numba", "scikit-learn", "peft")  # fmt: skip
"""Packages whose versions are recorded."""
_NO_MEMORY = ("not enough memory", "out of memory", "cannot allocate memory", "bad allocation")

logger = logging.getLogger(__name__)
Facts = dict[str, Any]
"""Fields of TrialTrain by name."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a trial; `result` is the trial's record, with status `interrupted`."""

    def __init__(self, result: TrialResult) -> None:
        super().__init__(f"trial {result.run.trial_id} was interrupted")
        self.result = result


def run_trial(
    spec: TrialSpec,
    *,
    save_dir: str | Path | None = None,
    progress: OnStep | None = None,
    threads: int | None = None,
) -> TrialResult:
    """Load the task and the model, attach the method, train and evaluate; return the record.

        save_dir   folder for the method's artefact (of the policy's checkpoint); None: it is not kept
        progress   called as progress(step, total, loss) while training
        threads    number of torch's threads during the trial; None: as it is

    Divergence, lack of memory and any exception in training are recorded: status `diverged`, `out-of-memory` or
    `failed`, and one sentence. Input that cannot be run would fail in every trial alike, so SpecError, DataError and
    ModelError are raised as they are. Ctrl-C raises :class:`Interrupted`.
    """
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    attempt = _Attempt(spec, save_dir, progress)
    with _threads(threads):
        status, error = _outcome(attempt)
        meta = Meta(versions=_versions(), device=device_name(), threads=torch.get_num_threads(), hashes=attempt.hashes)
    if status == "out-of-memory":
        _free_memory()
    run = TrialRun(
        trial_id=spec.id,
        spec=spec,
        status=status,
        error=error,
        started=started,
        seconds=time.perf_counter() - clock,
    )
    result = TrialResult(run=run, train=TrialTrain(**attempt.facts), meta=meta)
    if status == "interrupted":
        raise Interrupted(result)
    return result


@dataclass
class _Attempt:
    """A trial in progress: what was asked for, and the facts known so far."""

    spec: TrialSpec
    save_dir: str | Path | None
    progress: OnStep | None
    facts: Facts = field(default_factory=dict)
    """Fields of TrialTrain."""
    hashes: dict[str, str] = field(default_factory=dict)

    def note(self, step: int, total: int, loss: float) -> None:
        self.facts["steps"] = step
        if self.progress is not None:
            self.progress(step, total, loss)


def _outcome(attempt: _Attempt) -> tuple[TrialStatus, str | None]:
    """Run the trial, which fills in the facts as they become known; returns the status and the error's sentence."""
    optim = attempt.spec.optim
    try:
        _run(attempt)
    except (SpecError, DataError, ModelError):
        raise
    except KeyboardInterrupt:
        return "interrupted", "interrupted by the user; the same command runs this trial again"
    except Diverged as error:
        return "diverged", str(error)
    except Exception as error:
        logger.debug("trial %s", attempt.spec.id, exc_info=True)
        if _is_lack_of_memory(error):
            return "out-of-memory", (
                f"memory ran out at batch_size {optim.batch_size}, eval_batch_size "
                f"{optim.eval_batch_size}; lower them, and raise accumulate for the same gradient"
            )
        return "failed", _sentence(error)
    return "ok", None


def _run(attempt: _Attempt) -> None:
    spec, facts, hashes = attempt.spec, attempt.facts, attempt.hashes
    task, hashes["data"] = task_of(spec.task)
    facts.update(_task_facts(task))
    loaded = model_of(spec, task)
    hashes["weights"] = loaded.weights_sha256
    prepared = data_of(spec, task, loaded)
    trainable = attach(loaded, spec.method, spec.seeds)
    facts.update(_method_facts(trainable))
    report = fit(trainable, prepared, task, spec.optim, spec.seeds.data_order, progress=attempt.note)
    facts.update(_training_facts(report), artefact_bytes=trainable.artefact_bytes)
    if attempt.save_dir is not None and is_main_process():
        trainable.save(attempt.save_dir)


def _task_facts(task: Task) -> Facts:
    return {
        "metric": task.metric,
        "higher_is_better": task.higher_is_better,
        "chance": task.chance,
        "num_train": task.num_train,
        "num_eval": task.num_eval,
        "num_labels": task.num_labels,
    }


def _method_facts(trainable: Trainable) -> Facts:
    return {
        "parameters_trained": trainable.parameters_trained,
        "parameters_stored": trainable.parameters_stored,
        "head_parameters": trainable.head_parameters,
        "full_dim": trainable.full_dim,
    }


def _training_facts(report: FitReport) -> Facts:
    return {name: getattr(report, name) for name in FitReport.__dataclass_fields__}


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_lack_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _sentence(error: Exception) -> str:
    """The kind and the first line of an error; the rest goes to the log at level DEBUG."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:300]}"


@lru_cache(maxsize=1)
def _installed() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:  # run from a checkout that was never installed
            continue
    return tuple(found)


def _versions() -> dict[str, str]:
    return dict(_installed())

"""Errors of a trial that is trained again: the training risk, from which every bound but the test set's begins.

Trials do not record it: a pass over the training split would lengthen each for a number that only bounds ask for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from intrinsic.errors import SpecError
from intrinsic.methods import attach
from intrinsic.methods.base import Trainable
from intrinsic.problems import Problem
from intrinsic.records import ErrorCount, Meta, TrialErrors
from intrinsic.seeds import derive
from intrinsic.spec import TrialSpec
from intrinsic.tasks.base import Prepared, Task, shuffled
from intrinsic.training import OnStep, fit
from intrinsic.training.batches import Batch, Share
from intrinsic.training.evaluation import Evaluator
from intrinsic.training.runtime import device_name
from intrinsic.trial.ingredients import data_of, model_of, task_of

AS_TRAINED = 32
"""Bits of a coordinate in float32, the width at which it is not rounded."""
SCALES = 2.0 ** (torch.arange(-128, 128, dtype=torch.float64) / 8)
"""Allowed steps between two levels, float64 [256]: 8 bits a tensor tell which was taken."""


def count_errors(
    spec: TrialSpec, widths: tuple[int, ...], *, random_labels: bool = False, progress: OnStep | None = None
) -> TrialErrors:
    """Train as the trial did, then count errors on both splits, in eval mode and float32, at every width.

    widths: bits a coordinate; at 32 the coordinates are as trained, below that each tensor's distance from its start is
    rounded by :func:`rounded`. An output that is not finite is an error. The bounds hold of the network that is trained
    here, whether or not it equals the stored trial's bit for bit; `score` shows how near it comes.

    random_labels: shuffle the training labels first.

    Raises SpecError for a task without classes, for a method whose answers depend on the batch, and what `run_trial`
    raises; Diverged if training diverges.
    """
    clock = time.perf_counter()
    task, data_hash = task_of(spec.task)
    task.problem.check_countable(task.name, "a bound")
    loaded = model_of(spec, task)
    if random_labels:
        task = shuffle_labels(task, spec.seeds.data_order)
    prepared = task.prepare(loaded.preprocessor) if random_labels else data_of(spec, task, loaded)
    trainable = attach(loaded, spec.method, spec.seeds)
    if trainable.answers_by_batch:
        answering = spec.method.of or spec.method.name
        raise SpecError(
            f"the answers of method {answering!r} depend on the other examples of their batch, so it is no "
            "function of one example whose error could be bounded: choose another method"
        )
    start, buffers = _copies(trainable.named_parameters()), _copies(trainable.model.named_buffers())
    report = fit(trainable, prepared, task, spec.optim, spec.seeds.data_order, progress=progress)
    learned = [name for name, now in trainable.model.named_buffers() if not torch.equal(now.cpu(), buffers[name])]
    counter = _Counter(trainable, prepared, task.problem, spec.optim.eval_batch_size)
    return TrialErrors(
        trial_id=spec.id,
        spec=spec,
        random_labels=random_labels,
        num_train=task.num_train,
        num_eval=task.num_eval,
        coordinates=trainable.parameters_trained,
        tensors=len(start),
        counts=tuple(counter.at(bits, start) for bits in sorted(widths, reverse=True)),
        learned_buffers=tuple(learned),
        score=report.score,
        seconds=time.perf_counter() - clock,
        meta=Meta(
            versions={"torch": torch.__version__},
            device=device_name(),
            threads=torch.get_num_threads(),
            hashes={"data": data_hash, "weights": loaded.weights_sha256},
        ),
    )


def shuffle_labels(task: Task, seed: int) -> Task:
    """The task with its training labels in a random order, so that only the classes' shares can be learned."""
    order = shuffled(task.num_train, derive(seed, "random-labels"))
    return replace(task, train=replace(task.train, labels=task.train.labels[order]))


def rounded(values: Tensor, bits: int) -> Tensor:
    """The values, each at the nearest of 2^bits levels (j + 1/2) step, j = -2^(bits-1) .. 2^(bits-1) - 1; same shape.

    The step is the one of SCALES with the least squared error. A value's level costs `bits` bits, the tensor's step 8.
    """
    x, half = values.detach().double().cpu(), 2 ** (bits - 1)

    def at(step: Tensor) -> Tensor:
        return (torch.floor(x / step).clamp(-half, half - 1) + 0.5) * step

    best = min(SCALES, key=lambda step: float((at(step) - x).square().sum()))
    return at(best).to(values)


@dataclass(frozen=True)
class _Counter:
    """Counts the errors of a trained model at several widths."""

    trainable: Trainable
    prepared: Prepared
    problem: Problem
    batch_size: int

    def at(self, bits: int, start: Mapping[str, Tensor]) -> ErrorCount:
        """The errors with coordinates rounded to `bits`; afterwards the parameters are as trained again."""
        trained = _copies(self.trainable.named_parameters())
        if bits < AS_TRAINED:
            self._set({name: start[name] + rounded(value - start[name], bits) for name, value in trained.items()})
        counted = ErrorCount(
            bits=bits, train_errors=self._errors(self.prepared.train), eval_errors=self._errors(self.prepared.eval)
        )
        self._set(trained)
        return counted

    def _set(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.trainable.named_parameters():
                parameter.copy_(values[name])

    def _errors(self, split: Dataset[Batch]) -> int:
        evaluate = Evaluator(self.prepared, self.problem, self.batch_size, Share(), split)
        outputs, labels = evaluate(self.trainable, self._respond)
        return int(self.problem.errors(outputs, labels).sum())

    def _respond(self, batch: Mapping[str, Tensor]) -> Tensor:
        device = next(self.trainable.parameters()).device
        return self.problem.answer(self.trainable.model, {k: v.to(device) for k, v in batch.items()})


def _copies(named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in named}

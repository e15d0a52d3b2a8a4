"""The optimiser loop, the same for every method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from intrinsic.methods.base import Trainable
from intrinsic.problems import Problem
from intrinsic.problems.metrics import signed
from intrinsic.records import HistoryPoint
from intrinsic.seeds import derive
from intrinsic.spec import OptimSpec
from intrinsic.tasks.base import Prepared, Task
from intrinsic.training.batches import Batch, Micro, Share, TrainBatches
from intrinsic.training.evaluation import Answers, Evaluator, keep_modes
from intrinsic.training.monitor import Monitor, OnStep
from intrinsic.training.runtime import Logits, distribute, own_accelerator, own_randomness, same_buffers

__all__ = ["FitReport", "OnStep", "fit", "loss_of", "rate_factor"]


@dataclass(frozen=True)
class FitReport:
    """Results of a training run; scores are those of the task's primary metric unless said otherwise."""

    score: float
    """Score of the checkpoint that the policy names, which is the one left in the model."""
    scores: dict[str, float]
    """All of the task's metrics for that checkpoint."""
    last_score: float
    """Score after the last step."""
    best_score: float
    """Best score of all evaluations."""
    best_step: int
    """The step after which the best score was reached first."""
    train_loss: float
    """Mean loss over the last tenth of the steps."""
    history: tuple[HistoryPoint, ...]
    """All evaluations, in order."""
    steps: int
    """Number of optimiser steps."""
    seconds_per_step: float
    """Median seconds of a step, evaluations left out."""


def fit(
    trainable: Trainable,
    prepared: Prepared,
    task: Task,
    optim: OptimSpec,
    data_seed: int,
    *,
    progress: OnStep | None = None,
) -> FitReport:
    """Train and evaluate, and leave the model with the weights of the policy's checkpoint.

    Loss: the problem's (cross-entropy, or the mean squared error for regression), computed from the logits in float32,
    plus the method's own penalty if it has one (losses are reported without).

    Optimiser: AdamW (betas .9, .999, eps 1e-8) or plain SGD without momentum. Weight decay acts on tensors of two and
    more dimensions, so never on biases, norms, theta_d or lambdas. Rate: see :func:`rate_factor`; the gradient is
    clipped to norm `clip` before the step.

    All randomness comes from data_seed: the order of the examples from its stream `order`, dropout from its stream
    `dropout`; the global generators are left as they were. On the CPU equal arguments give equal bits for an equal
    number of threads. Under `accelerate launch` (on CPUs `ACCELERATE_USE_CPU=true torchrun`) the processes divide every
    batch among them (batch_size stays the batch's); the result is that of one process but for rounding, dropout and
    batch norm.

    Raises Diverged for a loss, an output or, with `clip`, a gradient that is not finite (but not for an fp16 step that
    the gradient scaler skips), SpecError for settings that this machine cannot honour, DataError for an empty split.
    """
    with own_accelerator(optim.precision) as accelerator:
        seed = derive(data_seed, "dropout", accelerator.process_index)
        with own_randomness(seed, accelerator.device), keep_modes(trainable.model):
            return _Loop(trainable, prepared, task, optim, data_seed, accelerator, progress).run()


def rate_factor(optim: OptimSpec, step: int, total: int) -> float:
    """The factor on the learning rate at a step, counted from 0, of `total` steps.

    With w = round(warmup * total): (step + 1) / (w + 1) while step < w; from there on 1 (constant), 1 - s (linear) or
    (1 + cos(pi s)) / 2 (cosine), s = (step - w) / (total - w). Deviation from transformers' schedules: neither the
    first nor the last step has rate 0, at which it would change nothing.
    """
    warm = round(optim.warmup * total)
    if step < warm:
        return (step + 1) / (warm + 1)
    done = (step - warm) / (total - warm)
    return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[optim.schedule]


def make_optimizer(trainable: Trainable, optim: OptimSpec, device: torch.device) -> torch.optim.Optimizer:
    """AdamW or SGD over the trained parameters, in two groups: with and without weight decay."""
    parameters = list(trainable.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": optim.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")  # one pass over the weights instead of a dozen
    used = [g for g in groups if g["params"]]
    if optim.optimizer == "sgd":
        return torch.optim.SGD(used, lr=optim.learning_rate, fused=fused)
    return torch.optim.AdamW(used, lr=optim.learning_rate, fused=fused)


def loss_of(outputs: Tensor, labels: Tensor, problem: Problem) -> Tensor:
    """The problem's mean loss over a batch, a scalar, computed in float32 or wider.

    outputs: the model's, one row for each example; labels: the batch's.
    """
    return problem.loss(outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs, labels)


class _Loop:
    """One run; fit() gives it its surroundings."""

    def __init__(
        self,
        trainable: Trainable,
        prepared: Prepared,
        task: Task,
        optim: OptimSpec,
        data_seed: int,
        accelerator: Accelerator,
        progress: OnStep | None,
    ) -> None:
        share = Share(accelerator.process_index, accelerator.num_processes)
        self.trainable, self.task, self.optim, self.accelerator = trainable, task, optim, accelerator
        self.batches = TrainBatches(prepared.train, prepared.collate, optim, data_seed, share)
        self.evaluator = Evaluator(prepared, task.problem, optim.eval_batch_size, share)
        self.total = self.batches.total
        self.plain = Logits(trainable.model.to(accelerator.device))
        self.parameters = list(trainable.parameters())
        self.optimizer = make_optimizer(trainable, optim, accelerator.device)
        # only the fp16 scaler needs accelerate's wrapper, which looks at the disk at every step
        scaled = accelerator.scaler is not None
        self.stepper: Any = accelerator.prepare_optimizer(self.optimizer) if scaled else self.optimizer
        self.model = distribute(self.plain, accelerator, self._has_unused())
        self.monitor = Monitor(self.total, optim, accelerator.device, self._reduce, progress)
        self.history: list[HistoryPoint] = []
        self.scores: dict[str, float] = {}
        self.best: HistoryPoint | None = None
        self.best_scores: dict[str, float] = {}
        self.best_state: Mapping[str, Tensor] = {}

    def run(self) -> FitReport:
        self.model.train()
        self.monitor.start_clock()
        for step, micros in enumerate(self.batches, 1):
            self._step(step, micros)
            if self._is_due(step):
                self.monitor.look(step)
                self._evaluate(step)
                self.monitor.start_clock()
        return self._report()

    def _step(self, step: int, micros: list[Micro]) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.optim.learning_rate * rate_factor(self.optim, step - 1, self.total)
        loss = torch.zeros((), device=self.accelerator.device)
        for i, micro in enumerate(micros):
            last = i == len(micros) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                loss = loss + self._backward(micro)
        norm = None
        if self.optim.clip is not None:
            self.accelerator.unscale_gradients()
            norm = nn.utils.clip_grad_norm_(self.parameters, self.optim.clip)
        self.stepper.step()
        self.trainable.after_step(step, self.total)
        self.optimizer.zero_grad()
        self.monitor.record(step, loss, norm)

    def _backward(self, micro: Micro) -> Tensor:
        """Add the gradient of one pass; returns the pass's part of the step's loss, detached."""
        batch = dict(micro.batch)
        labels = batch.pop("labels").to(self.accelerator.device, non_blocking=True)
        loss = loss_of(self._forward(self.model, batch), labels, self.task.problem) * micro.weight
        # DDP averages the gradients over the processes, but their sum is wanted
        penalised = loss + self.trainable.penalty() * micro.weight
        self.accelerator.backward(penalised * self.accelerator.num_processes)
        return loss.detach()

    def _forward(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs = self._moved(batch)
        with self.accelerator.autocast():
            logits: Tensor = model(**inputs)
        return logits

    def _respond(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The outputs for a batch of an evaluation."""
        inputs = self._moved(batch)
        with self.accelerator.autocast():
            return self.task.problem.answer(self.plain.model, inputs)

    def _moved(self, batch: Mapping[str, Tensor]) -> Batch:
        return {k: v.to(self.accelerator.device, non_blocking=True) for k, v in batch.items()}

    def _is_due(self, step: int) -> bool:
        every = self.optim.eval_every
        return step == self.total or (every is not None and step % every == 0)

    def _evaluate(self, step: int) -> None:
        outputs, labels = self._answers()
        if not np.isfinite(outputs).all():
            raise self.monitor.diverged(step, "the model's output is")
        self.scores = self.task.score(outputs, labels)
        since = self.history[-1].step if self.history else 0
        point = HistoryPoint(
            step=step,
            train_loss=self.monitor.mean_loss(since, step),
            score=self.scores[self.task.metric],
        )
        self.history.append(point)
        if self.best is None or self._is_better(point.score, self.best.score):
            self.best, self.best_scores = point, self.scores
            if self.optim.policy == "best":
                self.best_state = {k: v.detach().clone() for k, v in self.trainable.state_dict().items()}

    def _answers(self) -> Answers:
        same_buffers(self.plain, self.accelerator)
        return self.evaluator(self.trainable, self._respond, gather_object)

    def _is_better(self, score: float, than: float) -> bool:
        higher = self.task.higher_is_better
        return signed(score, higher) > signed(than, higher)

    def _report(self) -> FitReport:
        assert self.best is not None  # the last step always evaluates
        last = self.history[-1]
        keep_best = self.optim.policy == "best"
        if keep_best and self.best is not last:
            self.trainable.load_state_dict(self.best_state)
        return FitReport(
            score=self.best.score if keep_best else last.score,
            scores=self.best_scores if keep_best else self.scores,
            last_score=last.score,
            best_score=self.best.score,
            best_step=self.best.step,
            train_loss=self.monitor.mean_loss(self.total - max(1, self.total // 10), self.total),
            history=tuple(self.history),
            steps=self.total,
            seconds_per_step=self.monitor.seconds_per_step,
        )

    def _reduce(self, losses: Tensor) -> Tensor:
        summed: Tensor = self.accelerator.reduce(losses, "sum")
        return summed

    def _has_unused(self) -> bool:
        """Whether some trained parameter gets no gradient; looked at only where several processes must agree."""
        if self.accelerator.num_processes == 1:
            return False
        batch = dict(next(iter(self.batches))[0].batch)
        batch.pop("labels")
        with keep_modes(self.plain):
            self.plain.eval()  # so that batch norm's statistics stay as they are
            self._forward(self.plain, batch).sum().backward()  # type: ignore[no-untyped-call]
        unused = any(p.grad is None for p in self.parameters)
        self.optimizer.zero_grad()
        return unused

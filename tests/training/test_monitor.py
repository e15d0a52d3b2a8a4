"""Divergence is noticed, dated, and told from the steps that an fp16 scaler leaves out."""

from __future__ import annotations

import math

import pytest
import torch
from toy import Loaded, ToyTask, loaded, one_thread

from intrinsic.errors import Diverged
from intrinsic.methods import attach
from intrinsic.spec import MethodSpec, OptimSpec, SeedSpec
from intrinsic.training import fit
from intrinsic.training.monitor import Monitor

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["one_thread"]


def run(optim: OptimSpec, start: Loaded | None = None) -> None:
    task = ToyTask()
    fit(attach(start or loaded(), MethodSpec(), SeedSpec()), task.prepare(None), task, optim, 0)


def test_an_absurd_rate_is_reported_with_step_and_rate() -> None:
    with pytest.raises(Diverged, match=r"not finite at step \d+ of 50 \(learning rate 1e\+30\); lower the"):
        run(OptimSpec(learning_rate=1e30, steps=50, warmup=0))


def test_a_gradient_that_is_not_finite_is_divergence() -> None:
    start = loaded()
    start.model.hidden.weight.register_hook(lambda grad: grad * math.inf)
    with pytest.raises(Diverged, match="the gradient is not finite at step 1 of 5"):
        run(OptimSpec(steps=5), start)


def test_weights_broken_by_the_last_step_are_found_by_the_evaluation() -> None:
    start = loaded()
    start.model.hidden.weight.register_hook(lambda grad: grad * math.nan)
    with pytest.raises(Diverged, match="the model's output is not finite at step 1 of 1"):
        run(OptimSpec(steps=1, clip=None), start)


def monitor(total: int, precision: str = "no", device: str = "cpu") -> Monitor:
    optim = OptimSpec(steps=total, precision=precision)
    return Monitor(total, optim, torch.device(device), lambda x: x, None)


def test_steps_skipped_by_the_fp16_scaler_are_no_divergence_unless_they_never_end() -> None:
    watch, loss, inf = monitor(200, "fp16"), torch.tensor(1.0), torch.tensor(math.inf)
    for step in range(1, 33):
        watch.record(step, loss, inf)
    watch.record(33, loss, loss)
    for step in range(34, 66):
        watch.record(step, loss, inf)
    with pytest.raises(Diverged, match="the gradient is not finite at step 66"):
        watch.record(66, loss, inf)


def test_on_an_asynchronous_device_divergence_is_dated_though_it_is_seen_later() -> None:
    watch = monitor(40, device="meta")
    watch._losses, watch._norms = torch.zeros(40), torch.zeros(40)
    for step in range(1, 16):
        watch.record(step, torch.tensor(math.nan if step >= 5 else 1.0), torch.tensor(1.0))
    assert watch.losses == []
    with pytest.raises(Diverged, match="the loss is not finite at step 5 of 40"):
        watch.record(16, torch.tensor(1.0), torch.tensor(1.0))

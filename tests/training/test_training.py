"""fit(): against a loop written by hand, and where a run may not depend on what it should not depend on."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from toy import Loaded, Net, ToyTask, collate, loaded, one_thread

from intrinsic.errors import DataError, SpecError
from intrinsic.methods import attach
from intrinsic.methods.base import Trainable
from intrinsic.problems import PROBLEMS
from intrinsic.spec import MethodSpec, OptimSpec, SeedSpec
from intrinsic.training import FitReport, fit, make_optimizer, rate_factor
from intrinsic.training.batches import epoch_order

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["one_thread"]


def run(
    optim: OptimSpec, *, task: ToyTask | None = None, seed: int = 0, start: Loaded | None = None, **settings: object
) -> tuple[FitReport, Trainable]:
    task = task or ToyTask()
    trainable = attach(start or loaded(**settings), MethodSpec(), SeedSpec())
    return fit(trainable, task.prepare(None), task, optim, seed), trainable


def weights(trainable: Trainable) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in trainable.model.parameters()])


# ---------------------------------------------------------------- what is computed


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_steps_are_those_of_a_loop_written_by_hand(optimizer: str) -> None:
    optim = OptimSpec(
        optimizer=optimizer, learning_rate=1e-2, steps=9, batch_size=16, clip=0.5, weight_decay=0.1, warmup=0.2
    )
    report, trainable = run(optim, seed=3)

    task, model = ToyTask(), loaded().model
    data = task.prepare(None).train
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    kind = torch.optim.AdamW if optimizer == "adamw" else torch.optim.SGD
    by_hand = kind(groups, lr=1e-2, foreach=False, fused=False)
    order = np.concatenate([epoch_order(3, 0, 96), epoch_order(3, 1, 96)])
    factors = [1 / 3, 2 / 3] + [1 - k / 7 for k in range(7)]
    losses = []
    for step, factor in enumerate(factors):
        for group in by_hand.param_groups:
            group["lr"] = 1e-2 * factor
        batch = collate([data[int(i)] for i in order[16 * step : 16 * step + 16]])
        labels = batch.pop("labels")
        loss = nn.functional.cross_entropy(model(**batch).logits, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        by_hand.step()
        by_hand.zero_grad()
        losses.append(loss.item())

    expected = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    torch.testing.assert_close(weights(trainable), expected, rtol=1e-5, atol=1e-6)
    assert report.train_loss == pytest.approx(losses[-1], rel=1e-5)
    assert report.history[0].train_loss == pytest.approx(sum(losses) / 9, rel=1e-5)
    assert report.steps == 9
    assert report.seconds_per_step > 0


def test_it_learns() -> None:
    report, _ = run(OptimSpec(learning_rate=3e-2, epochs=20, batch_size=16))
    assert report.score > 0.9
    assert report.scores == {"accuracy": report.score, "error": 1 - report.score}
    assert report.steps == 120


def test_regression_minimises_the_squared_error_and_takes_the_lowest_as_best() -> None:
    task = ToyTask(problem=PROBLEMS["regression"], metric="mse", higher_is_better=False, num_labels=1)
    optim = OptimSpec(learning_rate=3e-2, steps=60, batch_size=32, eval_every=20, policy="best")
    report, _ = run(optim, task=task, labels=1)
    scores = [point.score for point in report.history]
    assert report.score == report.best_score == min(scores)
    assert report.score < 0.5 * float(np.var([i["labels"] for i in task.prepare(None).eval.items]))


@pytest.mark.parametrize(("batch_size", "accumulate"), [(16, 2), (8, 4), (12, 3)])
def test_accumulated_batches_are_one_batch(batch_size: int, accumulate: int) -> None:
    # 70 examples: the last step of an epoch is smaller, and its micro-batches are of unequal size
    whole = OptimSpec(learning_rate=1e-2, epochs=2, batch_size=batch_size * accumulate)
    parts = whole.model_copy(update={"batch_size": batch_size, "accumulate": accumulate})
    (one, a), (many, b) = run(whole, task=ToyTask(num_train=70)), run(parts, task=ToyTask(num_train=70))
    assert one.steps == many.steps
    torch.testing.assert_close(weights(a), weights(b), rtol=0, atol=1e-5)


def test_schedules() -> None:
    def factors(total: int = 10, **settings: object) -> list[float]:
        return [rate_factor(OptimSpec(steps=total, **settings), step, total) for step in range(total)]

    assert factors(warmup=0, schedule="constant") == [1.0] * 10
    assert factors(warmup=0) == pytest.approx([1 - k / 10 for k in range(10)])
    assert factors(warmup=0.2)[:4] == pytest.approx([1 / 3, 2 / 3, 1, 1 - 1 / 8])
    cosine = factors(warmup=0.2, schedule="cosine")
    assert cosine[2:] == pytest.approx([(1 + math.cos(math.pi * k / 8)) / 2 for k in range(8)])
    assert factors(warmup=1.0)[-1] == pytest.approx(10 / 11)
    assert all(factor > 0 for factor in factors(warmup=0.06) + cosine)


def test_weight_decay_spares_vectors() -> None:
    trainable = attach(loaded(), MethodSpec(), SeedSpec())
    groups = make_optimizer(trainable, OptimSpec(steps=1, weight_decay=0.3), torch.device("cpu")).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] == 0.3 for p in group["params"]}
    for name, parameter in trainable.named_parameters():
        assert (id(parameter) in decayed) == (name in ("embeddings.weight", "hidden.weight", "classifier.weight"))


# ---------------------------------------------------------------- what a run depends on, and what it leaves alone


def test_the_same_call_gives_the_same_bits_whatever_the_global_generators_say() -> None:
    optim = OptimSpec(learning_rate=1e-2, steps=12, batch_size=16, eval_every=5)
    torch.manual_seed(1)
    first, a = run(optim, dropout=0.3)
    torch.manual_seed(2)
    np.random.seed(5)
    second, b = run(optim, dropout=0.3)
    assert torch.equal(weights(a), weights(b))
    assert first.history == second.history
    assert not torch.equal(weights(a), weights(run(optim, seed=1, dropout=0.3)[1]))


def test_evaluating_more_often_changes_nothing() -> None:
    often = OptimSpec(learning_rate=1e-2, steps=12, eval_every=1)
    rarely = often.model_copy(update={"eval_every": None})
    assert torch.equal(weights(run(often, dropout=0.3)[1]), weights(run(rarely, dropout=0.3)[1]))


def test_global_generators_and_modes_are_left_as_they_were() -> None:
    start = loaded(dropout=0.3)
    start.model.eval()
    start.model.hidden.train()
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    run(OptimSpec(steps=3), start=start)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()
    assert before[2] == random.getstate()
    assert start.model.hidden.training
    assert not start.model.dropout.training


def test_dropout_acts_in_training_and_not_in_evaluation() -> None:
    task = ToyTask()
    optim = OptimSpec(learning_rate=1e-12, steps=2, eval_every=1)
    report, _ = run(optim, task=task, dropout=0.5)
    np.testing.assert_allclose(task.scored[0], task.scored[1], atol=1e-6)
    plain, _ = run(optim)
    assert abs(plain.history[0].train_loss - report.history[0].train_loss) > 1e-4


def test_logits_come_in_the_order_of_the_split() -> None:
    task = ToyTask()
    _, trainable = run(OptimSpec(steps=2, eval_batch_size=7), task=task)
    items = task.prepare(None).eval
    model = trainable.model.eval()
    alone = [
        model(input_ids=item["input_ids"][None], attention_mask=item["attention_mask"][None]).logits[0]
        for item in items.items
    ]
    np.testing.assert_allclose(task.scored[-1], torch.stack(alone).detach(), atol=1e-6)


def test_an_accelerator_of_the_callers_keeps_its_precision() -> None:
    theirs = Accelerator(mixed_precision="bf16")
    try:
        run(OptimSpec(steps=1))
        assert theirs.state.mixed_precision == "bf16"
        assert Accelerator(mixed_precision="bf16").mixed_precision == "bf16"
    finally:
        AcceleratorState._reset_state()


# ---------------------------------------------------------------- precision


def test_bf16_computes_in_bf16_and_keeps_weights_in_float32() -> None:
    seen = []

    class Spy(Net):
        def forward(self, **batch: torch.Tensor) -> object:
            out = super().forward(**batch)
            seen.append(out.logits.dtype)
            return out

    model = Spy()
    model.load_state_dict(loaded().model.state_dict())
    report, trainable = run(OptimSpec(learning_rate=1e-2, steps=40, precision="bf16"), start=Loaded(model))
    assert set(seen) == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in trainable.parameters())
    assert report.score > 0.7
    assert "forward" not in vars(trainable.model)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_fp16_without_a_gpu_is_refused() -> None:
    with pytest.raises(SpecError, match="precision 'fp16' needs a GPU"):
        run(OptimSpec(steps=1, precision="fp16"))


# ---------------------------------------------------------------- policies


def test_best_and_last_are_both_recorded_and_the_policy_decides_which_weights_stay() -> None:
    task = ToyTask()
    optim = OptimSpec(learning_rate=0.5, optimizer="sgd", schedule="constant", steps=24, eval_every=2, batch_size=4)
    last, at_last = run(optim, task=task)
    best, at_best = run(optim.model_copy(update={"policy": "best"}))
    scores = [point.score for point in last.history]
    assert max(scores) > scores[-1]  # else this test shows nothing
    assert [point.step for point in last.history] == list(range(2, 25, 2))
    assert last.history == best.history
    assert (last.score, last.last_score, last.best_score) == (scores[-1], scores[-1], max(scores))
    assert (best.score, best.last_score, best.best_score) == (max(scores), scores[-1], max(scores))
    assert best.best_step == 2 + 2 * scores.index(max(scores))

    early, at_early = run(optim.model_copy(update={"steps": best.best_step}))
    assert early.score == best.score
    assert torch.equal(weights(at_best), weights(at_early))
    assert torch.equal(at_best.model.calls, at_early.model.calls)  # buffers go back too
    assert not torch.equal(weights(at_best), weights(at_last))


def test_the_last_step_is_evaluated_even_between_two_evaluations() -> None:
    report, _ = run(OptimSpec(steps=7, eval_every=3))
    assert [point.step for point in report.history] == [3, 6, 7]


# ---------------------------------------------------------------- the border


def test_progress_hears_of_every_step() -> None:
    heard = []
    task = ToyTask()
    fit(
        attach(loaded(), MethodSpec(), SeedSpec()),
        task.prepare(None),
        task,
        OptimSpec(steps=4, batch_size=8),
        0,
        progress=lambda *call: heard.append(call),
    )
    assert [call[:2] for call in heard] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(0 < loss < 5 for _, _, loss in heard)


@pytest.mark.parametrize(("task", "split"), [(ToyTask(num_train=0), "training"), (ToyTask(num_eval=0), "evaluation")])
def test_an_empty_split_is_refused(task: ToyTask, split: str) -> None:
    with pytest.raises(DataError, match=f"the {split} split is empty"):
        run(OptimSpec(steps=1), task=task)


def test_unused_parameters_do_no_harm() -> None:
    start = loaded()
    start.model.unused = nn.Linear(3, 3)
    before = copy.deepcopy(start.model.unused.state_dict())
    run(OptimSpec(steps=2, weight_decay=0.5), start=start)
    assert torch.equal(before["weight"], start.model.unused.weight)

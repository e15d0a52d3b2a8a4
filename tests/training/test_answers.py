"""A method that changes inference answers in evaluation, in counted errors and in latencies alike."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toy import ToyTask, loaded, one_thread

from intrinsic.errors import SpecError
from intrinsic.methods.full import FullFineTuning
from intrinsic.spec import ModelSpec, OptimSpec, TaskSpec, TrialSpec
from intrinsic.training import fit
from intrinsic.trial import profile, risk

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["one_thread"]

OPTIM = OptimSpec(learning_rate=1e-2, steps=4, batch_size=16, eval_every=2, eval_batch_size=20)


class Contrary:
    """Answers the opposite of what the model says, and looks at the training examples before it does."""

    batch_dependent = False

    def __init__(self, inner: FullFineTuning) -> None:
        self.inner = inner
        self.prepared: list[tuple[int, bool, bool]] = []
        """For every preparation: labels seen, whether gradients could be taken, whether the model was in eval mode."""
        self.asked: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def prepare_answers(self, batches) -> None:
        seen = sum(len(batch["labels"]) for batch in batches)
        self.prepared.append((seen, torch.is_grad_enabled(), not self.inner.model.training))

    def answer(self, forward, batch):
        assert "labels" not in batch
        self.asked.append(len(next(iter(batch.values()))))
        with torch.no_grad():
            return -forward(batch)

    @property
    def answers_by_batch(self) -> bool:
        return self.batch_dependent


def test_an_evaluation_prepares_first_and_then_asks_batch_by_batch() -> None:
    task, (plain, contrary) = ToyTask(), (FullFineTuning(loaded()), Contrary(FullFineTuning(loaded())))
    usual = fit(plain, task.prepare(None), task, OPTIM, 0)
    other = fit(contrary, task.prepare(None), task, OPTIM, 0)
    assert contrary.prepared == [(task.num_train, True, True)] * 2, "before each of the two evaluations"
    assert contrary.asked == [20, 20, 10] * 2
    assert other.score == pytest.approx(1 - usual.score)
    assert other.train_loss == usual.train_loss, "training asks the model itself"


def test_a_method_that_does_not_look_at_the_examples_pays_nothing_for_them() -> None:
    task = ToyTask()
    prepared = task.prepare(None)
    reads: list[int] = []
    items, get = prepared.train, type(prepared.train).__getitem__

    class Counted(type(items)):  # type: ignore[misc]
        def __getitem__(self, index: int):
            reads.append(index)
            return get(self, index)

    prepared.train = Counted(items.items)
    fit(FullFineTuning(loaded()), prepared, task, OPTIM, 0)
    assert len(reads) == OPTIM.steps * OPTIM.batch_size


def digits() -> TrialSpec:
    optim = OptimSpec(steps=20, batch_size=64, eval_batch_size=512)
    return TrialSpec(task=TaskSpec(name="digits"), model=ModelSpec(name="mlp"), optim=optim)


def replaced(monkeypatch: pytest.MonkeyPatch, module: object) -> list[Contrary]:
    """Have `attach` of the module give contrary methods."""
    made: list[Contrary] = []

    def attach(loaded, spec, seeds) -> Contrary:
        made.append(Contrary(FullFineTuning(loaded)))
        return made[-1]

    monkeypatch.setattr(module, "attach", attach)
    return made


def test_counted_errors_are_those_of_the_methods_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = risk.count_errors(digits(), (32,))
    made = replaced(monkeypatch, risk)
    other = risk.count_errors(digits(), (32,))
    assert made[0].asked
    assert other.counts[0].train_errors > usual.counts[0].train_errors
    assert other.score < usual.score


def test_bounds_refuse_answers_that_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Contrary, "batch_dependent", True)
    replaced(monkeypatch, risk)
    with pytest.raises(SpecError, match="the answers of method 'full' depend on the other examples of their batch"):
        risk.count_errors(digits(), (32,))


def test_the_latency_is_that_of_the_methods_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ROUNDS", 1), ("WARM_UP", 0), ("SECONDS", 0.0), ("BATCH_SIZES", (1, 4))):
        monkeypatch.setattr(profile, name, value)
    made = replaced(monkeypatch, profile)
    found = profile.profile_trial(digits())
    assert made[0].asked == [1, 4]
    assert len(made[0].prepared) == 1
    assert isinstance(made[0].inner.model, nn.Module)
    assert [latency.batch_size for latency in found.latencies] == [1, 4]

"""Errors counted on a trial trained again: against examples one by one, and levels against brute force."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from test_trial import DID as SMALL
from test_trial import digits
from toy import one_thread

from intrinsic.errors import DataError, SpecError, StoreError
from intrinsic.methods import attach
from intrinsic.problems import PROBLEMS
from intrinsic.records import TrialErrors
from intrinsic.spec import MethodSpec, TaskSpec, TrialSpec
from intrinsic.store.counted import read_errors, write_errors
from intrinsic.training import fit
from intrinsic.trial import risk, run_trial
from intrinsic.trial.ingredients import data_of, forget, model_of, task_of
from intrinsic.trial.risk import SCALES, count_errors, rounded, shuffle_labels

pytestmark = pytest.mark.usefixtures("one_thread", "_fresh")
__all__ = ["one_thread"]


DID = SMALL.with_size("subspace_dim", 200)


def trained(method: MethodSpec = DID) -> TrialSpec:
    """Long enough to learn something."""
    return digits(method, learning_rate=4e-2, steps=80)


@pytest.fixture
def _fresh() -> Iterator[None]:
    forget()
    yield
    forget()


def errors_one_by_one(spec: TrialSpec) -> dict[str, int]:
    """Train, then ask the model about one example at a time."""
    task, _ = task_of(spec.task)
    loaded = model_of(spec, task)
    prepared = data_of(spec, task, loaded)
    trainable = attach(loaded, spec.method, spec.seeds)
    fit(trainable, prepared, task, spec.optim, spec.seeds.data_order)
    model = trainable.model.eval()
    wrong = {}
    with torch.no_grad():
        for name, split in (("train", prepared.train), ("eval", prepared.eval)):
            items = [prepared.collate([split[i]]) for i in range(len(split))]
            answers = [
                (int(model(**{k: v for k, v in item.items() if k != "labels"}).logits.argmax()), int(item["labels"]))
                for item in items
            ]
            wrong[name] = sum(said != true for said, true in answers)
    return wrong


def test_errors_are_those_of_the_network_asked_one_by_one():
    spec = trained()
    wrong = errors_one_by_one(spec)
    found = count_errors(spec, (32,))
    assert (found.counts[0].train_errors, found.counts[0].eval_errors) == (wrong["train"], wrong["eval"])
    assert (found.num_train, found.coordinates, found.tensors) == (400, 200, 1)
    assert found.learned_buffers == ()


def test_the_trial_trained_again_is_the_trial_and_its_rounding_is_another_network():
    spec = trained()
    found, stored = count_errors(spec, (1, 4, 16, 32)), run_trial(spec)
    assert found.trial_id == stored.run.trial_id
    assert found.score == stored.train.score
    by_bits = {c.bits: c for c in found.counts}
    assert list(by_bits) == [32, 16, 4, 1]
    assert by_bits[32].eval_errors == round((1 - stored.train.score) * found.num_eval)
    assert abs(by_bits[16].train_errors - by_bits[32].train_errors) <= 2
    assert by_bits[1].train_errors > by_bits[4].train_errors + 20
    assert found.meta.hashes == stored.meta.hashes


def test_a_scale_per_layer_is_a_tensor_of_its_own():
    said = MethodSpec.model_validate({**DID.model_dump(), "structure_aware": True})
    found = count_errors(trained(said), (32, 4))
    assert (found.coordinates, found.tensors) == (200, 2)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_rounding_takes_the_best_of_the_allowed_scales(bits):
    values = torch.from_numpy(np.random.default_rng(bits).normal(size=57)).float()
    got = rounded(values, bits).double()
    assert len(got.unique()) <= 2**bits

    def error(step: float) -> float:
        levels = (torch.arange(2**bits, dtype=torch.float64) + 0.5 - 2 ** (bits - 1)) * step
        return float((values[:, None] - levels).square().min(dim=1).values.sum())

    assert float((got - values).square().sum()) == pytest.approx(min(error(float(step)) for step in SCALES), rel=1e-5)
    assert len(SCALES) == 2**8


def test_rounding_to_16_bits_moves_little_and_to_one_bit_keeps_signs():
    values = torch.linspace(-3, 3, 101)
    assert float((rounded(values, 16) - values).abs().max()) < 1e-4
    one = rounded(values, 1)
    assert torch.equal(one.sign(), torch.where(values < 0, -1.0, 1.0))
    assert one.dtype == torch.float32
    assert len(one.abs().unique()) == 1


def test_shuffled_labels_teach_nothing():
    task, _ = task_of(digits().task)
    shuffled = shuffle_labels(task, seed=5)
    assert not np.array_equal(shuffled.train.labels, task.train.labels)
    assert np.array_equal(np.sort(shuffled.train.labels), np.sort(task.train.labels))
    assert np.array_equal(shuffled.train.pixels, task.train.pixels)
    spec = trained()
    found = count_errors(spec, (32,), random_labels=True)
    assert found.random_labels
    assert found.counts[0].eval_errors > 0.7 * found.num_eval > 2 * count_errors(spec, (32,)).counts[0].eval_errors


def test_a_buffer_that_training_moves_is_told(monkeypatch):
    def with_statistics(loaded, method, seeds):
        trainable = attach(loaded, method, seeds)
        trainable.model.register_buffer("running_mean", torch.zeros(3))
        return trainable

    def moving(trainable, *args, **kwargs):
        trainable.model.running_mean += 1
        return fit(trainable, *args, **kwargs)

    monkeypatch.setattr(risk, "attach", with_statistics)
    monkeypatch.setattr(risk, "fit", moving)
    assert count_errors(trained(), (32,)).learned_buffers == ("running_mean",)


def test_an_output_that_is_not_finite_is_an_error(monkeypatch):
    def broken(trainable, *args, **kwargs):
        report = fit(trainable, *args, **kwargs)
        with torch.no_grad():
            next(trainable.parameters()).fill_(float("nan"))
        return report

    monkeypatch.setattr(risk, "fit", broken)
    found = count_errors(trained(), (32,))
    assert found.counts[0].train_errors == found.num_train


def test_numbers_have_no_errors_to_count(monkeypatch):
    task, digest = task_of(digits().task)
    monkeypatch.setattr(
        risk, "task_of", lambda spec: (dataclasses.replace(task, problem=PROBLEMS["regression"]), digest)
    )
    with pytest.raises(
        SpecError, match="a bound is on the share of wrong answers, and task 'digits' asks for real numbers"
    ):
        count_errors(trained(), (32,))


def test_a_task_without_its_data_says_so(tmp_path):
    spec = trained().model_copy(update={"task": TaskSpec(name="mnist", data_dir=str(tmp_path / "none"))})
    with pytest.raises(DataError):
        count_errors(spec, (32,))


def test_counts_are_kept_beside_the_trials(tmp_path):
    assert read_errors(tmp_path) == []
    found = count_errors(trained(), (32,))
    other = found.model_copy(update={"random_labels": True})
    write_errors(tmp_path, found)
    write_errors(tmp_path, other)
    write_errors(tmp_path, found)
    assert read_errors(tmp_path) == [other, found]
    (tmp_path / "errors" / "broken.json").write_text("{")
    with pytest.raises(
        StoreError, match=r"broken.json is damaged .*: delete it, `intrinsic bound --count` counts again"
    ):
        read_errors(tmp_path)
    assert isinstance(found, TrialErrors)

"""run_trial(): from a spec to a record, whatever happens on the way."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_folders import save_text_model
from toy import one_thread

from intrinsic import trial
from intrinsic.errors import DataError, ModelError, SpecError, UnknownName
from intrinsic.records import TrialResult
from intrinsic.spec import MethodSpec, ModelSpec, OptimSpec, SeedSpec, TaskSpec, TrialSpec
from intrinsic.trial import Interrupted, check_trial, ingredients, outline_trial, run_trial
from intrinsic.trial.ingredients import forget

pytestmark = pytest.mark.usefixtures("one_thread", "_fresh")
__all__ = ["one_thread"]

DIGITS, MLP = TaskSpec(name="digits", limit=400), ModelSpec(name="mlp")
OPTIM = OptimSpec(learning_rate=2e-3, steps=40, batch_size=32)
DID = MethodSpec(
    name="subspace",
    subspace_dim=30,
    projection="hashed",
    structure_aware=False,
    lambdas="layer",
    head="in-subspace",
    parameters="all",
)


@pytest.fixture
def _fresh() -> Iterator[None]:
    forget()
    yield
    forget()


def digits(method: MethodSpec | None = None, **changes: Any) -> TrialSpec:
    optim = OPTIM.model_copy(update=changes)
    return TrialSpec(task=DIGITS, model=MLP, method=method or MethodSpec(), optim=optim)


def text(folder: Path, method: MethodSpec | None = None) -> TrialSpec:
    """A tiny BERT and a csv: is the film good or bad?"""
    save_text_model("bert", folder / "model")
    with (folder / "data.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for i in range(60):
            good = i % 2
            middle = " ".join(["very"] * (i % 5))
            rows.writerow([f"the film was {middle} {'good' if good else 'bad'} plot {i}", good])
    return TrialSpec(
        task=TaskSpec(name="files", data_dir=str(folder / "data.csv")),
        model=ModelSpec(name=str(folder / "model"), pooling="mean"),
        method=method or MethodSpec(),
        optim=OptimSpec(learning_rate=1e-2, steps=30, batch_size=16, eval_every=10, policy="best"),
    )


# ---------------------------------------------------------------- what comes out


def test_full_fine_tuning_of_a_small_net() -> None:
    result = run_trial(digits())
    assert (result.run.status, result.run.error) == ("ok", None)
    assert result.run.trial_id == digits().id
    assert result.run.seconds > 0
    train = result.train
    assert train.score == train.last_score == train.history[-1].score == train.scores["accuracy"] > 0.7
    assert (train.metric, train.steps, train.num_train, train.num_labels) == ("accuracy", 40, 400, 10)
    everything = (64 + 1) * 200 + (200 + 1) * 200 + (200 + 1) * 10
    assert (train.full_dim, train.parameters_trained, train.parameters_stored) == (everything,) * 3
    assert 4 * everything < train.artefact_bytes < 4 * everything + 2000
    assert 0.05 < train.chance < 0.2
    meta = result.meta
    assert meta.versions["torch"] == torch.__version__
    assert {"python", "intrinsic", "transformers", "numpy", "numba"} <= meta.versions.keys()
    assert (re.split("[: ]", meta.device)[0], meta.threads) == ("cuda" if torch.cuda.is_available() else "cpu", 1)
    assert all(len(meta.hashes[name]) == 64 for name in ("data", "weights"))
    assert TrialResult.model_validate_json(result.model_dump_json()) == result


def test_a_subspace_learns_less_and_stores_almost_nothing() -> None:
    result = run_trial(digits(DID, learning_rate=2e-2))
    assert result.run.status == "ok"
    assert result.train.chance < result.train.score < run_trial(digits()).train.score
    assert (result.train.parameters_trained, result.train.head_parameters) == (30, 0)
    assert result.train.artefact_bytes < 4000


@pytest.mark.parametrize("kind", ["full", "said"])
def test_a_text_file_and_a_folder_with_a_model(tmp_path: Path, kind: str) -> None:
    said = MethodSpec.model_validate(
        {**DID.model_dump(), "structure_aware": True, "projection": "fastfood", "head": "free"}
    )
    result = run_trial(text(tmp_path, said if kind == "said" else None), save_dir=tmp_path / "kept")
    assert (result.run.status, result.run.error) == ("ok", None)
    assert result.train.score == result.train.best_score >= (0.9 if kind == "full" else 0.5)
    losses = [point.train_loss for point in result.train.history]
    assert losses == sorted(losses, reverse=True)
    assert [point.step for point in result.train.history] == [10, 20, 30]
    assert result.train.head_parameters == 2 * 16 + 2
    kept = sum(file.stat().st_size for file in (tmp_path / "kept").iterdir())
    assert kept == result.train.artefact_bytes


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spec = text(tmp_path)
    capfd.readouterr()
    run_trial(spec)
    assert capfd.readouterr() == ("", "")


def test_progress_and_threads() -> None:
    heard: list[tuple[int, int, float]] = []
    result = run_trial(digits(steps=3), threads=2, progress=lambda *call: heard.append(call))
    assert [call[:2] for call in heard] == [(1, 3), (2, 3), (3, 3)]
    assert result.meta.threads == 2
    assert torch.get_num_threads() == 1


# ---------------------------------------------------------------- chance


def comparable(result: TrialResult) -> dict[str, Any]:
    return result.train.model_dump(exclude={"seconds_per_step"})


def test_a_trial_is_the_same_whatever_ran_before_it() -> None:
    first = comparable(run_trial(digits()))
    run_trial(digits(DID))
    run_trial(digits(learning_rate=0.1))
    torch.manual_seed(3)
    assert comparable(run_trial(digits())) == first  # on copies of what the process has kept
    forget()
    assert comparable(run_trial(digits())) == first


@pytest.mark.parametrize("varied", ["projection", "initialisation", "data_order"])
def test_each_seed_acts_on_one_thing(varied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen where training would begin: theta_0, a weight at theta_d = .1, and the order's seed."""
    seen = []

    def spy(trainable: Any, prepared: Any, task: Any, optim: OptimSpec, data_seed: int, progress: Any) -> None:
        start = _first_weight(trainable.model)
        with torch.no_grad():
            next(trainable.parameters()).fill_(0.1)
        trainable._subspace.refresh()
        seen.append((start, _first_weight(trainable.model) - start, data_seed))
        raise RuntimeError("seen enough")

    monkeypatch.setattr(trial, "fit", spy)
    for seeds in (SeedSpec(), SeedSpec(**{varied: 1})):
        assert run_trial(digits(DID).model_copy(update={"seeds": seeds})).run.error.endswith("seen enough")
    (start, step, order), (start2, step2, order2) = seen
    assert np.array_equal(start, start2) == (varied != "initialisation")
    assert np.allclose(step, step2, atol=1e-6) == (varied != "projection")
    assert (order == order2) == (varied != "data_order")


def _first_weight(model: torch.nn.Module) -> Any:
    linear = next(m for m in model.modules() if isinstance(m, torch.nn.Linear))
    return linear.weight.detach().clone().numpy()


# ---------------------------------------------------------------- what can go wrong


def test_divergence_is_recorded_with_what_was_known() -> None:
    result = run_trial(digits(learning_rate=1e9, optimizer="sgd", clip=None))
    assert result.run.status == "diverged"
    assert "not finite at step" in result.run.error
    assert "learning rate 1e+09" in result.run.error
    assert result.train.score is None
    assert result.train.full_dim > 0
    assert result.meta.hashes["data"]


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out-of-memory", "memory ran out at batch_s"),
        (RuntimeError("[enforce] DefaultCPUAllocator: not enough memory: you tried"), "out-of-memory", "memory ran"),
        (MemoryError(), "out-of-memory", "memory ran out at batch_size 32, eval_batch_size 128; lower them"),
        (RuntimeError("mat1 and mat2\nshapes"), "failed", "RuntimeError: mat1 and mat2"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError: no message"),
    ],
)
def test_errors_in_training_are_recorded(
    error: Exception, status: str, sentence: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, progress: Any, **__: Any) -> None:
        progress(7, 40, 0.5)
        raise error

    monkeypatch.setattr(trial, "fit", broken)
    with caplog.at_level(logging.DEBUG, "intrinsic"):
        result = run_trial(digits())
    assert result.run.status == status
    assert result.run.error.startswith(sentence)
    assert "\n" not in result.run.error
    assert (result.train.steps, result.train.score, result.train.num_train) == (7, None, 400)
    assert "Traceback" in caplog.text


def test_a_real_lack_of_memory_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: Any, **__: Any) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(trial, "fit", greedy)
    assert run_trial(digits()).run.status == "out-of-memory"


def test_ctrl_c_is_recorded_and_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(step: int, total: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=f"trial {digits().id} was interrupted") as caught:
        run_trial(digits(), progress=stop)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert caught.value.result.run.status == "interrupted"
    assert caught.value.result.train.steps == 3


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"task": {"name": "digitz"}}, UnknownName, "unknown task 'digitz'"),
        ({"task": {"name": "files", "data_dir": "/no/such.csv"}}, DataError, "/no/such.csv does not exist"),
        ({"model": {"name": "minilm"}}, ModelError, "model 'minilm' is for text and the task is vision"),
        ({"method": {"name": "fulll"}}, UnknownName, "did you mean 'full'"),
        ({"method": {**DID.model_dump(), "subspace_dim": 10**6}}, SpecError, "1000000"),
    ],
)
def test_input_that_no_trial_could_run_is_an_error(spec: dict[str, Any], error: type[Exception], message: str) -> None:
    values = {"task": DIGITS.model_dump(), "model": MLP.model_dump(), "optim": OPTIM.model_dump()} | spec
    threads = torch.get_num_threads()
    with pytest.raises(error, match=message):
        run_trial(TrialSpec.model_validate(values), threads=2)
    assert torch.get_num_threads() == threads


# ---------------------------------------------------------------- what a process keeps between trials


def test_data_and_weights_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    for name in ("load_task", "load_model"):
        original = getattr(ingredients, name)
        monkeypatch.setattr(ingredients, name, lambda *a, _n=name, _f=original, **k: reads.append(_n) or _f(*a, **k))
    short = digits(steps=1)
    for seed in (0, 1, 0, 1):
        run_trial(short.model_copy(update={"seeds": SeedSpec(initialisation=seed, data_order=seed)}))
    assert sorted(reads) == ["load_model", "load_model", "load_task"]
    for limit in (50, 60, 70, 50):
        run_trial(short.model_copy(update={"task": TaskSpec(name="digits", limit=limit)}))
    assert reads.count("load_task") == 5  # the first was pushed out again


def test_models_are_kept_within_a_budget_of_bytes() -> None:
    shelf = ingredients._Shelf(8, budget=100, weigh=len)
    for key in "abc":
        shelf.get(key, lambda key=key: key * 40)
    assert list(shelf._things) == ["b", "c"]
    shelf.get("d", lambda: "d" * 500)
    assert list(shelf._things) == ["d"]


# ---------------------------------------------------------------- what is found out beforehand


CHECKS = [check_trial, outline_trial]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"method": {**DID.model_dump(), "subspace_dim": 10**6}}, SpecError, "must be at most D = 55210.*got 1000000"),
        ({"method": {**DID.model_dump(), "parameters": "no-embeddings"}}, ModelError, "the model has no embeddings"),
        ({"model": {"name": "minilm"}}, ModelError, "model 'minilm' is for text and the task is vision"),
        ({"model": {"name": "lenet"}}, ModelError, "lenet needs images of at least 16x16, got 8x8"),
        ({"task": {"name": "mnist", "data_dir": "/no/such"}}, DataError, "/no/such is no folder"),
        ({"task": {"name": "digits", "max_length": 7}}, SpecError, "takes no max_length"),
        ({"method": {"name": "fulll"}}, UnknownName, "did you mean 'full'"),
    ],
)
def test_a_trial_that_cannot_run_is_refused_beforehand(
    spec: dict[str, Any], error: type[Exception], message: str, check: Any
) -> None:
    values = {"task": DIGITS.model_dump(), "model": MLP.model_dump(), "optim": OPTIM.model_dump()} | spec
    with pytest.raises(error, match=message):
        check(TrialSpec.model_validate(values))


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 works on a GPU")
def test_a_precision_the_machine_lacks_is_refused_beforehand_and_named_by_an_outline() -> None:
    with pytest.raises(SpecError, match="precision 'fp16' needs a GPU"):
        check_trial(digits(precision="fp16"))
    (told,) = outline_trial(digits(precision="fp16"))
    assert "precision 'fp16' needs a GPU" in told, "a dry run may prepare a run for another machine"


@pytest.mark.parametrize("check", CHECKS)
def test_inputs_that_do_not_suit_the_model_are_refused_beforehand(check: Any, tmp_path: Path) -> None:
    spec = text(tmp_path)
    check(spec)
    short = spec.model_copy(update={"task": spec.task.model_copy(update={"max_length": 2})})
    with pytest.raises(SpecError, match="max_length 2 leaves no room beside 2 special tokens"):
        check(short)


@pytest.mark.parametrize("check", CHECKS)
def test_a_folder_of_the_wrong_kind_is_refused_before_the_data_are_read(
    check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = text(tmp_path)
    monkeypatch.setattr("intrinsic.trial.check.task_of", lambda spec: pytest.fail("the data were read"))
    with pytest.raises(ModelError, match="holds no image processor"):
        check(spec.model_copy(update={"task": DIGITS}))


def test_an_outline_trains_nothing_reads_no_weights_and_needs_no_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = text(tmp_path, DID.with_size("subspace_dim", 900))
    monkeypatch.setattr("intrinsic.models.pretrained._from_checkpoint", lambda *_: pytest.fail("weights were read"))
    monkeypatch.setattr("intrinsic.tasks.hub._from_hub", lambda *_: pytest.fail("the Hub was asked"))
    monkeypatch.setattr("intrinsic.models.hub._ask_hub", lambda *_: pytest.fail("the Hub was asked"))
    assert outline_trial(spec) == ()
    assert outline_trial(digits(DID)) == ()
    mrpc = spec.model_copy(update={"task": TaskSpec(name="mrpc")})
    assert outline_trial(mrpc) == ("the data of 'mrpc', which come from the Hub",)
    with pytest.raises(SpecError, match="must be at most D"):  # the model is checked although the data are not
        outline_trial(mrpc.model_copy(update={"method": DID.with_size("subspace_dim", 10**6)}))
    mnist = TrialSpec(task=TaskSpec(name="mnist"), model=MLP, method=DID, optim=OPTIM)
    assert len(outline_trial(mnist)) == 2
    assert "the dimensions suit 'mlp', whose size follows from the images" in outline_trial(mnist)[1]
    (unknown,) = outline_trial(spec.model_copy(update={"model": ModelSpec(name="someone/elses-model")}))
    assert unknown.startswith("the model 'someone/elses-model', which comes from the Hub")

"""A subspace of what another method trains: the intrinsic dimension of LoRA, of an adapter, of BitFit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from method_models import F, batch_of, fresh, logits, train

from intrinsic.errors import ArtefactError, SpecError
from intrinsic.methods import attach, check_fit
from intrinsic.methods.base import Trainable
from intrinsic.projections import make_projection
from intrinsic.seeds import name_key
from intrinsic.spec import MethodSpec, ModelSpec, OptimSpec, SeedSpec, TaskSpec, TrialSpec
from intrinsic.trial import run_trial

SEEDS = SeedSpec(projection=4, initialisation=5)
DIM = 30
OPTIONS: dict[str, dict[str, object]] = {
    "bitfit": {},
    "lora": {"rank": 2},
    "ia3": {},
    "vera": {"rank": 4},
    "unilora": {"rank": 2, "size": 60},
    "fourierft": {"frequencies": 20},
    "houlsby": {"bottleneck": 3},
    "pfeiffer": {"bottleneck": 3},
    "scaled-parallel": {"bottleneck": 3},
    "prefix": {"length": 2, "mlp_width": 4},
    "mam": {"length": 2, "mlp_width": None, "bottleneck": 2},
    "prompt": {"length": 4, "start": "random"},
}
RUNS = [(of, name) for of in OPTIONS for name in ("bert", "gpt2", "t5", "vit") if (of, name) != ("bitfit", "t5")]


def spec(of: str, **changes: object) -> MethodSpec:
    settings: dict[str, object] = {
        "name": "subspace",
        "of": of,
        "options": OPTIONS.get(of, {}),
        "subspace_dim": DIM,
        "projection": "dense",
        "structure_aware": False,
        "lambdas": "layer",
        "head": "free",
        "parameters": "all",
    }
    return MethodSpec.model_validate(settings | changes)


def inner(of: str, name: str) -> Trainable:
    return attach(fresh(name), MethodSpec(name=of, options=OPTIONS[of]), SEEDS)


def make(of: str, name: str, **changes: object) -> Trainable:
    return attach(fresh(name), spec(of, **changes), SEEDS)


@pytest.mark.parametrize(("of", "name"), RUNS)
class TestOf:
    def test_it_starts_where_the_method_starts_and_trains_d_numbers(self, of: str, name: str) -> None:
        method, made, batch = inner(of, name), make(of, name), batch_of(name)
        assert torch.equal(logits(made.model, batch), logits(method.model, batch))
        assert made.parameters_trained - made.head_parameters == DIM
        assert made.head_parameters == method.head_parameters
        assert made.full_dim == method.parameters_trained - method.head_parameters
        assert made.mergeable == method.mergeable
        everything = make(of, name, head="in-subspace")
        assert (everything.parameters_trained, everything.head_parameters) == (DIM, 0)
        assert everything.full_dim == method.parameters_trained

    def test_training_saving_loading_and_merging(self, of: str, name: str, tmp_path: Path) -> None:
        batch, plain = batch_of(name), fresh(name).model
        made = train(make(of, name), batch)
        expected = logits(made.model, batch)
        made.save(tmp_path)
        again = make(of, name)
        assert not torch.equal(logits(again.model, batch), expected)
        again.load(tmp_path)
        assert torch.equal(logits(again.model, batch), expected)
        merged = made.merge()
        torch.testing.assert_close(logits(merged, batch), expected, rtol=0, atol=1e-5)
        if made.mergeable:
            assert list(merged.state_dict()) == list(plain.state_dict())
        untouched = next(n for n, p in plain.named_parameters() if p.ndim > 1)  # embeddings
        assert torch.equal(merged.get_parameter(untouched), plain.get_parameter(untouched))


@pytest.mark.parametrize("structure_aware", [False, True])
def test_loras_matrices_are_their_start_plus_p_theta(structure_aware: bool) -> None:
    start = dict(inner("lora", "bert").named_parameters())
    made = train(make("lora", "bert", structure_aware=structure_aware), batch_of("bert"))
    logits(made.model, batch_of("bert"))  # the last step's weights are made by the next pass
    trained = {n.rpartition(".")[2]: p.detach().double() for n, p in made.named_parameters() if "subspace" in n}
    lambdas = trained.get("lambdas", torch.ones(2, dtype=torch.float64))
    projection = make_projection("dense", DIM - (2 if structure_aware else 0), SEEDS.projection, full_dim=made.full_dim)
    assert len(lambdas) == 2
    assert (not torch.equal(lambdas, torch.ones_like(lambdas))) == structure_aware
    modules = dict(made.model.named_modules())
    for name, before in start.items():
        if "lora" not in name:
            continue
        path, _, attribute = name.rpartition(".")
        now = getattr(modules[path], attribute).detach().double()
        scale = lambdas[int(name.split("layer.")[1][0])]
        move = projection.to_dense(name_key(name), before.numel()).double() @ trained["theta"]
        torch.testing.assert_close(now, before.detach().double() + scale * move.view(before.shape), rtol=0, atol=1e-5)


def test_the_artefact_is_small_and_refuses_another_start(tmp_path: Path) -> None:
    made = train(make("lora", "bert"), batch_of("bert"))
    made.save(tmp_path)
    other = attach(fresh("bert"), spec("lora"), SeedSpec(projection=4, initialisation=6))
    before = logits(other.model, batch_of("bert"))
    with pytest.raises(ArtefactError, match="other base weights"):
        other.load(tmp_path)
    assert torch.equal(logits(other.model, batch_of("bert")), before)
    assert not torch.equal(logits(train(other, batch_of("bert")).model, batch_of("bert")), before)


def test_settings_of_the_method_are_checked() -> None:
    wrong = spec("lora", options={"rank": 0})
    for call in (lambda: attach(fresh("bert"), wrong, SEEDS), lambda: check_fit(fresh("bert"), wrong)):
        with pytest.raises(SpecError, match="method 'lora': rank: Input should be greater than or equal to 1"):
            call()
    with pytest.raises(SpecError, match="subspace_dim must be at most D = "):
        make("ia3", "bert", subspace_dim=2 * (32 + F) + 1)


@pytest.mark.parametrize(
    "method",
    [
        MethodSpec(name="lora", options={"rank": 2}),
        MethodSpec(name="houlsby", options={"bottleneck": 4}),
        spec("lora", subspace_dim=8, projection="fastfood", head="in-subspace"),
    ],
    ids=["lora", "houlsby", "of lora"],
)
def test_a_trial_runs_from_its_spec_to_its_record(method: MethodSpec, tmp_path: Path) -> None:
    trial = TrialSpec(
        task=TaskSpec(name="digits", limit=64, eval_limit=32),
        model=ModelSpec(name="vit-tiny"),
        method=method,
        optim=OptimSpec(learning_rate=1e-2, steps=2, batch_size=8),
    )
    result = run_trial(trial, save_dir=tmp_path)
    assert result.run.status == "ok", result.run.error
    stored = type(result).model_validate_json(result.model_dump_json())
    assert stored.run.spec == trial
    assert stored.run.spec.id == trial.id
    trained = stored.train.parameters_trained
    assert trained == (8 if method.of else stored.train.parameters_stored)
    assert stored.train.artefact_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())

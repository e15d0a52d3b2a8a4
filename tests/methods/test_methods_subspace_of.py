"""A subspace of what another method trains: the intrinsic dimension of LoRA, of an adapter, of BitFit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from method_models import F, batch_of, fresh, logits, train

from intrinsic.errors import ArtefactError, SpecError
from intrinsic.measurement import measure
from intrinsic.methods import attach, check_fit
from intrinsic.methods.base import Trainable
from intrinsic.projections import make_projection
from intrinsic.records import MeasureResult
from intrinsic.report.tables import facts, latex
from intrinsic.seeds import name_key
from intrinsic.spec import MeasureSpec, MethodSpec, ModelSpec, OptimSpec, SeedSpec, TaskSpec, TrialSpec, digest
from intrinsic.store import Store
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


# ---------------------------------------------------------------------- measured with one call


def small(**changes: object) -> MeasureSpec:
    settings = {
        "task": {"name": "digits", "limit": 200, "eval_limit": 100},
        "model": {"name": "vit-tiny", "layers": 1},
        "of": {"name": "lora", "options": {"rank": 2}},
        "optim": {"steps": 4, "batch_size": 16},
        "baseline_rates": [1e-3],
        "baseline_seeds": 1,
        "subspace_rates": [1e-2],
        "target": {"kind": "global", "value": 0.3, "fraction": 0.5},
        "search": {"low": 16, "high": 64, "resolution": 2.0, "seeds": 1, "guard_rates": []},
    }
    return MeasureSpec.model_validate(settings | changes)


def test_a_measurement_searches_among_the_methods_parameters(tmp_path: Path) -> None:
    result = measure(small(), tmp_path)
    with Store(tmp_path, read_only=True) as store:
        methods = {line.spec.method for line in (store.get(row.trial_id).run for row in result.result.trials)}
    assert {(m.name, m.of, m.options) for m in methods} == {
        ("full", None, ()),
        ("subspace", "lora", (("rank", 2),)),
    }
    head = 64 * 10 + 10
    assert result.result.full_dim == 2 * 2 * (64 + 64) + head
    told = dict(facts(result))["method"]
    assert told == "SAID of lora (rank=2) (a scale per layer), fastfood projection, head in-subspace"
    assert "rank=2" in latex(result)
    assert MeasureResult.model_validate_json(result.model_dump_json()) == result


def test_a_measurement_without_it_keeps_the_id_it_had() -> None:
    assert "of" not in MeasureSpec().model_dump()
    assert MeasureSpec().id == digest({"spec_version": 1, **MeasureSpec().model_dump(mode="json")})
    assert MeasureSpec(of=MethodSpec(name="lora")).id != MeasureSpec().id


def test_the_flag_and_the_file_name_it(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    named = ("--task", "digits", "--model", "vit-tiny", "--of", "lora:r=4:matrices=q+v")
    code, out, err = cli("measure", *named, "--dry-run")
    assert (code, err) == (0, "")
    assert ": DID of lora, fastfood; vision settings" in out
    written = yaml.safe_load(out)["of"]
    assert written == {**written, "name": "lora", "options": {"matrices": ["q", "v"], "rank": 4}}
    (tmp_path / "c.yaml").write_text(out)
    assert cli("measure", "--config", "c.yaml", "--dry-run")[1].partition("task:")[2] == out.partition("task:")[2]
    code, out, _ = cli("measure", "--config", "c.yaml", "--of", "pfeiffer:r=3", "--dry-run")
    assert yaml.safe_load(out)["of"]["options"] == {"bottleneck": 3}
    assert "of" not in yaml.safe_load(cli("measure", "--config", "c.yaml", "--of", "none", "--dry-run")[1])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("lorra:r=4", "unknown method 'lorra'"),
        ("lora:r=4,8", "expected one method at one size, as in lora:r=8, got 'lora:r=4,8'"),
        ("lora:r=4:lr=1", "expected one method at one size"),
        ("lora,bitfit", "expected one method at one size"),
        ("lora:ranks=4", "unknown option 'ranks'"),
        ("lora:matrices=w", "matrices.0: Input should be 'q', 'k', 'v', 'o' or 'ffn'"),
        ("full", "expected one method at one size"),
        ("said:d=10", "a subspace cannot lie over method 'subspace': it has no parameters of its own"),
        ("adalora:r=2", "a subspace cannot lie over method 'adalora': it moves its ranks in training"),
    ],
)
def test_what_cannot_be_measured_so_is_told_in_one_sentence(cli, given: str, told: str) -> None:  # type: ignore[no-untyped-def]
    code, _, err = cli("measure", "--task", "digits", "--model", "vit-tiny", "--of", given, "--dry-run")
    assert code == 2
    assert told in " ".join(err.split())
    assert "bracket" not in err


def test_a_comparison_takes_it_with_the_method_only(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "c.yaml").write_text("of: {name: lora}\n")
    code, _, err = cli("compare", "--config", "c.yaml", "--methods", "lora:r=1", "--dry-run")
    assert code == 2
    assert "in a comparison write it with the method, said:of=lora" in " ".join(err.split())


def test_a_mistake_in_the_file_is_named(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "c.yaml").write_text("of: {nme: lora}\n")
    code, _, err = cli("measure", "--config", "c.yaml", "--dry-run")
    assert code == 2
    assert "unknown setting in `of` 'nme'" in " ".join(err.split())

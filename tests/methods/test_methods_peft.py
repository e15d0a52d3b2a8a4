"""The methods through peft, against their formulas."""

from __future__ import annotations

import sys

import pytest
import torch
from method_models import D, batch_of, fresh, logits, train
from torch import nn
from toy import loaded

from intrinsic.errors import ModelError, SpecError
from intrinsic.methods import attach
from intrinsic.methods.base import Trainable
from intrinsic.spec import MethodSpec, SeedSpec

LAYER = "bert.encoder.layer.0.attention.self."


def make(name: str, method: str, seeds: SeedSpec | None = None, **options: object) -> Trainable:
    return attach(fresh(name), MethodSpec(name=method, options=options), seeds or SeedSpec())


def weights(trainable: Trainable, part: str) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in trainable.model.named_parameters() if part in n}


@pytest.mark.parametrize(("name", "alpha"), [("bert", None), ("bert", 6.0), ("gpt2", 6.0)])
def test_lora_is_the_papers_formula(name: str, alpha: float | None) -> None:
    """W + (alpha / r) B A; alpha = r unless told otherwise."""
    options = {} if alpha is None else {"alpha": alpha}
    made = train(make(name, "lora", rank=2, matrices=("q", "ffn"), **options), batch_of(name))
    batch, expected = batch_of(name), logits(made.model, batch_of(name))
    down, up = weights(made, "lora_A"), weights(made, "lora_B")
    plain = fresh(name).model
    with torch.no_grad():
        for (path, a), b in zip(down.items(), up.values(), strict=True):
            linear = plain.get_submodule(path.split(".lora_A")[0])
            update = (1.0 if alpha is None else alpha / 2) * b @ a
            linear.weight += update if isinstance(linear, nn.Linear) else update.T
        for parameter_name, head in made.named_parameters():
            if "lora" not in parameter_name:
                plain.get_parameter(parameter_name).copy_(head)
    torch.testing.assert_close(logits(plain, batch), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(logits(fresh(name).model, batch), expected, atol=1e-3)


def test_the_scale_of_lora_is_that_of_alpha_over_rank_at_every_rank() -> None:
    scales = {
        rank: make("bert", "lora", rank=rank).model.get_submodule(LAYER + "query").scaling["intrinsic"]
        for rank in (1, 4)
    }
    assert scales == {1: 1.0, 4: 1.0}


@pytest.mark.parametrize(
    ("matrices", "expected"),
    [
        (("q",), {"attention.self.query"}),
        (("k", "o"), {"attention.self.key", "attention.output.dense"}),
        (("ffn",), {"intermediate.dense", "output.dense"}),
        (("q", "q", "v"), {"attention.self.query", "attention.self.value"}),
    ],
)
def test_the_matrices_are_those_that_were_named(matrices: tuple[str, ...], expected: set[str]) -> None:
    made = make("bert", "lora", matrices=matrices)
    names = {n.partition(".lora_A")[0] for n, _ in made.named_parameters() if "lora_A" in n}
    assert names == {f"bert.encoder.layer.{i}.{name}" for i in (0, 1) for name in expected}


def test_ia3_scales_what_the_paper_scales() -> None:
    made = train(make("bert", "ia3"), batch_of("bert"))
    scale = weights(made, "ia3_l")
    start = fresh("bert").model
    key = start.get_submodule(LAYER + "key")
    own = scale[f"{LAYER}key.ia3_l.intrinsic"].flatten()
    hidden = scale["bert.encoder.layer.0.output.dense.ia3_l.intrinsic"].flatten()
    ffn = start.get_submodule("bert.encoder.layer.0.output.dense")
    merged = made.merge()
    torch.testing.assert_close(merged.get_submodule(LAYER + "key").weight, own[:, None] * key.weight)
    torch.testing.assert_close(merged.get_submodule(LAYER + "key").bias, own * key.bias)
    torch.testing.assert_close(merged.get_submodule("bert.encoder.layer.0.output.dense").weight, ffn.weight * hidden)


@pytest.mark.parametrize("method", ["vera", "unilora", "fourierft", "randlora"])
def test_the_projection_seed_draws_the_random_maps_and_the_other_the_rest(method: str) -> None:
    size = {"fourierft": {"frequencies": 9}, "unilora": {"size": 9}}.get(method, {"rank": 3})

    def start(projection: int, initialisation: int) -> Trainable:
        made = make("bert", method, SeedSpec(projection=projection, initialisation=initialisation), **size)
        with torch.no_grad():  # zeros would hide the maps
            for parameter_name, parameter in made.named_parameters():
                if "intrinsic" in parameter_name:
                    parameter.fill_(0.3).view(-1)[::2].mul_(-1)
        return made

    batch = batch_of("bert")
    base = logits(start(0, 0).model, batch)
    assert torch.equal(logits(start(0, 1).model, batch), base)
    assert not torch.equal(logits(start(1, 0).model, batch), base)


def test_lora_starts_from_the_initialisation_seed_alone() -> None:
    first, again = (
        weights(make("bert", "lora"), "lora_A"),
        weights(make("bert", "lora", SeedSpec(projection=3)), "lora_A"),
    )
    other = weights(make("bert", "lora", SeedSpec(initialisation=1)), "lora_A")
    assert all(torch.equal(first[n], again[n]) and not torch.equal(first[n], other[n]) for n in first)
    before = torch.get_rng_state()
    make("bert", "lora")
    assert torch.equal(torch.get_rng_state(), before)


class TestAdaLora:
    def train(self, made: Trainable, total: int) -> list[int]:
        """Ranks that are left after each step, with the loop's own calls."""
        optimizer, left, batch = torch.optim.AdamW(list(made.parameters()), lr=1e-2), [], batch_of("bert")
        made.model.train()
        for step in range(1, total + 1):
            answer = made.model(**batch).logits
            (nn.functional.cross_entropy(answer, torch.tensor([0, 1, 2])) + made.penalty()).backward()
            optimizer.step()
            made.after_step(step, total)
            optimizer.zero_grad()
            left.append(int(sum((p != 0).sum() for n, p in made.named_parameters() if "lora_E" in n)))
        return left

    def test_the_ranks_fall_to_the_budget_and_stay_there(self) -> None:
        left = self.train(make("bert", "adalora", rank=2, first_rank=4), 30)
        assert left[:3] == [4 * 4] * 3
        assert left == sorted(left, reverse=True)
        assert left[-10:] == [2 * 4] * 10

    def test_the_penalty_is_the_distance_from_orthogonal_matrices(self) -> None:
        made = make("bert", "adalora", rank=2, orthogonality=0.25)
        gaps = []
        for name, p in made.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                m = p.detach() if "lora_A" in name else p.detach().T
                gaps.append(float(torch.linalg.matrix_norm(m @ m.T - torch.eye(3))))
        torch.testing.assert_close(float(made.penalty().detach()), 0.25 * sum(gaps) / len(gaps))
        assert len(gaps) == 8

    def test_the_loop_makes_the_calls(self) -> None:
        from intrinsic.spec import ModelSpec, OptimSpec, TaskSpec, TrialSpec
        from intrinsic.trial import run_trial

        trial = TrialSpec(
            task=TaskSpec(name="digits", limit=64, eval_limit=32),
            model=ModelSpec(name="vit-tiny"),
            method=MethodSpec(name="adalora", options={"rank": 1, "first_rank": 3}),
            optim=OptimSpec(learning_rate=1e-2, steps=12, batch_size=8),
        )
        assert run_trial(trial).run.status == "ok"

    def test_ranks_that_cannot_fall_are_refused(self) -> None:
        with pytest.raises(SpecError, match="first_rank must be more than rank 4, got 4"):
            make("bert", "adalora", rank=4, first_rank=4)


def test_merging_leaves_nothing_of_peft_behind() -> None:
    merged = make("bert", "lora").merge()
    assert not any(type(module).__module__.startswith("peft") for module in merged.modules())
    assert not hasattr(merged, "peft_config")


@pytest.mark.parametrize(
    ("method", "options", "told"),
    [
        (
            "lora",
            {"matrices": ("w",)},
            r"method 'lora': matrices.0: Input should be 'q', 'k', 'v', 'o' or 'ffn', got 'w'",
        ),
        ("lora", {"matrices": ()}, "matrices: Tuple should have at least 1 item"),
        ("lora", {"rank": 0}, "rank: Input should be greater than or equal to 1, got 0"),
        ("fourierft", {"frequencies": D * D + 1}, f"at most the {D * D} entries of '{LAYER}query', got {D * D + 1}"),
    ],
)
def test_wrong_options_are_refused(method: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        make("bert", method, **options)


def test_without_peft_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(SpecError, match=r"method 'lora' comes in an extra .* pip install 'intrinsic\[peft\]'"):
        make("bert", "lora")


def test_a_net_without_attention_is_refused() -> None:
    with pytest.raises(ModelError, match="method 'ia3' looks for attention"):
        attach(loaded(), MethodSpec(name="ia3"), SeedSpec())

"""The axes of the bottleneck family, each against its formula written out."""

from __future__ import annotations

import pytest
import torch
from method_models import D, batch_of, fresh, logits, train
from torch import Tensor, nn

from intrinsic.errors import ModelError, SpecError
from intrinsic.methods import attach, check_fit
from intrinsic.methods.base import Trainable
from intrinsic.spec import MethodSpec, SeedSpec


def make(name: str, method: str = "adapter", **options: object) -> Trainable:
    return attach(fresh(name), MethodSpec(name=method, options={"bottleneck": 3, **options}), SeedSpec())


def observed(model: nn.Module, path: str, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(first input, output) of a module, hooks before ours included."""
    seen: list[tuple[Tensor, Tensor]] = []
    module = model.get_submodule(path)
    inner = module.forward

    def forward(*args: object, **kwargs: object) -> object:
        output = inner(*args, **kwargs)
        seen.append((args[0], output[0] if isinstance(output, tuple) else output))
        return output

    module.forward = forward
    logits(model, batch)
    del module.forward
    return seen[0]


def change(adapter: nn.Module, x: Tensor, form: str = "relu") -> Tensor:
    down, up = adapter.down, adapter.up
    inside = x @ down.weight.T + down.bias
    inside = {"relu": inside.clamp(min=0), "linear": inside, "gelu": nn.functional.gelu(inside)}[form]
    return inside @ up.weight.T + up.bias


@pytest.mark.parametrize("form", ["relu", "gelu", "linear"])
@pytest.mark.parametrize("composition", ["add", "scaled", "learned", "gated"])
@pytest.mark.parametrize("insertion", ["sequential", "parallel"])
def test_the_formula(form: str, composition: str, insertion: str) -> None:
    scale = {"scale": 2.5} if composition == "scaled" else {}
    made = train(make("bert", form=form, composition=composition, insertion=insertion, **scale), batch_of("bert"), 3)
    layer, batch = made.model.bert.encoder.layer[0], batch_of("bert")
    with torch.no_grad():
        x, _ = observed(made.model, "bert.encoder.layer.0.intermediate.dense", batch)
        _, h = observed(made.model, "bert.encoder.layer.0.output.dropout", batch)
        summed, _ = observed(made.model, "bert.encoder.layer.0.output.LayerNorm", batch)
        source = h if insertion == "sequential" else x
        dh = change(layer.intrinsic_ffn, source, form)
        if composition == "gated":
            gate = 1 / (1 + torch.exp(-(source @ layer.intrinsic_ffn.gate.weight.T + layer.intrinsic_ffn.gate.bias)))
            expected = (1 - gate) * h + gate * dh
        elif composition == "learned":
            expected = h + layer.intrinsic_ffn.scale * dh
            assert layer.intrinsic_ffn.scale != 1
        else:
            expected = h + (2.5 if composition == "scaled" else 1.0) * dh
        torch.testing.assert_close(summed - x, expected, rtol=1e-4, atol=1e-5)
        assert (expected - h).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "core", "out"),
    [
        ("bert", "bert.encoder.layer.0.attention.self", "bert.encoder.layer.0.attention.output.dense"),
        ("gpt2", "transformer.h.0.ln_1", "transformer.h.0.attn.c_proj"),
    ],
)
def test_head_attention_adds_to_the_heads_before_their_output_map(name: str, core: str, out: str) -> None:
    made, batch = train(make(name, "multi-head-parallel"), batch_of(name), 3), batch_of(name)
    adapter = made.model.get_submodule(out.rpartition(".attention.output" if name == "bert" else ".attn")[0])
    with torch.no_grad():
        x, _ = observed(made.model, core, batch)
        with_adapter, _ = observed(made.model, out, batch)
        heads = with_adapter - change(adapter.intrinsic_attention, x)
        plain, _ = observed(fresh(name).model, out, batch)
    torch.testing.assert_close(heads, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "t5"])
def test_houlsby_trains_the_layer_norms_and_no_other_weight_of_the_model(name: str) -> None:
    made = make(name, "houlsby")
    own = {n for n, _ in made.named_parameters() if "intrinsic" not in n and not n.startswith("class")}
    assert own
    assert all("LayerNorm" in n or "layer_norm" in n for n in own)
    assert not any("embeddings" in n or "final" in n for n in own)


def test_down_starts_as_the_docstring_says_and_each_place_draws_its_own() -> None:
    made = make("bert", "houlsby", bottleneck=64)
    downs = [p for n, p in made.named_parameters() if n.endswith("down.weight")]
    assert len({tuple(p.flatten()[:4].tolist()) for p in downs}) == len(downs) == 4
    for down in downs:
        assert down.abs().max() <= D**-0.5
        torch.testing.assert_close(down.std().item(), (D * 3) ** -0.5, rtol=0.1, atol=0)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    make("bert", "houlsby")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("method", "options", "told"),
    [
        ("adapter", {"scale": 2.0}, "a scale goes with composition 'scaled', got 'add'"),
        ("adapter", {"place": "head-attention"}, "needs insertion 'parallel'"),
        ("pfeiffer", {"composition": "gated"}, "after_norm needs insertion 'sequential' and composition 'add'"),
        ("scaled-parallel", {"scale": -1.0}, "method 'scaled-parallel': scale: Input should be greater than 0"),
        ("parallel", {"place": "everywhere"}, "method 'parallel': place: Input should be 'attention'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(method: str, options: dict[str, object], told: str) -> None:
    spec = MethodSpec(name=method, options=options)
    for call in (lambda: attach(fresh("bert"), spec, SeedSpec()), lambda: check_fit(fresh("bert"), spec)):
        with pytest.raises(SpecError, match=told):
            call()


def test_a_preset_is_a_point_that_can_be_moved() -> None:
    made = make("bert", "scaled-parallel", scale=2.0)
    assert made.model.bert.encoder.layer[0].intrinsic_ffn.fixed == 2.0
    assert make("bert", "scaled-parallel").model.bert.encoder.layer[0].intrinsic_ffn.fixed == 4.0


def test_what_no_module_returns_cannot_be_read() -> None:
    with pytest.raises(SpecError, match=r"no module returns behind 'transformer\.h\.0\.attn\.resid_dropout'"):
        make("gpt2", "pfeiffer", place="attention")


def test_a_model_without_the_parts_is_refused_before_it_is_touched() -> None:
    from toy import loaded

    net = loaded()
    for call in (lambda s: attach(net, s, SeedSpec()), lambda s: check_fit(net, s)):
        with pytest.raises(ModelError, match="method 'houlsby' looks for attention and feed-forward modules"):
            call(MethodSpec(name="houlsby"))
    assert all(p.requires_grad for p in net.model.parameters())

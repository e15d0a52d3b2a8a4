"""A prefix enters inside attention and nowhere else."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
import torch
from method_models import HEADS, LAYERS, POSITIONS, SHAPES, D, batch_of, fresh, logits, train
from model_folders import LONG, load
from torch import Tensor, nn

from intrinsic.errors import ModelError, SpecError
from intrinsic.methods import attach
from intrinsic.methods.architecture import Attention, blocks_of
from intrinsic.methods.base import Trainable
from intrinsic.methods.prefix import Prefix
from intrinsic.spec import MethodSpec, SeedSpec

LENGTH = 3


def lay(loaded: Any, **options: object) -> Trainable:
    spec = MethodSpec(name="prefix", options={"length": LENGTH, "mlp_width": None, **options})
    return attach(loaded, spec, SeedSpec())


def strong(name: str, implementation: str) -> tuple[Any, Trainable]:
    """A model with a prefix that draws a good part of the attention."""
    loaded = fresh(name)
    if implementation != "sdpa" and name != "deberta-v2":
        loaded.model.set_attn_implementation(implementation)
    made = lay(loaded)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter_name, parameter in made.named_parameters():
            if "intrinsic_prefix" in parameter_name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return loaded, made


def heads_of(model: nn.Module, attention: Attention, batch: dict[str, Tensor]) -> Tensor:
    """What the attention's output map reads: the concatenated heads [B, L, d], in the first block of its role."""
    seen: list[Tensor] = []
    handle = model.get_submodule(attention.output).register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    logits(model, batch)
    handle.remove()
    return seen[0].double()


def attention_inputs(
    model: nn.Module, attention: Attention, batch: dict[str, Tensor], patch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The arguments of the plain model's own attention function."""
    core = model.get_submodule(attention.core)
    module = sys.modules[type(core).__module__]
    own, seen = module.eager_attention_forward, []

    def spy(where: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **rest: Any) -> Any:
        if where is core:
            seen.append({"query": query, "key": key, "value": value, "mask": mask, **rest})
        return own(where, query, key, value, mask, **rest)

    patch.setattr(module, "eager_attention_forward", spy)
    logits(model, batch)
    patch.undo()
    return seen[0]


FIRST = [(n, i) for n in SHAPES if n != "deberta-v2" for i in range(3 if n == "t5" else 1)]


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize(("name", "which"), FIRST)
def test_it_is_he_et_als_gated_form(
    name: str, which: int, implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """h <- (1 - g(x)) h + g(x) dh, g the attention's mass on the prefix; in float64, from the plain model's inputs."""
    batch, loaded = batch_of(name), strong(name, implementation)[0]
    plain = fresh(name).model
    plain.set_attn_implementation("eager")
    blocks = blocks_of(plain, "any")
    attention = [blocks[0].attentions[0], *blocks[-LAYERS].attentions][which]
    given = attention_inputs(plain, attention, batch, monkeypatch)
    prefix: Any = loaded.model.get_submodule(attention.core).intrinsic_prefix
    for other in loaded.model.modules():
        if isinstance(other, Prefix) and other is not prefix:
            other.heard = []  # it only listens, so that this attention reads what it reads in the plain model
    query, key, value = (given[part].double() for part in ("query", "key", "value"))
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    own = [t.double().view(LENGTH, -1, D // HEADS).transpose(0, 1).repeat_interleave(groups, 0) for t in prefix.made()]
    scores = query @ key.transpose(2, 3) * given["scaling"]
    for shift in ("mask", "position_bias"):
        if given.get(shift) is not None:
            scores = scores + given[shift].double()
    outside = query @ own[0].transpose(1, 2) * given["scaling"]
    mass, mass_outside = scores.exp().sum(-1, keepdim=True), outside.exp().sum(-1, keepdim=True)
    gate = mass_outside / (mass + mass_outside)
    head = (1 - gate) * (scores.softmax(-1) @ value) + gate * (outside.softmax(-1) @ own[1])
    expected = head.transpose(1, 2).flatten(2)
    told = heads_of(loaded.model, attention, batch)
    whole = name == "vit" or which > 0  # the decoder's own input is not padded
    attended = slice(None) if whole else batch["attention_mask"].bool()
    torch.testing.assert_close(told[attended], expected[attended], rtol=1e-4, atol=1e-5)
    assert 0.05 < gate.mean() < 0.95


def test_deberta_gates_alike() -> None:
    """With l = 1, dh is the prefix's value; log(g / (1 - g)) = q P_k / sqrt(3 d_h) - log sum exp(scores)."""
    batch, attention = batch_of("deberta-v2"), blocks_of(fresh("deberta-v2").model, "any")[0].attentions[0]
    plain = heads_of(fresh("deberta-v2").model, attention, batch).unflatten(-1, (HEADS, -1))
    generator = torch.Generator().manual_seed(1)
    value, partition = torch.randn(1, D, generator=generator), []
    for _ in range(2):
        loaded = fresh("deberta-v2")
        lay(loaded, length=1)
        prefix = loaded.model.get_submodule(attention.core).intrinsic_prefix
        with torch.no_grad():
            prefix.key.copy_(torch.randn(1, D, generator=generator))
            prefix.value.copy_(value)
            told = heads_of(loaded.model, attention, batch).unflatten(-1, (HEADS, -1))
            dh = value.double().view(HEADS, -1)
            gate = ((told - plain) * (dh - plain)).sum(-1) / (dh - plain).square().sum(-1)
            torch.testing.assert_close(told, (1 - gate[..., None]) * plain + gate[..., None] * dh, rtol=1e-4, atol=1e-5)
            query = loaded.model.get_submodule(attention.query)(
                loaded.model.deberta.embeddings(batch["input_ids"], mask=batch["attention_mask"])
            )
            outside = (query * prefix.key).double().unflatten(-1, (HEADS, -1)).sum(-1) / math.sqrt(3 * D / HEADS)
            partition.append(outside - torch.logit(gate))
    attended = batch["attention_mask"].bool()
    torch.testing.assert_close(partition[0][attended], partition[1][attended], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_eager_and_sdpa_agree(name: str) -> None:
    batch = batch_of(name)
    one, two = (logits(strong(name, implementation)[0].model, batch) for implementation in ("eager", "sdpa"))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in SHAPES if n != "vit"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_right_padding_changes_nothing(name: str, implementation: str) -> None:
    made, _ = strong(name, implementation)
    padded = logits(made.model, batch_of(name, extra=3))
    torch.testing.assert_close(padded, logits(made.model, batch_of(name)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "gpt2"])
def test_it_costs_no_position_and_shifts_none(name: str) -> None:
    loaded, _ = strong(name, "sdpa")
    seen: list[Tensor] = []
    tables = {"gpt2": "wpe"}
    table = next(m for n, m in loaded.model.named_modules() if n.endswith(tables.get(name, "position_embeddings")))
    table.register_forward_hook(lambda module, args, output: seen.append(args[0].flatten()[:POSITIONS]))
    ids = torch.arange(POSITIONS).remainder(5)[None] + 3
    logits(loaded.model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    start = 1 if name == "roberta" else 0
    assert seen[0].tolist() == list(range(start, start + POSITIONS))


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_the_mlp_is_dropped_after_training_and_not_stored(name: str) -> None:
    loaded = fresh(name)
    made = train(lay(loaded, mlp_width=7), batch_of(name))
    before = made.parameters_stored
    assert before < made.parameters_trained
    expected = logits(loaded.model, batch_of(name))
    merged = made.merge()
    names = [n for n, _ in merged.named_parameters() if "intrinsic_prefix" in n]
    assert {n.rpartition(".")[2] for n in names} == {"key", "value"}
    assert sum(merged.get_parameter(n).numel() for n in names) + made.head_parameters == before
    assert torch.equal(logits(merged, batch_of(name)), expected)


@pytest.mark.parametrize("name", ["bert", "deberta-v2", "gpt2", "llama", "t5"])
def test_words_give_the_keys_and_values_that_they_have_in_the_model(name: str, folders: dict[str, Any]) -> None:
    """With a prefix of all the input's own keys and values, self-attention is what it was, in the first block."""
    loaded = load(folders[name])
    batch = dict(loaded.preprocessor([LONG], return_tensors="pt"))
    special = loaded.preprocessor.get_special_tokens_mask(
        batch["input_ids"][0].tolist(), already_has_special_tokens=True
    )
    words = len(special) - sum(special)
    attention = blocks_of(loaded.model, "any")[0].attentions[0]
    key = loaded.model.get_submodule(attention.key)
    seen: list[Tensor] = []
    handle = key.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    logits(loaded.model, batch)
    handle.remove()
    made = attach(
        loaded, MethodSpec(name="prefix", options={"length": words + 1, "mlp_width": None, "words": LONG}), SeedSpec()
    )
    prefix: Any = loaded.model.get_submodule(attention.core).intrinsic_prefix
    places = [i for i, one in enumerate(special) if not one]
    expected = seen[0][[*places, places[0]]]
    width = prefix.key.shape[1]
    if name == "gpt2":
        expected = expected[:, width : 2 * width]
    if name == "llama":  # its keys are rotated by their positions, which keeps their norms
        torch.testing.assert_close(prefix.key.norm(dim=1), expected.norm(dim=1))
    else:
        torch.testing.assert_close(prefix.key.detach(), expected.detach())
    assert made.parameters_trained > 0
    assert prefix.heard is None


def test_what_cannot_be_done_is_refused(folders: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="words need a tokenizer"):
        lay(fresh("vit"), words="a good film")
    with pytest.raises(SpecError, match="words set the prefixes themselves: set mlp_width to None"):
        lay(fresh("bert"), words="a good film", mlp_width=8)
    with pytest.raises(SpecError, match="at least one token that is a word, got ''"):
        lay(load(folders["bert"]), words="")
    other = fresh("bert")
    other.model.config._attn_implementation_internal = "flex_attention"
    with pytest.raises(SpecError, match="computed by one of eager, sdpa, got 'flex_attention'"):
        lay(other)
    other = fresh("deberta-v2")
    other.model.deberta.encoder.layer[0].attention.self.__class__ = nn.Identity
    with pytest.raises(ModelError, match=r"or DeBERTa-v2's, got Identity"):
        lay(other)

"""Prompt tuning: what stands around the backbone must not notice where the prompt is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from method_models import POSITIONS, SHAPES, D, batch_of, fresh, logits
from model_folders import load
from torch import Tensor
from toy import Loaded

from intrinsic.errors import SpecError
from intrinsic.methods import attach, check_fit
from intrinsic.methods.base import Trainable
from intrinsic.models.pooling import MeanPooled
from intrinsic.spec import MethodSpec, SeedSpec

LENGTH = 3
TEXT = [n for n in SHAPES if n != "vit"]


def lay(loaded: Any, seeds: SeedSpec | None = None, **options: object) -> Trainable:
    settings = {"length": LENGTH, "start": "random", **options}
    return attach(loaded, MethodSpec(name="prompt", options=settings), seeds or SeedSpec())


def vectors(made: Trainable) -> Tensor:
    return next(p for n, p in made.named_parameters() if "intrinsic_prompt" in n).detach()


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_right_padding_changes_no_logit(name: str, implementation: str) -> None:
    loaded = fresh(name)
    if name != "deberta-v2":
        loaded.model.set_attn_implementation(implementation)
    lay(loaded)
    padded = logits(loaded.model, batch_of(name, extra=2))
    torch.testing.assert_close(padded, logits(loaded.model, batch_of(name)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5", "roberta"])
def test_each_row_is_answered_as_it_is_alone(name: str) -> None:
    loaded, batch = fresh(name), batch_of(name)
    lay(loaded)
    together = logits(loaded.model, batch)
    for row in range(3):
        length = int(batch["attention_mask"][row].sum())
        alone = {key: value[row : row + 1, :length] for key, value in batch.items()}
        torch.testing.assert_close(logits(loaded.model, alone)[0], together[row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "place"), [("bert", 1), ("electra", 1), ("distilbert", 1), ("gpt2", 0), ("llama", 0)])
def test_a_prompt_of_words_is_the_model_on_those_words(name: str, place: int) -> None:
    """Vectors equal to embeddings of words do what the words themselves do at the same places."""
    loaded, batch = fresh(name), batch_of(name)
    made = lay(loaded)
    words = torch.tensor([5, 9, 17])
    with torch.no_grad():
        next(p for n, p in made.named_parameters() if "intrinsic_prompt" in n).copy_(
            loaded.model.get_input_embeddings().weight[words]
        )
    ids = batch["input_ids"]
    spoken = torch.cat([ids[:, :place], words.expand(len(ids), -1), ids[:, place:]], dim=1)
    expected = logits(fresh(name).model, {"input_ids": spoken, "attention_mask": (spoken != 0).long()})
    torch.testing.assert_close(logits(loaded.model, batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5", "vit"])
def test_a_mean_is_taken_over_the_tokens_alone(name: str) -> None:
    backbone = fresh(name).model.base_model
    pooled = MeanPooled(backbone.get_encoder() if name == "t5" else backbone, 2).eval()
    lay(Loaded(pooled), start="random")
    seen: list[Tensor] = []
    pooled.backbone.register_forward_hook(lambda module, args, output: seen.append(output.last_hidden_state))
    logits(pooled, batch_of(name))
    assert seen[0].shape == (3, 5 if name == "vit" else 6, D)
    if name != "vit":
        padded = logits(pooled, batch_of(name, extra=2))
        torch.testing.assert_close(padded, logits(pooled, batch_of(name)), rtol=1e-4, atol=1e-5)


def test_the_pooler_within_bert_reads_the_first_token() -> None:
    loaded = fresh("bert")
    lay(loaded)
    seen: list[Tensor] = []
    loaded.model.bert.register_forward_hook(lambda module, args, output: seen.append(output.last_hidden_state))
    loaded.model.bert.pooler.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    logits(loaded.model, batch_of("bert"))
    assert torch.equal(seen[0][:, 0], seen[1][:, 0])


class TestStart:
    def test_random_vectors_lie_within_a_half(self) -> None:
        drawn = vectors(lay(fresh("bert"), length=200))
        assert drawn.abs().max() <= 0.5
        torch.testing.assert_close(drawn.std().item(), 12**-0.5, rtol=0.05, atol=0)
        assert not torch.equal(drawn, vectors(lay(fresh("bert"), SeedSpec(initialisation=1), length=200)))

    def test_vocabulary_draws_words_and_no_special_token(self, folders: dict[str, Any]) -> None:
        loaded = load(folders["bert"])
        table = loaded.model.get_input_embeddings().weight
        special = set(loaded.preprocessor.all_special_ids)
        drawn = vectors(lay(loaded, start="vocabulary", length=40))
        rows = [int((table == row).all(dim=1).nonzero()) for row in drawn]
        assert set(rows) == set(range(len(table))) - special

    def test_one_that_leaves_no_room_is_refused_before_a_trial(self) -> None:
        """Laid by hand it is not: what calls the model may bring its own positions."""
        model, spec = fresh("bert"), MethodSpec(name="prompt", options={"length": 12, "start": "random"})
        with pytest.raises(SpecError, match="a prompt of 12 leaves no room for a token among the model's 12 positions"):
            check_fit(model, spec)
        check_fit(model, MethodSpec(name="prompt", options={"length": 11, "start": "random"}))

    def test_text_gives_its_words_over_and_over(self, folders: dict[str, Any]) -> None:
        loaded = load(folders["gpt2"])
        ids = loaded.preprocessor("a good film", add_special_tokens=False)["input_ids"]
        expected = loaded.model.get_input_embeddings().weight.detach()[ids + ids[:1]]
        assert torch.equal(vectors(lay(loaded, start="text", text="a good film", length=4)), expected)

    @pytest.mark.parametrize(
        ("name", "options", "told"),
        [
            ("vit", {"start": "vocabulary"}, "start 'vocabulary' needs token embeddings, and this model reads images"),
            ("bert", {"start": "text", "text": "good"}, "start 'text' needs a tokenizer"),
            ("bert", {"start": "text"}, "a text goes with start 'text' and only with it"),
            ("bert", {"text": "good"}, "a text goes with start 'text' and only with it"),
        ],
    )
    def test_what_cannot_be_is_refused(self, name: str, options: dict[str, object], told: str) -> None:
        with pytest.raises(SpecError, match=told):
            lay(fresh(name), **options)

    def test_an_empty_text_is_refused(self, folders: dict[str, Any]) -> None:
        with pytest.raises(SpecError, match="must hold at least one token, got ''"):
            lay(load(folders["bert"]), start="text", text="")


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2"])
def test_an_input_that_leaves_no_room_is_refused(name: str) -> None:
    loaded = fresh(name)
    lay(loaded)
    full = torch.full((1, POSITIONS - LENGTH), 4)
    start = 1 if name == "roberta" else 0
    assert logits(loaded.model, {"input_ids": full}).shape == (1, 3)
    told = f"a prompt of {LENGTH} and an input of {POSITIONS - LENGTH + 1} tokens are more than the model's {POSITIONS}"
    with pytest.raises(SpecError, match=told):
        loaded.model(input_ids=torch.full((1, POSITIONS - LENGTH + 1), 4))
    assert loaded.model.config.max_position_embeddings == POSITIONS + start


def test_positions_behind_the_first_token_and_caches_of_a_fixed_length_are_refused() -> None:
    from transformers import StaticCache

    encoder, decoder = fresh("bert"), fresh("gpt2")
    lay(encoder)
    lay(decoder)
    ids = torch.full((1, 4), 4)
    with pytest.raises(SpecError, match="behind its first token takes no position_ids: leave it out"):
        encoder.model(input_ids=ids, position_ids=torch.arange(4)[None])
    with pytest.raises(SpecError, match="needs a cache that grows, got one of a fixed length"):
        decoder.model(input_ids=ids, past_key_values=StaticCache(config=decoder.model.config, max_cache_len=8))


def test_a_decoders_positions_are_those_of_its_tokens() -> None:
    loaded, ids = fresh("gpt2"), torch.tensor([[5, 6, 7, 8]])
    lay(loaded)
    expected = logits(loaded.model, {"input_ids": ids})
    given = {"input_ids": ids, "position_ids": torch.arange(4)[None]}
    assert torch.equal(logits(loaded.model, given), expected)
    other = {"input_ids": ids, "position_ids": torch.tensor([[0, 1, 2, 4]])}
    assert not torch.equal(logits(loaded.model, other), expected)


def padded_left(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same rows, each as far to the right as it goes, and two places more on the left."""
    moved = {key: torch.zeros(len(value), value.shape[1] + 2, dtype=value.dtype) for key, value in batch.items()}
    for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        for key, value in batch.items():
            moved[key][row, -length:] = value[row, :length]
    return moved


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_left_padding_changes_no_logit_of_a_decoder(name: str, implementation: str) -> None:
    loaded, batch = fresh(name), batch_of(name)
    loaded.model.set_attn_implementation(implementation)
    lay(loaded)
    moved = logits(loaded.model, padded_left(batch))
    torch.testing.assert_close(moved, logits(loaded.model, batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_positions_made_from_a_mask_without_left_padding_are_the_models_own(name: str) -> None:
    loaded, batch = fresh(name), batch_of(name, extra=2)
    lay(loaded)
    counted = logits(loaded.model, {**batch, "position_ids": torch.arange(8).expand(3, -1)})
    assert torch.equal(logits(loaded.model, batch), counted)
    all_seen = torch.ones_like(batch["input_ids"])
    given = logits(loaded.model, {"input_ids": batch["input_ids"], "attention_mask": all_seen})
    assert torch.equal(given, logits(loaded.model, {"input_ids": batch["input_ids"]}))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_pass_from_the_cache_counts_behind_left_padding(name: str) -> None:
    loaded, batch = fresh(name), padded_left(batch_of(name))
    lay(loaded)
    backbone, mask = loaded.model.base_model.eval(), batch["attention_mask"]
    with torch.no_grad():
        whole = backbone(**batch).last_hidden_state[:, -1]
        first = backbone(input_ids=batch["input_ids"][:, :-1], attention_mask=mask[:, :-1], use_cache=True)
        cache = first.past_key_values
        last = backbone(input_ids=batch["input_ids"][:, -1:], attention_mask=mask, past_key_values=cache)
    torch.testing.assert_close(last.last_hidden_state[:, -1], whole, rtol=1e-4, atol=1e-5)

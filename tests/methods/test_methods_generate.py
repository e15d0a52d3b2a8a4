"""Language models with a prefix or a prompt: generate() gives what whole passes give, token for token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from method_models import fresh
from torch import Tensor, nn
from toy import Loaded

from intrinsic.errors import SpecError
from intrinsic.methods import attach
from intrinsic.spec import MethodSpec, SeedSpec

NEW = 7
ROWS = [[5, 9, 17, 6, 11], [8, 4], [21, 13, 7]]
METHODS: dict[str, dict[str, object]] = {
    "prefix": {"length": 3, "mlp_width": None},
    "prompt": {"length": 4, "start": "random"},
    "mam": {"length": 3, "mlp_width": 5, "bottleneck": 2},
}
every_model = pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
every_method = pytest.mark.parametrize("method", METHODS)


def whole(name: str) -> Any:
    """A random model whose answers vary, and which never stops by itself."""
    import transformers as t

    classes = {"gpt2": t.GPT2LMHeadModel, "llama": t.LlamaForCausalLM, "t5": t.T5ForConditionalGeneration}
    config = fresh(name).model.config
    config.update({"gpt2": {"n_positions": 24}, "llama": {"max_position_embeddings": 24}}.get(name, {}))
    torch.manual_seed(8)
    model = classes[name](config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # a shift of the last norm would say the same word at every place
                parameter.add_(0.4 * torch.randn_like(parameter))
        model.lm_head.weight = nn.Parameter(torch.randn_like(model.lm_head.weight))  # tied, it would repeat its input
    model.generation_config.eos_token_id = None
    return model


def with_method(name: str, method: str) -> Any:
    model = whole(name)
    own = {id(p) for p in model.parameters()}
    attach(Loaded(model, head_names=()), MethodSpec(name=method, options=METHODS[method]), SeedSpec())
    with torch.no_grad():
        for parameter in model.parameters():
            if id(parameter) not in own and parameter.ndim > 1:
                parameter.add_(torch.randn_like(parameter))
    return model


def greedy(model: nn.Module, name: str, row: list[int]) -> list[int]:
    """The oracle: the likeliest token of a whole pass over one row without padding, again and again."""
    said = [0] if name == "t5" else list(row)
    for _ in range(NEW):
        ids = {"input_ids": torch.tensor([row])} | {"decoder_input_ids": torch.tensor([said])}
        given = ids if name == "t5" else {"input_ids": torch.tensor([said])}
        with torch.no_grad():
            said.append(int(model(**given, use_cache=False).logits[0, -1].argmax()))
    return said[-NEW:]


def batch(name: str, rows: list[list[int]] = ROWS) -> dict[str, Tensor]:
    """Padded as generation wants it: a decoder's rows on the left, an encoder's on the right."""
    length = max(map(len, rows))
    empty = [[0] * (length - len(row)) for row in rows]
    padded = [row + pad if name == "t5" else pad + row for row, pad in zip(rows, empty, strict=True)]
    ids = torch.tensor(padded)
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@every_model
@every_method
def test_each_row_of_a_padded_batch_is_what_it_is_alone_with_and_without_cache(name: str, method: str) -> None:
    model = with_method(name, method)
    expected = [greedy(model, name, row) for row in ROWS]
    for use_cache in (True, False):
        told = model.generate(**batch(name), max_new_tokens=NEW, do_sample=False, use_cache=use_cache)
        assert told[:, -NEW:].tolist() == expected
    plain = whole(name)
    assert expected != [greedy(plain, name, row) for row in ROWS]
    assert len(set(map(tuple, expected))) > 1  # a model that always says the same would show nothing


@every_model
@every_method
def test_beams_and_sampling_agree_with_and_without_cache(name: str, method: str) -> None:
    model = with_method(name, method)
    for settings in ({"num_beams": 3, "do_sample": False}, {"do_sample": True, "top_k": 5}):
        said = []
        for use_cache in (True, False):
            torch.manual_seed(3)
            said.append(model.generate(**batch(name), max_new_tokens=NEW, use_cache=use_cache, **settings))
        assert torch.equal(*said)


@every_model
@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_passes_from_a_cache_give_the_logits_of_one_whole_pass(name: str, method: str) -> None:
    """In pieces of several tokens too, the first with its cache, the others from it; positions by the model itself."""
    model = with_method(name, method)
    ids = torch.tensor([[5, 9, 17, 6, 11, 8, 14]])
    key = "decoder_input_ids" if name == "t5" else "input_ids"
    more = {"input_ids": torch.tensor([ROWS[0]])} if name == "t5" else {}
    with torch.no_grad():
        expected = model(**{**more, key: ids}, use_cache=False).logits
        cache, seen = None, []
        for piece in ids.split([3, 1, 3], dim=1):
            answer = model(**{**more, key: piece}, past_key_values=cache, use_cache=True)
            cache = answer.past_key_values
            seen.append(answer.logits)
    torch.testing.assert_close(torch.cat(seen, dim=1), expected, rtol=1e-4, atol=1e-4)


def test_generating_past_the_models_positions_is_refused() -> None:
    model = with_method("gpt2", "prompt")
    assert model.generate(**batch("gpt2"), max_new_tokens=24 - 4 - 5 + 1, do_sample=False).shape == (3, 21)
    with pytest.raises(SpecError, match="a prompt of 4 and an input of 21 tokens are more than the model's 24"):
        model.generate(**batch("gpt2"), max_new_tokens=24 - 4 - 5 + 2, do_sample=False)


@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_training_with_labels_reads_the_tokens_alone(method: str) -> None:
    """The loss of a language model is over the tokens: as many logits as labels."""
    for name in ("gpt2", "t5"):
        model = with_method(name, method)
        answer = model(**batch(name), labels=batch(name)["input_ids"])
        assert answer.logits.shape[:2] == batch(name)["input_ids"].shape
        answer.loss.backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        assert trained
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)

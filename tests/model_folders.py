"""Tiny random models of many architectures, saved as the Hub lays models out: inputs for tests/test_models_*.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTModel,
)

from intrinsic.models import load_model
from intrinsic.models.loaded import LoadedModel
from intrinsic.models.quiet import quiet
from intrinsic.spec import ModelSpec
from intrinsic.subspace.layout import is_under

TEXT_OF_ALL_WORDS = "a good bad film story very not the plot was is it cat dog runs slowly"
WORDS = TEXT_OF_ALL_WORDS.split()
SPECIAL = ["<pad>", "<unk>", "<cls>", "<sep>", "</s>", "<mask>"]
VOCAB = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
ROWS = 32
"""Number of rows of the embedding: a little more than there are words, as in many real models."""
LAYERS = 3
SHORT, LONG = "a good film", "the story was very bad not a good plot"

COMMON: dict[str, Any] = {
    "vocab_size": ROWS,
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}


def _bert() -> Any:
    return BertForMaskedLM(BertConfig(**COMMON))


def _bert_with_pooler() -> Any:
    return BertModel(BertConfig(**COMMON))


def _roberta() -> Any:
    return RobertaForMaskedLM(RobertaConfig(**COMMON, type_vocab_size=1, bos_token_id=2, eos_token_id=3))


def _distilbert() -> Any:
    config = DistilBertConfig(
        vocab_size=ROWS, dim=16, n_layers=LAYERS, n_heads=2, hidden_dim=24, max_position_embeddings=40
    )
    return DistilBertForMaskedLM(config)


def _electra() -> Any:
    return ElectraForPreTraining(ElectraConfig(**COMMON, embedding_size=12))


def _deberta() -> Any:
    with quiet():  # older versions warn of themselves on import
        from transformers import DebertaV2Config, DebertaV2ForMaskedLM
    config = DebertaV2Config(
        **COMMON, relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"], share_att_key=True
    )
    return DebertaV2ForMaskedLM(config)


def _gpt2() -> Any:
    ends = {"bos_token_id": 4, "eos_token_id": 4}
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=ROWS, n_embd=16, n_layer=LAYERS, n_head=2, n_inner=24, n_positions=40, **ends)
    )


def _llama() -> Any:
    ends = {"bos_token_id": 4, "eos_token_id": 4, "pad_token_id": None}
    return LlamaForCausalLM(LlamaConfig(**{**COMMON, **ends}, num_key_value_heads=1))


def _t5() -> Any:
    ends = {"pad_token_id": 0, "eos_token_id": 4, "decoder_start_token_id": 0}
    config = T5Config(vocab_size=ROWS, d_model=16, d_kv=8, d_ff=24, num_layers=LAYERS, num_heads=2, **ends)
    return T5ForConditionalGeneration(config)


TEXT = {
    "bert": _bert,
    "bert-pooler": _bert_with_pooler,
    "roberta": _roberta,
    "distilbert": _distilbert,
    "electra": _electra,
    "deberta-v2": _deberta,
    "gpt2": _gpt2,
    "llama": _llama,
    "t5": _t5,
}
ENDS = {"gpt2": ("$A", "$A $B", []), "llama": ("$A", "$A $B", []), "t5": ("$A </s>", "$A </s> $B </s>", ["</s>"])}
"""Templates of what a tokenizer puts around one and around two texts, with the special tokens that takes."""
BERT_ENDS = ("<cls> $A <sep>", "<cls> $A <sep> $B:1 <sep>:1", ["<cls>", "<sep>"])


def save_text_model(name: str, folder: Path) -> Path:
    """Save a model of that architecture with its tokenizer; every parameter is random, norms and biases too."""
    model = TEXT[name]()
    _shake(model)
    with quiet():
        model.save_pretrained(folder)
    tokenizer(name).save_pretrained(folder)
    return folder


def _shake(model: Any) -> None:
    torch.manual_seed(5)
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.1)


def tokenizer(name: str) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordLevel(VOCAB, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    single, pair, used = ENDS.get(name, BERT_ENDS)
    if used:
        made.post_processor = processors.TemplateProcessing(
            single=single, pair=pair, special_tokens=[(token, VOCAB[token]) for token in used]
        )
    roles = {"unk_token": "<unk>", "eos_token": "</s>"}
    if name not in ("gpt2", "llama"):
        roles |= {"pad_token": "<pad>"}
    if used == BERT_ENDS[2]:
        roles |= {"cls_token": "<cls>", "sep_token": "<sep>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **roles)


def save_vit(folder: Path) -> Path:
    config = ViTConfig(
        image_size=8, patch_size=4, hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=2,
        intermediate_size=24,
    )  # fmt: skip
    model = ViTModel(config)
    _shake(model)
    with quiet():
        model.save_pretrained(folder)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def save_all(root: Path) -> dict[str, Path]:
    """Save every text model and the ViT; returns their folders by name."""
    made = {name: save_text_model(name, root / name) for name in TEXT}
    return made | {"vit": save_vit(root / "vit")}


def load(folder: Path, *, seed: int = 0, kind: Any = "text", num_labels: int = 3, **settings: Any) -> LoadedModel:
    spec = ModelSpec(name=str(folder), **settings)
    problem: Any = "regression" if num_labels == 1 else "classification"
    return load_model(spec, num_labels=num_labels, problem=problem, kind=kind, seed=seed)


def batch_of(loaded: LoadedModel, *texts: str) -> dict[str, torch.Tensor]:
    return dict(loaded.preprocessor(list(texts), padding=True, return_tensors="pt"))


def split(loaded: LoadedModel) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The parameters of the head, and those of the backbone."""
    head, backbone = {}, {}
    for name, parameter in loaded.model.named_parameters():
        (head if is_under(name, loaded.head_names) else backbone)[name] = parameter.detach()
    return head, backbone


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)

"""Tiny, randomly initialised models of the families that matter, each with a batch and a scalar loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BATCH, LENGTH, VOCAB = 3, 5, 23
WIDTH = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


class ConvNet(nn.Module):
    """Convolutions, batch normalisation, a recurrent layer and free-standing parameters, without transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.shift = nn.Parameter(torch.zeros(6, 1, 1))
        self.recurrent = nn.LSTM(6, 5, batch_first=True)
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(()))])
        self.named = nn.ParameterDict({"gain": nn.Parameter(torch.ones(5))})
        self.classifier = nn.Linear(5, 3)
        self.reentrant: bool | None = None

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, bool]) -> None:
        self.reentrant = gradient_checkpointing_kwargs["use_reentrant"]

    def forward(self, pixel_values: Tensor) -> Tensor:
        hidden = self.first(pixel_values)
        if self.reentrant is None:
            hidden = self.second(hidden)
        else:
            hidden = checkpoint(self.second, hidden, use_reentrant=self.reentrant)
        steps = (hidden + self.shift).flatten(2).transpose(1, 2)
        last = self.recurrent(steps)[0][:, -1]
        return self.classifier(last * self.scales[0] * self.scales[1] * self.named["gain"])


@dataclass(frozen=True)
class Tiny:
    """A family of models: how one is built, what it is fed, where its head is."""

    build: Callable[[], nn.Module]
    batch: Callable[[], dict[str, Any]]
    head: tuple[str, ...]


def _tokens(**more: Callable[[], Tensor]) -> Callable[[], dict[str, Any]]:
    def batch() -> dict[str, Any]:
        generator = torch.Generator().manual_seed(3)
        ids = torch.randint(3, VOCAB, (BATCH, LENGTH), generator=generator)
        return {"input_ids": ids, **{name: value() for name, value in more.items()}}

    return batch


def _ones() -> Tensor:
    return torch.ones(BATCH, LENGTH, dtype=torch.long)


def _image(size: int, channels: int) -> Callable[[], dict[str, Any]]:
    return lambda: {
        "pixel_values": torch.randn(BATCH, channels, size, size, generator=torch.Generator().manual_seed(3))
    }


def _bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(vocab_size=VOCAB, max_position_embeddings=LENGTH, num_labels=3, **WIDTH, **STILL)
    )


def _roberta() -> nn.Module:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    return RobertaForSequenceClassification(
        RobertaConfig(
            vocab_size=VOCAB, max_position_embeddings=LENGTH + 3, type_vocab_size=1, num_labels=3, **WIDTH, **STILL
        )
    )


def _gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB, n_positions=16, n_embd=8, n_layer=2, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0,
            attn_pdrop=0.0, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        )
    )  # fmt: skip


def _llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(vocab_size=VOCAB, max_position_embeddings=32, num_key_value_heads=1, pad_token_id=0, **WIDTH)
    )


def _t5() -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=VOCAB, d_model=8, d_kv=4, d_ff=12, num_layers=2, num_heads=2, dropout_rate=0.0,
            decoder_start_token_id=0, relative_attention_num_buckets=4,
        )
    )  # fmt: skip


def _vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(
        ViTConfig(image_size=8, patch_size=4, num_channels=1, num_labels=3, **WIDTH, **STILL)
    )


def _deberta() -> nn.Module:
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    return DebertaV2ForSequenceClassification(
        DebertaV2Config(
            vocab_size=VOCAB, max_position_embeddings=16, type_vocab_size=0, num_labels=3, relative_attention=True,
            position_buckets=4, pos_att_type=["p2c", "c2p"], share_att_key=True, norm_rel_ebd="layer_norm",
            position_biased_input=False, pooler_dropout=0.0, pooler_hidden_size=8, **WIDTH, **STILL,
        )
    )  # fmt: skip


TINY = {
    "bert": Tiny(_bert, _tokens(attention_mask=_ones), ("classifier",)),
    "roberta": Tiny(_roberta, _tokens(attention_mask=_ones), ("classifier",)),
    "gpt2": Tiny(_gpt2, _tokens(), ("lm_head",)),
    "llama": Tiny(_llama, _tokens(), ("lm_head",)),
    "t5": Tiny(_t5, _tokens(decoder_input_ids=_ones), ("lm_head",)),
    "vit": Tiny(_vit, _image(8, 1), ("classifier",)),
    "deberta": Tiny(_deberta, _tokens(attention_mask=_ones), ("classifier",)),
    "convnet": Tiny(ConvNet, _image(8, 1), ("classifier",)),
}


def tiny(name: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> nn.Module:
    """The family's model in training mode; its weights depend on the seed alone, the global generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TINY[name].build()
        with torch.no_grad():  # no zeros: a gradient that is zero by symmetry tests nothing
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.to(dtype).train()


def batch_of(name: str, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    made = TINY[name].batch()
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in made.items()}


def logits(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    out = model(**batch)
    return out if isinstance(out, Tensor) else out.logits


def loss_of(out: Tensor) -> Tensor:
    """A scalar loss that changes with every logit in its own way, so that no symmetry hides an error."""
    weights = torch.linspace(-1.0, 1.0, out.numel(), dtype=torch.float64).view(out.shape)
    return (out.double() * weights).sum() + out.double().pow(2).mean()

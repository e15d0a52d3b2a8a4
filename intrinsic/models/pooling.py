"""Mean pooling: a text or image is represented by the mean of its tokens' states."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

DROPOUT_FIELDS = (
    "classifier_dropout",
    "classifier_dropout_prob",
    "seq_classif_dropout",
    "hidden_dropout_prob",
    "dropout_rate",
    "resid_pdrop",
)
"""Fields of a configuration that may hold the dropout rate of its own classifier; the first that is set counts."""


def masked_mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the attended tokens, sum_l m_l h_l / sum_l m_l [B, H].

    hidden: h [B, L, H]; mask: m [B, L] of 0 and 1, or None for all ones.
    With a mask the sum is taken in float32 whatever the precision of hidden. A row without any token gives 0.
    """
    if mask is None:
        return hidden.mean(dim=1)
    weight = mask.unsqueeze(-1).to(torch.float32)
    total = (hidden.to(torch.float32) * weight).sum(dim=1)
    return (total / weight.sum(dim=1).clamp(min=1.0)).to(hidden.dtype)


class MeanPooled(nn.Module):
    """Classifier: logits = W dropout(mean over the attended tokens of the backbone's last hidden state) + b.

    W ~ N(0, config.initializer_range^2) (0.02 where the architecture names none), b = 0. The dropout rate is that of
    the architecture's own classifier, 0 where it has none. Images have no padding: all their tokens count, including
    the class token.
    """

    def __init__(self, backbone: PreTrainedModel, num_labels: int) -> None:
        super().__init__()
        self.config = backbone.config
        self.backbone: Any = backbone
        self.dropout = nn.Dropout(dropout_rate(self.config))
        self.classifier = nn.Linear(self.config.hidden_size, num_labels)
        nn.init.normal_(self.classifier.weight, std=getattr(self.config, "initializer_range", 0.02))
        nn.init.zeros_(self.classifier.bias)

    def forward(self, **inputs: Any) -> SequenceClassifierOutput:
        """The .logits [B, num_labels] of the backbone's inputs; for text they include attention_mask [B, L]."""
        hidden = self.backbone(**inputs).last_hidden_state
        pooled = masked_mean(hidden, inputs.get("attention_mask"))
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(pooled)))

    def activation_checkpointing_enable(
        self, activation_checkpointing_kwargs: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        """Enable activation checkpointing on the backbone, as transformers.PreTrainedModel does."""
        older = self.backbone.gradient_checkpointing_enable  # deprecated from transformers 5.23 on
        enable = getattr(self.backbone, "activation_checkpointing_enable", older)
        enable(activation_checkpointing_kwargs, **settings)

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        """Older name of :meth:`activation_checkpointing_enable` in transformers."""
        self.activation_checkpointing_enable(gradient_checkpointing_kwargs, **settings)

    def activation_checkpointing_disable(self) -> None:
        """Disable activation checkpointing on the backbone."""
        older = self.backbone.gradient_checkpointing_disable
        getattr(self.backbone, "activation_checkpointing_disable", older)()

    def gradient_checkpointing_disable(self) -> None:
        """Older name of :meth:`activation_checkpointing_disable` in transformers."""
        self.activation_checkpointing_disable()

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activation checkpointing is enabled in any part of the backbone."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.backbone.modules())

    def get_input_embeddings(self) -> nn.Module:
        """The input embeddings of the backbone."""
        return cast(nn.Module, self.backbone.get_input_embeddings())


def dropout_rate(config: Any) -> float:
    """Dropout rate of the architecture's own classification head; 0 if the configuration names none."""
    rates = (getattr(config, field, None) for field in DROPOUT_FIELDS)
    return next((float(rate) for rate in rates if isinstance(rate, (int, float))), 0.0)

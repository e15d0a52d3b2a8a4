"""DeBERTa-v2's attention with a prefix: it uses none of transformers' attention functions, so it is computed here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

from intrinsic.errors import ModelError


def enter(core: nn.Module) -> None:
    """Change the attention's class to one that uses its child `intrinsic_prefix`; other classes raise ModelError."""
    if type(core) is not DisentangledSelfAttention:
        raise ModelError(
            "a prefix needs an attention that reads config._attn_implementation, or DeBERTa-v2's, got "
            f"{type(core).__name__}"
        )
    core.__class__ = PrefixedDisentangledSelfAttention


class PrefixedDisentangledSelfAttention(DisentangledSelfAttention):
    """DeBERTa-v2's attention with a prefix: softmax over [q P_k^T, q K^T + relative terms] / sqrt(t d_h).

    t is the number of kinds of terms. The prefix has no position, hence no relative term. An existing attention gets
    this class, so that copies of the model have it too.
    """

    intrinsic_prefix: Any

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        asked = hidden_states if query_states is None else query_states
        flat = [  # [B * H, L, d_h]
            self.transpose_for_scores(project(x), self.num_attention_heads)
            for project, x in (
                (self.query_proj, asked),
                (self.key_proj, hidden_states),
                (self.value_proj, hidden_states),
            )
        ]
        kinds = 1 + sum(kind in self.pos_att_type for kind in ("c2p", "p2c"))
        scale = (kinds * flat[0].shape[-1]) ** 0.5
        relative: Tensor | float = 0.0
        if self.relative_attention:
            embeddings = self.pos_dropout(rel_embeddings)
            bias: Any = self.disentangled_attention_bias
            relative = bias(flat[0], flat[1], relative_pos, embeddings, kinds)
        batch = asked.shape[0]
        scores = self._by_head(flat[0] @ flat[1].transpose(1, 2) / scale + relative, batch)
        scores = scores.masked_fill(~attention_mask.bool(), torch.finfo(scores.dtype).min)
        query, key, value = (self._by_head(t, batch) for t in flat)
        keys, values, length = self.intrinsic_prefix(key, value)
        to_prefix = query @ keys[:, :, :length].transpose(2, 3) / scale
        shares = self.dropout(torch.cat([to_prefix, scores], dim=-1).softmax(dim=-1))
        context = (shares @ values).transpose(1, 2).flatten(2)
        return context, shares if output_attentions else None

    def _by_head(self, flat: Tensor, batch: int) -> Tensor:
        return flat.view(batch, self.num_attention_heads, *flat.shape[1:])

"""What each method can be asked for, with every default. No torch here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from intrinsic.spec import Frozen, PositiveInt

Matrix = Literal["q", "k", "v", "o", "ffn"]
"""Query, key, value and output map of every attention; `ffn`: all linear maps of the feed-forward."""
Matrices = Annotated[tuple[Matrix, ...], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class NoOptions(Frozen):
    """The method can be set in no way."""


class BitFitOptions(Frozen):
    biases: Literal["all", "query-ffn"] = "all"
    """query-ffn: the query's, and the first feed-forward map's (b_q and b_m2 of Ben Zaken et al. 2022, who count
    the attention's output map as the block's first MLP)."""


class BottleneckOptions(Frozen):
    """He et al. 2022 (arXiv:2110.04366), table 2: dh = W_up f(W_down x), laid into the block along four axes."""

    bottleneck: PositiveInt = 16
    """r, the width between W_down [r, d] and W_up [d, r]."""
    form: Literal["relu", "gelu", "linear"] = "relu"
    """f."""
    insertion: Literal["sequential", "parallel"] = "sequential"
    """x is the branch's own output h, or what the sublayer read from the residual stream."""
    place: Literal["attention", "ffn", "both", "head-attention"] = "ffn"
    """h is the output of attention, of feed-forward, or the concatenated heads before their output map."""
    composition: Literal["add", "scaled", "learned", "gated"] = "add"
    """h + dh; h + s dh with s fixed or learned (from 1); (1 - g) h + g dh with g = sigmoid(w x + b) a token."""
    scale: Positive = 1.0
    """s of `scaled`."""
    after_norm: bool = False
    """x is the layer norm's answer to residual + h, or where norms come first residual + h itself (Pfeiffer et al.)."""
    norms: bool = False
    """Train the blocks' layer norms too (Houlsby et al.)."""

    @model_validator(mode="after")
    def _consistent(self) -> BottleneckOptions:
        if self.scale != 1.0 and self.composition != "scaled":
            raise ValueError(f"a scale goes with composition 'scaled', got {self.composition!r}")
        if self.place == "head-attention" and self.insertion != "parallel":
            raise ValueError("place 'head-attention' needs insertion 'parallel': it reads what the heads read")
        if self.after_norm and (self.insertion, self.composition) != ("sequential", "add"):
            raise ValueError("after_norm needs insertion 'sequential' and composition 'add'")
        return self


class PrefixOptions(Frozen):
    """Li and Liang 2021 (arXiv:2101.00190)."""

    length: PositiveInt = 16
    """l: keys and values put before those of every attention."""
    mlp_width: PositiveInt | None = 512
    """Width of the tanh layer that makes the prefixes in training; None: they are trained themselves."""
    words: str | None = None
    """Start from the keys and values that this text has in the pretrained model; needs mlp_width None."""

    @model_validator(mode="after")
    def _consistent(self) -> PrefixOptions:
        if self.words is not None and self.mlp_width is not None:
            raise ValueError("words set the prefixes themselves: set mlp_width to None with them")
        return self


class MamOptions(Frozen):
    """Mix-and-match adapter of He et al. 2022: prefixes in attention, a scaled parallel adapter at feed-forward."""

    length: PositiveInt = 16
    mlp_width: PositiveInt | None = 512
    bottleneck: PositiveInt = 16
    scale: Positive = 2.0


class PromptOptions(Frozen):
    """Lester et al. 2021 (arXiv:2104.08691)."""

    length: PositiveInt = 20
    """Trained input vectors."""
    start: Literal["random", "vocabulary", "text"] = "vocabulary"
    """random: U(-1/2, 1/2); vocabulary: embeddings of words drawn from it; text: embeddings of `text`'s words."""
    text: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> PromptOptions:
        if (self.start == "text") != (self.text is not None):
            raise ValueError("a text goes with start 'text' and only with it")
        return self


class LoraOptions(Frozen):
    """Hu et al. 2021 (arXiv:2106.09685): W + (alpha / rank) B A."""

    rank: PositiveInt = 8
    alpha: Positive | None = None
    """None: alpha = rank, so that one learning rate suits every rank."""
    matrices: Matrices = ("q", "v")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Of what A reads."""


class Ia3Options(Frozen):
    """Liu et al. 2022 (arXiv:2205.05638): keys, values and feed-forward's hidden units, each scaled by a number."""


class VeraOptions(Frozen):
    """Kopiczko et al. 2024 (arXiv:2310.11454): W + diag(b) B diag(d) A, with random A and B shared by all matrices."""

    rank: PositiveInt = 256
    matrices: Matrices = ("q", "v")
    start: Positive = 0.1
    """Of every entry of d."""


class UniLoraOptions(Frozen):
    """Li et al. 2025 (arXiv:2506.00799): every entry of LoRA's A and B is one of `size` numbers, chosen at random."""

    rank: PositiveInt = 4
    size: PositiveInt = 256
    """theta_d's length. It feeds both A and B, so that their product is of second order in it: not the d of DID."""
    matrices: Matrices = ("q", "v")


class FourierFtOptions(Frozen):
    """Gao et al. 2024 (arXiv:2405.03003): W + scale * the inverse Fourier transform of a few random frequencies."""

    frequencies: PositiveInt = 1000
    """Of every matrix; at most its entries."""
    scale: Positive = 150.0
    matrices: Matrices = ("q", "v")


class RandLoraOptions(Frozen):
    """Albert et al. 2025 (arXiv:2502.00987): a full-rank sum of random low-rank products, each weighted."""

    rank: PositiveInt = 32
    alpha: Positive | None = None
    """None: 20 times the rank."""
    matrices: Matrices = ("q", "v")


class AdaLoraOptions(Frozen):
    """Zhang et al. 2023 (arXiv:2303.10512): W + P diag(e) Q, whose entries of e compete for a shrinking budget."""

    rank: PositiveInt = 8
    """Mean rank that is left."""
    first_rank: PositiveInt | None = None
    """Of every matrix at the start; None: half as much again as rank."""
    alpha: Positive | None = None
    """None: alpha = rank."""
    matrices: Matrices = ("q", "v")
    orthogonality: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Weight of the mean of |P^T P - 1| and |Q Q^T - 1| (Frobenius) in the loss."""

    @model_validator(mode="after")
    def _consistent(self) -> AdaLoraOptions:
        if self.first_rank is not None and self.first_rank <= self.rank:
            raise ValueError(f"first_rank must be more than rank {self.rank}, got {self.first_rank}")
        return self

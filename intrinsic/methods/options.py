"""The options of each method, with their defaults. Torch is not imported here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from intrinsic.spec import Frozen, PositiveInt

Matrix = Literal["q", "k", "v", "o", "ffn"]
"""Linear maps to change: query, key, value and output map of every attention; `ffn`: all maps of the feed-forward."""
Matrices = Annotated[tuple[Matrix, ...], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class NoOptions(Frozen):
    """Options of a method that has none."""


class BitFitOptions(Frozen):
    """Options of BitFit (Ben Zaken et al. 2022, arXiv:2106.10199)."""

    biases: Literal["all", "query-ffn"] = "all"
    """Biases that are trained. all: every one outside the head; query-ffn: the query's and the first feed-forward
    map's (b_q and b_m2 of the paper, which counts the attention's output map as the block's first MLP)."""


class BottleneckOptions(Frozen):
    """Options of adapters dh = W_up f(W_down x) along the axes of He et al. 2022 (arXiv:2110.04366), table 2."""

    bottleneck: PositiveInt = 16
    """Width r between W_down [r, d] and W_up [d, r]."""
    form: Literal["relu", "gelu", "linear"] = "relu"
    """Nonlinearity f."""
    insertion: Literal["sequential", "parallel"] = "sequential"
    """Input x of the adapter. sequential: the branch's own output h; parallel: the input of the sublayer."""
    place: Literal["attention", "ffn", "both", "head-attention"] = "ffn"
    """Output h that is changed: of attention, of feed-forward, of both; head-attention: the heads, before their map."""
    composition: Literal["add", "scaled", "learned", "gated"] = "add"
    """Composition. add: h + dh; scaled: h + s dh with s fixed; learned: the same with s learned from 1; gated:
    (1 - g) h + g dh with g = sigmoid(w x + b) for each token."""
    scale: Positive = 1.0
    """Factor s of the composition `scaled`."""
    after_norm: bool = False
    """Whether x is the layer norm of residual + h (Pfeiffer et al.); in a pre-norm model it is residual + h itself."""
    norms: bool = False
    """Whether the blocks' layer norms are trained too (Houlsby et al.)."""

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
    """Options of prefix tuning (Li and Liang 2021, arXiv:2101.00190)."""

    length: PositiveInt = 16
    """Number l of keys and values put before those of every attention."""
    mlp_width: PositiveInt | None = 512
    """Width of the tanh layer that makes the prefixes in training; None: they are trained directly."""
    words: str | None = None
    """Text whose keys and values in the pretrained model are the start, with mlp_width None; None: a random start."""

    @model_validator(mode="after")
    def _consistent(self) -> PrefixOptions:
        if self.words is not None and self.mlp_width is not None:
            raise ValueError("words set the prefixes themselves: set mlp_width to None with them")
        return self


class MamOptions(Frozen):
    """Options of the mix-and-match adapter (He et al. 2022, arXiv:2110.04366).

    It puts prefixes into attention and a scaled parallel adapter beside feed-forward.
    """

    length: PositiveInt = 16
    """Length of the prefixes, as in PrefixOptions."""
    mlp_width: PositiveInt | None = 512
    """Width of the prefixes' tanh layer, as in PrefixOptions."""
    bottleneck: PositiveInt = 16
    """Width of the adapter, as in BottleneckOptions."""
    scale: Positive = 2.0
    """Factor of the adapter's output, as in BottleneckOptions."""


class PromptOptions(Frozen):
    """Options of prompt tuning (Lester et al. 2021, arXiv:2104.08691)."""

    length: PositiveInt = 20
    """Number p of trained input vectors."""
    start: Literal["random", "vocabulary", "text"] = "vocabulary"
    """Initial vectors. random: U(-1/2, 1/2); vocabulary: embeddings of tokens drawn from it; text: those of `text`."""
    text: str | None = None
    """Text whose tokens' embeddings are the start; only with start `text`."""

    @model_validator(mode="after")
    def _consistent(self) -> PromptOptions:
        if (self.start == "text") != (self.text is not None):
            raise ValueError("a text goes with start 'text' and only with it")
        return self


class LoraOptions(Frozen):
    """Options of LoRA, W + (alpha / rank) B A (Hu et al. 2021, arXiv:2106.09685)."""

    rank: PositiveInt = 8
    """Rank of B A."""
    alpha: Positive | None = None
    """Scale of the update; None: alpha = rank, so that one learning rate suits every rank."""
    matrices: Matrices = ("q", "v")
    """Linear maps W that are changed."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability on the input of A."""


class Ia3Options(Frozen):
    """Options of (IA)^3, which has none (Liu et al. 2022, arXiv:2205.05638).

    Each entry of keys, values and feed-forward's hidden layer is multiplied by a trained number.
    """


class VeraOptions(Frozen):
    """Options of VeRA, W + diag(b) B diag(d) A (Kopiczko et al. 2024, arXiv:2310.11454).

    A and B are random and shared by all matrices; the vectors b and d are trained.
    """

    rank: PositiveInt = 256
    """Rank of B A, the length of d."""
    matrices: Matrices = ("q", "v")
    """Linear maps W that are changed."""
    start: Positive = 0.1
    """Initial value of every entry of d."""


class UniLoraOptions(Frozen):
    """Options of Uni-LoRA (Li et al. 2025, arXiv:2506.00799).

    Every entry of LoRA's A and B is one of `size` trained numbers, chosen at random.
    """

    rank: PositiveInt = 4
    """Rank of B A."""
    size: PositiveInt = 256
    """Length of theta_d. It is not the d of DID: theta_d gives both A and B, and B A is of second order in it."""
    matrices: Matrices = ("q", "v")
    """Linear maps that are changed."""


class FourierFtOptions(Frozen):
    """Options of FourierFT (Gao et al. 2024, arXiv:2405.03003).

    The update of W is scale times the inverse Fourier transform of a few trained coefficients at random frequencies.
    """

    frequencies: PositiveInt = 1000
    """Number of frequencies for each matrix, at most the number of its entries."""
    scale: Positive = 150.0
    """Factor of the update."""
    matrices: Matrices = ("q", "v")
    """Linear maps W that are changed."""


class RandLoraOptions(Frozen):
    """Options of RandLoRA (Albert et al. 2025, arXiv:2502.00987).

    The update is a full-rank sum of random low-rank products with trained weights.
    """

    rank: PositiveInt = 32
    """Rank of each product."""
    alpha: Positive | None = None
    """Scale of the update; None: 20 times the rank."""
    matrices: Matrices = ("q", "v")
    """Linear maps that are changed."""


class AdaLoraOptions(Frozen):
    """Options of AdaLoRA (Zhang et al. 2023, arXiv:2303.10512).

    W becomes W + P diag(e) Q; a budget that shrinks in training decides which entries of e are kept.
    """

    rank: PositiveInt = 8
    """Mean rank of the matrices at the end of training."""
    first_rank: PositiveInt | None = None
    """Rank of every matrix at the start; None: 1.5 times `rank`, rounded up."""
    alpha: Positive | None = None
    """Scale of the update; None: alpha = rank."""
    matrices: Matrices = ("q", "v")
    """Linear maps W that are changed."""
    orthogonality: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Weight in the loss of the mean over all matrices of |P^T P - 1| and |Q Q^T - 1| (Frobenius norms)."""

    @model_validator(mode="after")
    def _consistent(self) -> AdaLoraOptions:
        if self.first_rank is not None and self.first_rank <= self.rank:
            raise ValueError(f"first_rank must be more than rank {self.rank}, got {self.first_rank}")
        return self

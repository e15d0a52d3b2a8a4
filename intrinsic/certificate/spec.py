"""The settings of `certify`: the grid, frozen and hashed before training, and the candidates to try."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from intrinsic.certificate.codes.shape import MOST_KINDS, MOST_LEVELS
from intrinsic.spec import Frozen, ModelSpec, OptimSpec, PositiveInt, ProjectionName, Seed, TaskSpec

DECODER_VERSION = 1
"""The version of the code, which is all that turns a message into a function; another version is refused."""
MOST_SETTINGS, MOST_SEEDS, MOST_HIDDEN = 2**10, 2**20, 2**12
"""The largest grid and hidden layer that are read; they bound the work of `verify`."""


class Setting(Frozen):
    """One row of the grid: all that a decoder must know besides the numbers in the message."""

    network: Literal["plain", "gabor", "embedding"] = "plain"
    """The network at theta_0; :mod:`intrinsic.certificate.networks` describes each."""
    hidden: int = Field(default=0, ge=0, le=MOST_HIDDEN, strict=True)
    """Hidden units over frozen features; 0: a linear layer."""
    projection: ProjectionName = "hashed"
    structure_aware: bool = Field(default=False, strict=True)
    """Whether a factor is trained, and paid for, for each tensor (SAID), or none (DID)."""

    @model_validator(mode="after")
    def _consistent(self) -> Setting:
        if self.hidden and self.network == "plain":
            raise ValueError(f"hidden units belong to frozen features, got {self.hidden} with network 'plain'")
        return self


def _without_place(task: TaskSpec) -> TaskSpec:
    """The task without its folder: readers keep the data where they like, and a hash says which data they are."""
    return task.model_copy(update={"data_dir": None})


class Grid(Frozen):
    """All that is fixed before training, so that no bit is due for it: the meaning of messages, and delta."""

    decoder: int = Field(default=DECODER_VERSION, ge=1, strict=True)
    task: Annotated[TaskSpec, AfterValidator(_without_place)] = TaskSpec(name="digits")
    model: ModelSpec = ModelSpec(name="mlp")
    settings: tuple[Setting, ...] = Field(default=(Setting(),), min_length=1, max_length=MOST_SETTINGS)
    seeds: int = Field(default=1, ge=1, le=MOST_SEEDS, strict=True)
    """The number of seeds that the message chooses from: the best of 2^s costs s bits."""
    seed: Seed = 0
    """The root of all random numbers."""
    delta: float = Field(default=0.05, gt=0, lt=1)
    """The probability with which the bound may fail."""
    random_labels: bool = Field(default=False, strict=True)
    """Whether the labels are drawn at random, a check of the whole method: nothing can be certified then."""

    @field_validator("model")
    @classmethod
    def _no_foreign_code(cls, model: ModelSpec) -> ModelSpec:
        if model.trust_remote_code:
            raise ValueError("a certificate runs no code that comes with a model: leave trust_remote_code out")
        return model

    @model_validator(mode="after")
    def _distinct(self) -> Grid:
        if len(set(self.settings)) < len(self.settings):
            raise ValueError("the grid's settings must differ from each other")
        return self

    @property
    def sha256(self) -> str:
        """The hash of the canonical JSON (sorted keys, no spaces, shortest float), 64 hex digits."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


class CertifySpec(Frozen):
    """All settings of `intrinsic certify`. Every combination of setting, seed, dim, kinds and bit weight is trained.

    Nothing below `grid` needs to be coded or fixed beforehand: a bound for a prefix code holds for whatever function
    training ends at, in whatever way it was found, and the message names that function without it.
    """

    grid: Grid = Grid()
    data_dir: str | None = None
    """The folder or file with the data; None: the Hub, or the package the task comes in."""
    dims: tuple[Annotated[int, Field(ge=1, le=MOST_LEVELS)], ...] = Field(default=(500,), min_length=1)
    """The numbers of coordinates tried; a setting with structure trains a factor a tensor besides."""
    kinds: tuple[Annotated[int, Field(ge=2, le=MOST_KINDS)], ...] = Field(default=(3,), min_length=1)
    """The numbers of levels tried, of which every coordinate takes one; 3 is ternary."""
    bit_weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(default=(4.0,), min_length=1)
    """The weights tried for the code's length in the objective, cross-entropy + weight * bits / m."""
    trained_seeds: PositiveInt | None = None
    """The number of the grid's seeds that are trained; None: all."""
    optim: OptimSpec = OptimSpec(learning_rate=0.05, epochs=8, batch_size=128, eval_batch_size=1024)
    coarse_from: float = Field(default=0.3, ge=0, lt=1)
    """The share of the steps after which theta_d is quantised; before it theta_d moves freely."""
    digits: int = Field(default=3, ge=0, le=52)
    """The binary digits, after the first, that the levels' values and the factors are rounded to."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "rates" in given:
            raise ValueError("the weights of the bits are called bit_weights, no longer rates: rename the setting")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> CertifySpec:
        if self.optim.policy != "last" or self.optim.precision != "no":
            raise ValueError(
                "a certificate counts errors in float32 after the last step: policy 'last', precision 'no'"
            )
        if self.trained_seeds is not None and self.trained_seeds > self.grid.seeds:
            raise ValueError(f"trained_seeds is {self.trained_seeds}, but the grid has {self.grid.seeds} seeds")
        return self

    @property
    def task(self) -> TaskSpec:
        """The grid's task, with the place where its data lie."""
        return self.grid.task.model_copy(update={"data_dir": self.data_dir})

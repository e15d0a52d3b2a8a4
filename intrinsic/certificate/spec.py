"""What `certify` is asked for: the grid, frozen and hashed before training, and the candidates to try."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from intrinsic.certificate.codes.shape import MOST_KINDS, MOST_LEVELS
from intrinsic.spec import Frozen, ModelSpec, OptimSpec, PositiveInt, ProjectionName, Seed, TaskSpec

DECODER_VERSION = 1
"""Of everything that turns a message into a function; another version is another code, and is refused."""
MOST_SETTINGS, MOST_SEEDS, MOST_HIDDEN = 2**10, 2**20, 2**12


class Setting(Frozen):
    """One row of the grid: what a decoder must know besides the numbers in the message."""

    network: Literal["plain", "gabor", "embedding"] = "plain"
    """theta_0: see :mod:`intrinsic.certificate.networks`."""
    hidden: int = Field(default=0, ge=0, le=MOST_HIDDEN, strict=True)
    """Hidden units over frozen features; 0: a linear layer."""
    projection: ProjectionName = "hashed"
    structure_aware: bool = Field(default=False, strict=True)
    """SAID: a factor a tensor is trained, and paid for."""

    @model_validator(mode="after")
    def _consistent(self) -> Setting:
        if self.hidden and self.network == "plain":
            raise ValueError(f"hidden units belong to frozen features, got {self.hidden} with network 'plain'")
        return self


def _without_place(task: TaskSpec) -> TaskSpec:
    """Where the data lie is the reader's affair; which data they are, a hash says."""
    return task.model_copy(update={"data_dir": None})


class Grid(Frozen):
    """Fixed before training, so that no bit is due for it: what the messages mean, and how delta is spent."""

    decoder: int = Field(default=DECODER_VERSION, ge=1, strict=True)
    task: Annotated[TaskSpec, AfterValidator(_without_place)] = TaskSpec(name="digits")
    model: ModelSpec = ModelSpec(name="mlp")
    settings: tuple[Setting, ...] = Field(default=(Setting(),), min_length=1, max_length=MOST_SETTINGS)
    seeds: int = Field(default=1, ge=1, le=MOST_SEEDS, strict=True)
    """How many seeds the message may name: the best of 2^s costs s bits."""
    seed: Seed = 0
    """Root of all chance."""
    delta: float = Field(default=0.05, gt=0, lt=1)
    random_labels: bool = Field(default=False, strict=True)
    """The sanity line: labels drawn at random, on which nothing can be certified."""

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
        """Of the canonical JSON (sorted keys, no spaces, shortest float)."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


class CertifySpec(Frozen):
    """`intrinsic certify`, completely. All combinations of settings, seeds, dims, kinds and rates are trained.

    Nothing below `grid` needs to be coded or fixed beforehand: a bound for a prefix code holds for whatever function
    training ends at, in whatever way it was found, and the message names that function without it.
    """

    grid: Grid = Grid()
    data_dir: str | None = None
    dims: tuple[Annotated[int, Field(ge=1, le=MOST_LEVELS)], ...] = Field(default=(500,), min_length=1)
    kinds: tuple[Annotated[int, Field(ge=2, le=MOST_KINDS)], ...] = Field(default=(3,), min_length=1)
    """Levels to quantise to; 3 is ternary."""
    rates: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(default=(4.0,), min_length=1)
    """Weights of the rate in the objective: the loss is cross-entropy + weight * bits / m."""
    trained_seeds: PositiveInt | None = None
    """How many of the grid's seeds are trained; None: all."""
    optim: OptimSpec = OptimSpec(learning_rate=0.05, epochs=8, batch_size=128, eval_batch_size=1024)
    coarse_from: float = Field(default=0.3, ge=0, lt=1)
    """Share of the steps after which the levels are coarse; before it theta_d moves freely."""
    digits: int = Field(default=3, ge=0, le=52)
    """Binary digits after the first of the levels' values and of the factors."""

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
        return self.grid.task.model_copy(update={"data_dir": self.data_dir})

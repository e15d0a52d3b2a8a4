"""The spec of one training run: task, model, method, optimiser, seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from intrinsic.spec.base import SPEC_VERSION, Frozen, Options, PositiveInt, Rate, Seed, digest, pairs
from intrinsic.spec.projections import ProjectionName

FULL, SUBSPACE = "full", "subspace"
"""The methods that a spec knows by name: full fine-tuning, and training in a random subspace."""


class TaskSpec(Frozen):
    """The data of a task, and how much of it is used."""

    name: str = "rotten-tomatoes"
    """Name of a task that is known, or `files` for data of the user's own."""
    data_dir: str | None = None
    """Folder or file with the data; None: the Hub, or the package the task comes in."""
    text_columns: tuple[str, ...] = ()
    """Only for `files`: one or two columns with the text; (): `text`."""
    label_column: str | None = None
    """Only for `files`: the column with the label; None: `label`."""
    splits: tuple[str, str] | None = None
    """Names of the training and the evaluation split; None: the task's own."""
    regression: bool = False
    """Whether labels are real numbers; only for `files`."""
    limit: PositiveInt | None = None
    """Number of training examples used, the first ones of a fixed shuffle; None: all."""
    eval_limit: PositiveInt | None = None
    """Number of evaluation examples used, the first ones of a fixed shuffle; None: all."""
    max_length: PositiveInt = 128
    """Number of tokens that an example is cut to."""


class ModelSpec(Frozen):
    """A pretrained model, or a small reference net for vision and toys."""

    name: str = "minilm"
    """Name of a model that is known, a model on the Hub, or a folder."""
    revision: str | None = None
    """Commit, tag or branch on the Hub; None: the main branch."""
    layers: PositiveInt | None = None
    """Number of transformer layers kept, the first ones; None: all."""
    pooling: Literal["auto", "cls", "mean"] = "auto"
    """Input of a sentence encoder's head: first token, mean over tokens, or what the model's folder says (`auto`)."""
    trust_remote_code: bool = False
    """Whether code that comes with a Hub model is run."""


Lambdas = Literal["layer", "tensor"]
"""The parts of a model that have a lambda each in SAID."""


Head = Literal["in-subspace", "free", "frozen"]
"""The places of a task's new head: in the subspace, or beside it, trained freely or left as it was drawn."""


class SubspaceForm(Frozen):
    """The form of a subspace of any module, with its defaults.

    It holds all that the specs, :class:`intrinsic.Subspace`, its artefacts and peft's configuration have in common.
    """

    projection: ProjectionName = "fastfood"
    """Name of the projection P."""
    structure_aware: bool = True
    """Whether a scale lambda is trained for each layer or tensor (SAID), or none (DID)."""
    lambdas: Lambdas = "layer"
    """The parts of the model that have a scale of their own in SAID."""
    head: Head = "in-subspace"
    """Place of the task's new head: in the subspace, or beside it, trained freely or left as it was drawn."""


class SubspaceKind(SubspaceForm):
    """A family of subspaces of a model, one for every dimension."""

    parameters: Literal["all", "no-embeddings"] = "all"
    """Weights that are moved: all, or with `no-embeddings` all but token, position and type embeddings and what is tied
    to them, which stay at theta_0."""

    def at(self, subspace_dim: int) -> SubspaceSettings:
        """The member of the family that has this dimension."""
        kept = {name: getattr(self, name) for name in SubspaceKind.model_fields}
        return SubspaceSettings(subspace_dim=subspace_dim, **kept)


class SubspaceSettings(SubspaceKind):
    """Settings of the method `subspace`: one subspace of one model."""

    subspace_dim: PositiveInt
    """d, the number of trained coordinates: theta_d and the lambdas together."""


class MethodSpec(Frozen):
    """A way to fine-tune the model: the settings of `subspace`, or the options of any other method.

    In records and configuration files the settings of the subspace stand beside `name`, None for other methods.
    """

    name: str = FULL
    """Name of the method: see intrinsic.methods.METHODS."""
    subspace: SubspaceSettings | None = None
    """Settings of the method `subspace`; None for every other method."""
    of: str | None = None
    """Name of the method whose parameters the subspace lies over (`lora`: the intrinsic dimension of LoRA); None: the
    model's own weights."""
    options: Options = ()
    """Options by name, of the method or of the one under a subspace; :mod:`intrinsic.methods.options` lists them."""

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, given: Any) -> Any:
        """Take the subspace's settings from beside the name, where records and files have them."""
        if not isinstance(given, Mapping) or given.get("subspace") is not None:
            return given
        beside = {k: given[k] for k in SubspaceSettings.model_fields if given.get(k) is not None}
        name = given.get("name", FULL)
        if name == SUBSPACE and "subspace_dim" not in beside:
            raise ValueError(f"method {SUBSPACE!r} needs subspace_dim, the dimension d")
        if name not in (FULL, SUBSPACE) and beside:
            raise ValueError(
                f"{', '.join(beside)}: only method {SUBSPACE!r} takes this, got method {name!r}: leave it out"
            )
        if name == FULL and beside:
            raise ValueError(f"method {FULL!r} trains everything and takes no setting, got {', '.join(beside)}")
        rest = {k: v for k, v in given.items() if k not in SubspaceSettings.model_fields}
        return {**rest, "subspace": beside or None}

    @model_validator(mode="after")
    def _consistent(self) -> MethodSpec:
        given = [*(["of"] if self.of else []), *(k for k, _ in self.options)]
        if self.name == FULL and given:
            raise ValueError(f"method {FULL!r} trains everything and takes no setting, got {', '.join(given)}")
        if self.name != SUBSPACE and self.subspace is not None:
            raise ValueError(f"`subspace` goes with method {SUBSPACE!r} and only with it, got method {self.name!r}")
        if self.name != SUBSPACE and self.of is not None:
            raise ValueError(f"`of` goes with method {SUBSPACE!r} and only with it, got method {self.name!r}")
        if self.name == SUBSPACE and self.options and self.of is None:
            raise ValueError(f"options belong to a method: with {SUBSPACE!r} say which by `of`")
        return self

    @model_serializer(mode="wrap")
    def _flat(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write the settings flat, leaving `of` and `options` out where empty, so that older records keep their ids."""
        written: dict[str, Any] = write(self)
        settings = written.pop("subspace", None) or dict.fromkeys(SubspaceSettings.model_fields)
        return {
            "name": written.pop("name"),
            **settings,
            **{k: v for k, v in written.items() if v},
        }

    @property
    def subspace_dim(self) -> int | None:
        """d, the number of a subspace's coordinates, theta_d and the lambdas together; None for other methods."""
        return None if self.subspace is None else self.subspace.subspace_dim

    def with_size(self, option: str, size: int) -> MethodSpec:
        """The same method with another value of the setting that makes it larger: `subspace_dim` or an option."""
        if self.subspace is not None and option == "subspace_dim":
            return self.model_copy(update={"subspace": self.subspace.at(size)})
        return self.model_copy(update={"options": pairs({**dict(self.options), option: size})})


class OptimSpec(Frozen):
    """Settings of the optimiser loop."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Rate = 5e-4
    """Highest learning rate, reached after the warm-up."""
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Factor of decoupled weight decay, on tensors of two and more dimensions only: not on biases, norms, theta_d."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Course of the learning rate after the warm-up: see :func:`intrinsic.training.rate_factor`."""
    warmup: float = Field(default=0.06, ge=0, le=1)
    """Share of the steps in which the learning rate rises to its full value."""
    clip: float | None = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Largest gradient norm; None: no clipping."""
    epochs: float | None = Field(default=None, gt=0, le=1e6, allow_inf_nan=False)
    """Passes over the training examples; exactly one of epochs and steps is set."""
    steps: PositiveInt | None = None
    """Number of optimiser steps; exactly one of epochs and steps is set."""
    batch_size: PositiveInt = 32
    """Number of examples in a training batch, over all processes."""
    eval_batch_size: PositiveInt = 128
    """Number of examples in an evaluation batch of one process."""
    accumulate: PositiveInt = 1
    """Number of batches whose gradients are added up before a step."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Format of the autocast; `no`: float32 throughout."""
    eval_every: PositiveInt | None = None
    """Number of steps between evaluations; None: one evaluation, at the end."""
    policy: Literal["last", "best"] = "last"
    """The checkpoint whose score counts; `best` needs eval_every and looks at the evaluation split."""

    @model_validator(mode="after")
    def _consistent(self) -> OptimSpec:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"set exactly one of epochs and steps, got {self.epochs!r} and {self.steps!r}")
        if self.policy == "best" and self.eval_every is None:
            raise ValueError("policy 'best' needs eval_every: how many steps lie between two evaluations")
        return self

    def steps_per_epoch(self, count: int) -> int:
        """The number of optimiser steps in an epoch over `count` examples; the last step may see fewer."""
        return math.ceil(count / (self.batch_size * self.accumulate))

    def total_steps(self, count: int) -> int:
        """The number of optimiser steps of a whole run; a fractional number of epochs is rounded up to a whole step."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None  # the validator sees to it
        return max(1, math.ceil(self.epochs * self.steps_per_epoch(count) - 1e-9))


class SeedSpec(Frozen):
    """Seeds of the three sources of randomness, which vary independently."""

    projection: Seed = 0
    """Seed of the projection P."""
    initialisation: Seed = 0
    """Seed of the new head, and of what a method draws at its start."""
    data_order: Seed = 0
    """Seed of the order of the examples, and of dropout."""


class Ingredients(Frozen):
    """Task and model, which trials and measurements both have."""

    task: TaskSpec = TaskSpec()
    model: ModelSpec = ModelSpec()


class TrialSpec(Ingredients):
    """Everything that determines one training run."""

    method: MethodSpec = MethodSpec()
    optim: OptimSpec = OptimSpec(steps=100)
    seeds: SeedSpec = SeedSpec()

    @property
    def id(self) -> str:
        """The name by which a stored trial is found: 16 hex digits of the SHA-256 of the canonical JSON."""
        return digest({"spec_version": SPEC_VERSION, **self.model_dump(mode="json")})

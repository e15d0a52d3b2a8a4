"""Specs: what is to be run, said completely; frozen, validated, hashed. No torch here.

The defaults of measurements and comparisons stand here. Those of a method's options stand in
:mod:`intrinsic.methods.options`, those of certificates in :mod:`intrinsic.certificate.spec`; the command line reads all
of them from these specs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from intrinsic.errors import UnknownName
from intrinsic.plugins import entries_of

SPEC_VERSION = 1
"""Version of the specs' meaning; it goes into every id, so that a change makes new ids."""


STORED = {"stored": True}
"""The context in which a record is validated: it may name a projection of a package that is not installed here."""


@dataclass(frozen=True)
class ProjectionInfo:
    """Facts about a projection that are known without loading it."""

    description: str
    """A few words for the list of projections."""
    home: str
    """Module and class, as in `.dense:DenseProjection`; the module lies in intrinsic.projections and needs torch."""


PROJECTION_NAMES: dict[str, ProjectionInfo] = {
    "dense": ProjectionInfo("independent gaussian entries (Li et al. 2018)", ".dense:DenseProjection"),
    "fastfood": ProjectionInfo(
        "S H G Pi H B in stacked blocks, O(n log d) (Le et al. 2013)", ".fastfood:FastfoodProjection"
    ),
    "hashed": ProjectionInfo(
        "one signed entry a row: count-sketch, O(n) (Uni-LoRA's isometric map)", ".hashed:HashedProjection"
    ),
    "kronecker": ProjectionInfo(
        "Kronecker product of two gaussian factors (Lotfi et al. 2022)", ".kronecker:KroneckerProjection"
    ),
    "sparse": ProjectionInfo(
        "few signed entries a row, density 1/sqrt(D) (Li et al. 2018)", ".sparse:SparseProjection"
    ),
}
"""The projections of this package by name; intrinsic.projections.PROJECTIONS holds their classes."""


def _known_projection(name: str, info: ValidationInfo) -> str:
    if info.context is not STORED and name not in PROJECTION_NAMES and name not in (added := entries_of("projection")):
        raise UnknownName("projection", name, [*PROJECTION_NAMES, *added])
    return name


PositiveInt = Annotated[int, Field(ge=1, lt=2**63)]
"""An integer from 1 that fits into 64 bits with a sign."""
Seed = Annotated[int, Field(ge=0, lt=2**64)]
"""An unsigned integer of 64 bits."""
ProjectionName = Annotated[str, AfterValidator(_known_projection)]
"""The name of a projection, of this package or of another one."""
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A learning rate, or a factor on one: finite and above 0."""
Inputs = Literal["text", "vision"]
"""The kind of a task's examples and of what a model reads: texts, or images."""
OptionValue = bool | int | float | str | tuple[str, ...] | None
"""The value of a method's option."""


def _pairs(given: object) -> object:
    return tuple(sorted(given.items())) if isinstance(given, dict) else given


Options = Annotated[tuple[tuple[str, OptionValue], ...], BeforeValidator(_pairs), PlainSerializer(dict)]
"""A mapping from names to values, kept as sorted pairs so that it can be hashed; written as a mapping."""


class Frozen(BaseModel):
    """Base class of specs and records: immutable; an unknown field is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_complaint(error: ValidationError) -> str:
    """The first of pydantic's complaints as half a sentence: place, message, and what it got."""
    problem = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    told = problem["type"] in ("missing", "value_error")  # their messages say already what was given
    got = "" if told or not place else repr(problem["input"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message}"[:200] + (f", got {got[:80]}" if got else "") if place else message[:200]


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

    name: str = "full"
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
        rest = {k: v for k, v in given.items() if k not in SubspaceSettings.model_fields}
        return {**rest, "subspace": beside or None}

    @model_validator(mode="after")
    def _consistent(self) -> MethodSpec:
        given = [] if self.subspace is None else [k for k, _ in self.subspace]
        if self.name == "full" and (given or self.of or self.options):
            told = ", ".join([*given, *(["of"] if self.of else []), *(k for k, _ in self.options)])
            raise ValueError(f"method 'full' trains everything and takes no setting, got {told}")
        if self.name == "subspace":
            if self.subspace is None:
                raise ValueError("method 'subspace' needs subspace_dim, the dimension d")
            if self.options and self.of is None:
                raise ValueError("options belong to a method: with 'subspace' say which by `of`")
        elif self.of is not None:
            raise ValueError(f"`of` goes with method 'subspace' and only with it, got method {self.name!r}")
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
        return self.model_copy(update={"options": _pairs({**dict(self.options), option: size})})


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


class SearchSpec(Frozen):
    """Settings of the search for d."""

    kind: Literal["adaptive", "grid"] = "adaptive"
    """Way to search: `adaptive`, or the papers' `grid`, every dimension with all seeds."""
    low: PositiveInt = 4
    """Lowest dimension of the bracket, which may itself be tried."""
    high: PositiveInt = 4096
    """Highest dimension of the bracket, which may itself be tried."""
    resolution: float = Field(default=2**0.5, gt=1, allow_inf_nan=False)
    """Ratio of neighbouring dimensions on the geometric grid, and of the interval's ends at which `adaptive` stops."""
    grid: tuple[PositiveInt, ...] = ()
    """Dimensions that may be tried, by either kind of search; empty: low to high by resolution."""
    seeds: PositiveInt = 3
    """Most seeds at one dimension; as many again where two rates compete there, or in place of lost trials."""
    guard_rates: tuple[Rate, ...] = (0.5, 2.0)
    """Factors on the learning rate in use at which a dimension must fail too before it counts as failed; (): none."""
    max_trials: PositiveInt = 200
    """Largest number of trials of the search."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Probability with which the interval for d is to hold the true crossing."""

    @model_validator(mode="after")
    def _consistent(self) -> SearchSpec:
        if self.low >= self.high:
            raise ValueError(f"the bracket needs low < high, got {self.low} and {self.high}")
        return self


class TargetSpec(Frozen):
    """The rule for the score that counts as reached."""

    kind: Literal["own", "global", "chance-corrected"] = "own"
    """Formula of the target: `own`, fraction * baseline; `global`, fraction * value; `chance-corrected`, chance +
    fraction * (baseline - chance)."""
    fraction: float = Field(default=0.9, gt=0, le=1)
    """Share of the reference score that must be reached, as in d90: 0.9."""
    value: float | None = Field(default=None, allow_inf_nan=False)
    """Reference score of `global`, in the metric's own unit; None for the other kinds."""

    @model_validator(mode="after")
    def _consistent(self) -> TargetSpec:
        if (self.kind == "global") != (self.value is not None):
            raise ValueError("a value goes with target 'global' and only with it, as in --target global:0.95")
        return self


class MeasureSpec(SubspaceKind, Ingredients):
    """Everything that determines a run of `intrinsic measure`. The defaults suit a text task; PRESETS holds others."""

    of: MethodSpec | None = None
    """Method over whose parameters the subspaces lie, with its options; None: the model's own weights."""
    optim: OptimSpec = OptimSpec(epochs=3)
    """Settings of the optimiser, the same for baseline and subspace but for the learning rate."""
    baseline_rates: tuple[Rate, ...] = (2e-5, 6e-5, 2e-4)
    """Grid from which full fine-tuning's learning rate is chosen."""
    baseline_seeds: PositiveInt = 3
    """Number of seeds behind the baseline's score."""
    subspace_rates: tuple[Rate, ...] = (1e-3, 3e-3, 9e-3)
    """Grid from which the subspace's learning rate is chosen, once; for a P whose rows have unit norm."""
    target: TargetSpec = TargetSpec()
    search: SearchSpec = SearchSpec(low=32, high=16384)
    """Settings of the search; its low end lies above the lambdas of a 24-layer model, which d pays for."""
    seed: Seed = 0
    """Root of all seeds of all trials."""

    @model_validator(mode="after")
    def _rates(self) -> MeasureSpec:
        if not self.baseline_rates or not self.subspace_rates:
            raise ValueError("baseline_rates and subspace_rates need one rate or more each, got none: give one")
        if self.optim.learning_rate != OptimSpec.model_fields["learning_rate"].default:
            raise ValueError("a measurement chooses its learning rates: set baseline_rates and subspace_rates instead")
        return self

    @model_serializer(mode="wrap")
    def _lean(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `of` out where it is None, so that older records keep their ids."""
        written: dict[str, Any] = write(self)
        return {k: v for k, v in written.items() if k != "of" or v is not None}

    @property
    def id(self) -> str:
        """The name of this measurement: 16 hex digits of a hash of the whole spec."""
        return digest({"spec_version": SPEC_VERSION, **self.model_dump(mode="json")})


class Contender(Frozen):
    """One method in a comparison, at one size or several."""

    label: str
    """Name and settings as the user wrote them, without sizes and rates; no two contenders share one."""
    method: MethodSpec
    """The method at the first of its sizes."""
    size: str | None = None
    """Name of the setting that makes the method larger: `subspace_dim`, or an option; None if it has one size."""
    sizes: tuple[PositiveInt, ...] = ()
    """Values of that setting to compare; empty if the method has one size."""
    rates: tuple[Rate, ...]
    """Grid from which the learning rate is chosen, at the middle one of the sizes."""

    @model_validator(mode="after")
    def _consistent(self) -> Contender:
        if (self.size is None) != (not self.sizes):
            raise ValueError(f"contender {self.label!r}: a size goes with sizes, got {self.size!r} and {self.sizes}")
        if not self.rates:
            raise ValueError(f"contender {self.label!r} needs a learning rate or more, got none")
        return self

    def at(self, size: int | None) -> MethodSpec:
        """The method at one of the sizes; at None, or if it has one size only, as it is."""
        if self.size is None or size is None:
            return self.method
        return self.method.with_size(self.size, size)

    @property
    def middle(self) -> int | None:
        """The size at which the rate is chosen; None if the method has one size."""
        return sorted(self.sizes)[len(self.sizes) // 2] if self.sizes else None


class CompareSpec(Frozen):
    """Everything that determines a run of `intrinsic compare`."""

    base: MeasureSpec
    """Task, model, training, target and search as in a measurement; search.seeds: seeds of each method and size."""
    contenders: tuple[Contender, ...] = Field(min_length=1)
    """Methods to compare, full fine-tuning first."""
    at: float | None = Field(default=None, gt=0, le=1)
    """Share of full fine-tuning's score for which each method's smallest size is searched; None: no search."""

    @model_validator(mode="after")
    def _consistent(self) -> CompareSpec:
        labels = [contender.label for contender in self.contenders]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"every contender needs a name of its own, got {', '.join(twice)} more than once")
        if labels[0] != "full":
            raise ValueError(f"the first contender must be full, which the others are compared with, got {labels[0]!r}")
        if self.base.of is not None:
            raise ValueError("`of` belongs to a measurement: in a comparison write it with the method, said:of=lora")
        return self

    @property
    def id(self) -> str:
        """The name of this comparison: 16 hex digits of a hash of the whole spec."""
        return digest({"spec_version": SPEC_VERSION, "compare": self.model_dump(mode="json")})


PRESETS: dict[str, MeasureSpec] = {
    # The settings of `intrinsic measure` without flags: five minutes on two cores, offline.
    "demo": MeasureSpec(
        task=TaskSpec(limit=6000, max_length=32),
        model=ModelSpec(layers=1),
        parameters="no-embeddings",
        optim=OptimSpec(steps=64),
        baseline_rates=(2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3),  # the three in the middle differ by less than their noise
        subspace_rates=(1e-2,),  # found beforehand: at 2e-2 seeds differ by 6 points; half and double are still tried
        search=SearchSpec(low=16, high=4096),
    ),
    "text": MeasureSpec(),
    "vision": MeasureSpec(
        task=TaskSpec(name="digits"),
        model=ModelSpec(name="mlp"),
        structure_aware=False,
        optim=OptimSpec(epochs=10, batch_size=128, eval_batch_size=1024),
        baseline_rates=(1e-3, 2e-3, 4e-3),
        subspace_rates=(2e-2, 4e-2, 8e-2),
        search=SearchSpec(low=8, high=4096),
    ),
}
"""Complete settings to start from, by name; flags and a configuration file change single fields of one of them."""


def digest(value: object) -> str:
    """The first 16 hex digits of SHA-256 over canonical JSON (sorted keys, no spaces, shortest float)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

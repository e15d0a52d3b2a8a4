"""What is to be run, said completely: frozen, validated, hashed. No torch here.

The defaults of measurements and comparisons stand here. Those of a method's options stand in
:mod:`intrinsic.methods.options`, those of certificates in :mod:`intrinsic.certificate.spec`; the command line reads all of
them from these specs.
"""

from __future__ import annotations

import hashlib
import json
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
    model_serializer,
    model_validator,
)

from intrinsic.errors import UnknownName
from intrinsic.plugins import entries_of

SPEC_VERSION = 1


@dataclass(frozen=True)
class ProjectionInfo:
    """A projection known by name."""

    description: str
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
"""The projections of this package; intrinsic.projections.PROJECTIONS holds their classes."""


def _known_projection(name: str) -> str:
    if name not in PROJECTION_NAMES and name not in (added := entries_of("projection")):
        raise UnknownName("projection", name, [*PROJECTION_NAMES, *added])
    return name


PositiveInt = Annotated[int, Field(ge=1, lt=2**63)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
ProjectionName = Annotated[str, AfterValidator(_known_projection)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Inputs = Literal["text", "vision"]
"""What a task's examples are and a model reads: texts, or images."""
OptionValue = bool | int | float | str | tuple[str, ...] | None


def _pairs(given: object) -> object:
    return tuple(sorted(given.items())) if isinstance(given, dict) else given


Options = Annotated[tuple[tuple[str, OptionValue], ...], BeforeValidator(_pairs), PlainSerializer(dict)]
"""A mapping that can be hashed; written as one."""


class Frozen(BaseModel):
    """Immutable; an unknown field is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_complaint(error: ValidationError) -> str:
    """The first complaint of pydantic's as half a sentence."""
    problem = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    told = problem["type"] in ("missing", "value_error")  # a sentence of our own says itself what it got
    got = "" if told or not place else repr(problem["input"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message}"[:200] + (f", got {got[:80]}" if got else "") if place else message[:200]


class TaskSpec(Frozen):
    """Data and how much of it."""

    name: str = "rotten-tomatoes"
    data_dir: str | None = None
    """Folder or file with the data; None: the Hub, or the package the task comes in."""
    text_columns: tuple[str, ...] = ()
    label_column: str | None = None
    splits: tuple[str, str] | None = None
    """Names of the training and the evaluation split; None: the task's own."""
    regression: bool = False
    """Only for `files`: labels are real numbers."""
    limit: PositiveInt | None = None
    """Training examples used: the first so many of a fixed shuffle."""
    eval_limit: PositiveInt | None = None
    max_length: PositiveInt = 128
    """Tokens an example is cut to."""


class ModelSpec(Frozen):
    """A pretrained model, or a small reference net for vision and toys."""

    name: str = "minilm"
    revision: str | None = None
    layers: PositiveInt | None = None
    """Keep only the first so many transformer layers; None: all."""
    pooling: Literal["auto", "cls", "mean"] = "auto"
    trust_remote_code: bool = False


Lambdas = Literal["layer", "tensor"]
"""The parts of a model that have a lambda each in SAID."""
Head = Literal["in-subspace", "free", "frozen"]
"""The places of a task's new head: in the subspace, or beside it, trained freely or left as it was drawn."""


class SubspaceForm(Frozen):
    """The form of a subspace of any module: all that the specs, :class:`intrinsic.Subspace`, its artefacts and peft's
    configuration have in common, with the defaults of all of them."""

    projection: ProjectionName = "fastfood"
    structure_aware: bool = True
    """Whether a scale is trained for each layer or tensor (SAID), or none (DID)."""
    lambdas: Lambdas = "layer"
    """What has a scale of its own in SAID."""
    head: Head = "in-subspace"
    """Where the task's new head goes: into the subspace, or beside it, trained freely or left as it was drawn."""


class SubspaceKind(SubspaceForm):
    """A family of subspaces of a model, one for every dimension."""

    parameters: Literal["all", "no-embeddings"] = "all"
    """The weights that are moved: `no-embeddings` leaves token, position and type embeddings (and what is tied to
    them) at theta_0."""

    def at(self, subspace_dim: int) -> SubspaceSettings:
        """The member of the family that has this dimension."""
        kept = {name: getattr(self, name) for name in SubspaceKind.model_fields}
        return SubspaceSettings(subspace_dim=subspace_dim, **kept)


class SubspaceSettings(SubspaceKind):
    """The six settings of the method `subspace`."""

    subspace_dim: PositiveInt
    """d, the budget: theta_d and the lambdas together."""


class MethodSpec(Frozen):
    """How the model is fine-tuned: the settings of `subspace`, or the options of any other method.

    In records and configuration files the settings of the subspace stand beside `name`, None for other methods.
    """

    name: str = "full"
    subspace: SubspaceSettings | None = None
    of: str | None = None
    """The method whose parameters the subspace lies over ("lora": the intrinsic dimension of LoRA); None: the
    model's own weights."""
    options: Options = ()
    """Settings by name; of the method, or of the one under a subspace. :mod:`intrinsic.methods.options` lists them."""

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
        """Written flat, and without `of` and `options` where they say nothing: older records keep their ids."""
        written: dict[str, Any] = write(self)
        settings = written.pop("subspace", None) or dict.fromkeys(SubspaceSettings.model_fields)
        return {
            "name": written.pop("name"),
            **settings,
            **{k: v for k, v in written.items() if v},
        }

    @property
    def subspace_dim(self) -> int | None:
        """d, the budget of a subspace: theta_d and the lambdas together; None for other methods."""
        return None if self.subspace is None else self.subspace.subspace_dim

    def with_size(self, option: str, size: int) -> MethodSpec:
        """The same method with another value of the setting that makes it larger: `subspace_dim` or an option."""
        if self.subspace is not None and option == "subspace_dim":
            return self.model_copy(update={"subspace": self.subspace.at(size)})
        return self.model_copy(update={"options": _pairs({**dict(self.options), option: size})})


class OptimSpec(Frozen):
    """The optimiser loop."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Rate = 5e-4
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.06, ge=0, le=1)
    """Share of the steps."""
    clip: float | None = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Largest gradient norm; None: no clipping."""
    epochs: float | None = Field(default=None, gt=0, le=1e6, allow_inf_nan=False)
    steps: PositiveInt | None = None
    """Optimiser steps; exactly one of epochs and steps is set."""
    batch_size: PositiveInt = 32
    eval_batch_size: PositiveInt = 128
    accumulate: PositiveInt = 1
    """Batches whose gradients are added up before a step."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    eval_every: PositiveInt | None = None
    """Steps between evaluations; None: once, at the end."""
    policy: Literal["last", "best"] = "last"
    """The checkpoint whose score counts; `best` needs eval_every and looks at the evaluation split."""

    @model_validator(mode="after")
    def _consistent(self) -> OptimSpec:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"set exactly one of epochs and steps, got {self.epochs!r} and {self.steps!r}")
        if self.policy == "best" and self.eval_every is None:
            raise ValueError("policy 'best' needs eval_every: how many steps lie between two evaluations")
        return self


class SeedSpec(Frozen):
    """Three sources of chance, varied independently."""

    projection: Seed = 0
    initialisation: Seed = 0
    data_order: Seed = 0


class Ingredients(Frozen):
    """What is trained on what: shared by a trial and a measurement."""

    task: TaskSpec = TaskSpec()
    model: ModelSpec = ModelSpec()


class TrialSpec(Ingredients):
    """One training run, completely."""

    method: MethodSpec = MethodSpec()
    optim: OptimSpec = OptimSpec(steps=100)
    seeds: SeedSpec = SeedSpec()

    @property
    def id(self) -> str:
        """16 hex digits of the SHA-256 of the canonical JSON: the name a stored trial is found by."""
        return digest({"spec_version": SPEC_VERSION, **self.model_dump(mode="json")})


class SearchSpec(Frozen):
    """How d is searched for."""

    kind: Literal["adaptive", "grid"] = "adaptive"
    low: PositiveInt = 4
    high: PositiveInt = 4096
    """The bracket: both ends are dimensions that may be tried."""
    resolution: float = Field(default=2**0.5, gt=1, allow_inf_nan=False)
    """Ratio of neighbouring dimensions on the geometric grid."""
    grid: tuple[PositiveInt, ...] = ()
    """The dimensions that may be tried, by either kind; empty: low to high by resolution."""
    seeds: PositiveInt = 3
    """Most seeds at one dimension; as many again where two rates compete there, or in place of lost trials."""
    guard_rates: tuple[Rate, ...] = (0.5, 2.0)
    """Factors on the learning rate in use that must fail too before a dimension fails; () switches off."""
    max_trials: PositiveInt = 200
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> SearchSpec:
        if self.low >= self.high:
            raise ValueError(f"the bracket needs low < high, got {self.low} and {self.high}")
        return self


class TargetSpec(Frozen):
    """The score that counts as reached."""

    kind: Literal["own", "global", "chance-corrected"] = "own"
    """own: fraction * baseline; global: fraction * value;
    chance-corrected: chance + fraction * (baseline - chance)."""
    fraction: float = Field(default=0.9, gt=0, le=1)
    value: float | None = Field(default=None, allow_inf_nan=False)
    """The score meant by `global`, in the metric's own unit."""

    @model_validator(mode="after")
    def _consistent(self) -> TargetSpec:
        if (self.kind == "global") != (self.value is not None):
            raise ValueError("a value goes with target 'global' and only with it, as in --target global:0.95")
        return self


class MeasureSpec(SubspaceKind, Ingredients):
    """`intrinsic measure`, completely. The defaults suit a text task; PRESETS holds the others."""

    of: MethodSpec | None = None
    """The method whose parameters the subspaces lie over, with its options; None: the model's own weights."""
    optim: OptimSpec = OptimSpec(epochs=3)
    """Shared by baseline and subspace, but for the learning rate."""
    baseline_rates: tuple[Rate, ...] = (2e-5, 6e-5, 2e-4)
    """The grid from which full fine-tuning's rate is chosen."""
    baseline_seeds: PositiveInt = 3
    subspace_rates: tuple[Rate, ...] = (1e-3, 3e-3, 9e-3)
    """The grid (row-norm units) from which the subspace's rate is chosen, once."""
    target: TargetSpec = TargetSpec()
    search: SearchSpec = SearchSpec(low=32, high=16384)
    """Its low end lies above the lambdas of a 24-layer model, which d pays for."""
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
        """Without `of` where it says nothing, so that older records keep their ids."""
        written: dict[str, Any] = write(self)
        return {k: v for k, v in written.items() if k != "of" or v is not None}

    @property
    def id(self) -> str:
        """16 hex digits that name this measurement."""
        return digest({"spec_version": SPEC_VERSION, **self.model_dump(mode="json")})


class Contender(Frozen):
    """One method in a comparison, at one size or several."""

    label: str
    """As the user named it."""
    method: MethodSpec
    """At the first size."""
    size: str | None = None
    """The setting that makes the method larger: `subspace_dim`, or an option such as `rank`; None: it has one size."""
    sizes: tuple[PositiveInt, ...] = ()
    rates: tuple[Rate, ...]
    """The grid from which its learning rate is chosen, at the middle one of its sizes."""

    @model_validator(mode="after")
    def _consistent(self) -> Contender:
        if (self.size is None) != (not self.sizes):
            raise ValueError(f"contender {self.label!r}: a size goes with sizes, got {self.size!r} and {self.sizes}")
        if not self.rates:
            raise ValueError(f"contender {self.label!r} needs a learning rate or more, got none")
        return self

    def at(self, size: int | None) -> MethodSpec:
        """The method at one of the sizes."""
        if self.size is None or size is None:
            return self.method
        return self.method.with_size(self.size, size)

    @property
    def middle(self) -> int | None:
        """The size at which the rate is chosen."""
        return sorted(self.sizes)[len(self.sizes) // 2] if self.sizes else None


class CompareSpec(Frozen):
    """`intrinsic compare`, completely."""

    base: MeasureSpec
    """Task, model, training, target and search as in a measurement. search.seeds: seeds of each method and size."""
    contenders: tuple[Contender, ...] = Field(min_length=1)
    at: float | None = Field(default=None, gt=0, le=1)
    """Search for the smallest size of each method that reaches this share of full fine-tuning; None: do not."""

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
        """16 hex digits that name this comparison."""
        return digest({"spec_version": SPEC_VERSION, "compare": self.model_dump(mode="json")})


PRESETS: dict[str, MeasureSpec] = {
    # What `intrinsic measure` runs when nothing is asked of it: five minutes on two cores, offline.
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
"""Complete starting points; flags and a configuration file change single fields of one of them."""


def digest(value: object) -> str:
    """First 16 hex digits of SHA-256 over canonical JSON (sorted keys, no spaces, shortest float)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""The spec of a measurement of d90, and complete starting points for one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from intrinsic.spec.base import SPEC_VERSION, Frozen, PositiveInt, Rate, Seed, digest
from intrinsic.spec.trial import Ingredients, MethodSpec, ModelSpec, OptimSpec, SubspaceKind, TaskSpec


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

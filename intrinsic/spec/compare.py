"""The spec of a comparison of methods."""

from __future__ import annotations

from pydantic import Field, model_validator

from intrinsic.spec.base import SPEC_VERSION, Frozen, PositiveInt, Rate, digest
from intrinsic.spec.measure import MeasureSpec
from intrinsic.spec.trial import FULL, MethodSpec


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
        if labels[0] != FULL:
            raise ValueError(f"the first contender must be full, which the others are compared with, got {labels[0]!r}")
        if self.base.of is not None:
            raise ValueError("`of` belongs to a measurement: in a comparison write it with the method, said:of=lora")
        return self

    @property
    def id(self) -> str:
        """The name of this comparison: 16 hex digits of a hash of the whole spec."""
        return digest({"spec_version": SPEC_VERSION, "compare": self.model_dump(mode="json")})

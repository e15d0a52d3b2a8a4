"""Common parts of all specs: immutability, types of numbers and names, hashes."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

SPEC_VERSION = 1
"""Version of the specs' meaning; it goes into every id, so that a change makes new ids."""


STORED = {"stored": True}
"""The context in which a record is validated: it may name a projection of a package that is not installed here."""


PositiveInt = Annotated[int, Field(ge=1, lt=2**63)]
"""An integer from 1 that fits into 64 bits with a sign."""


Seed = Annotated[int, Field(ge=0, lt=2**64)]
"""An unsigned integer of 64 bits."""


Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A learning rate, or a factor on one: finite and above 0."""


Inputs = Literal["text", "vision"]
"""The kind of a task's examples and of what a model reads: texts, or images."""


OptionValue = bool | int | float | str | tuple[str, ...] | None
"""The value of a method's option."""


def pairs(given: object) -> object:
    """A mapping as sorted pairs; anything else as it is, for pydantic to refuse."""
    return tuple(sorted(given.items())) if isinstance(given, dict) else given


Options = Annotated[tuple[tuple[str, OptionValue], ...], BeforeValidator(pairs), PlainSerializer(dict)]
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


def digest(value: object) -> str:
    """The first 16 hex digits of SHA-256 over canonical JSON (sorted keys, no spaces, shortest float)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

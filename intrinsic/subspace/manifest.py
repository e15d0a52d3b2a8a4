"""The names and shapes of a model's tensors in a few hundred bytes: numbered blocks share their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from intrinsic.errors import ArtefactError

TensorRole = Literal["subspace", "free", "frozen", "buffer"]
"""The part that a tensor takes. subspace: theta_0 + P theta_d. free: trained as it is. frozen: left alone.
buffer: a persistent buffer."""

MAX_TENSORS = 100_000
"""The most tensors that a manifest may list."""
WILD = "*"
"""The character that stands for a name's first number."""
AGAIN = "save the artefact again, or fetch a sound copy"
"""The remedy for a damaged artefact."""


class TensorRow(NamedTuple):
    """One tensor of the base model."""

    name: str
    shape: tuple[int, ...]
    role: TensorRole


Name = Annotated[str, Field(max_length=1000)]
Size = Annotated[int, Field(ge=0, lt=2**63)]
Numbers = Annotated[str, Field(pattern=r"^[0-9]{1,9}(-[0-9]{1,9})?(,[0-9]{1,9}(-[0-9]{1,9})?)*$", max_length=100_000)]
Packed = tuple[Name, Annotated[tuple[Size, ...], Field(max_length=16)], TensorRole, Numbers | None]
"""Rows as they are stored: (name, shape, role, None) or, for several names, (name with `*` for its first number, shape,
role, numbers)."""


def pack(rows: Iterable[TensorRow]) -> tuple[Packed, ...]:
    """The rows as they are stored, in the order of names; :func:`unpack` is the inverse."""
    groups: dict[tuple[str, tuple[int, ...], TensorRole], list[int]] = {}
    packed: list[Packed] = []
    for name, shape, role in rows:
        pattern, number = _template(name)
        if number is None:
            packed.append((name, shape, role, None))
        else:
            groups.setdefault((pattern, shape, role), []).append(number)
    packed += [(*group, _ranges(sorted(numbers))) for group, numbers in groups.items()]
    return tuple(sorted(packed, key=lambda row: (row[0], row[3] or "")))


def unpack(packed: Sequence[Packed]) -> dict[str, TensorRow]:
    """The rows by name. Raises ArtefactError if a name comes twice, a range runs backwards, or there are too many."""
    rows: dict[str, TensorRow] = {}
    for pattern, shape, role, numbers in packed:
        for name in _names(pattern, numbers, MAX_TENSORS - len(rows)):
            if name in rows:
                raise ArtefactError(f"the manifest is damaged: {name!r} comes twice: {AGAIN}")
            rows[name] = TensorRow(name, tuple(shape), role)
    return dict(sorted(rows.items()))


def _template(name: str) -> tuple[str, int | None]:
    """`a.3.b.4` -> (`a.*.b.4`, 3); (name, None) if it has no number or could not be rebuilt."""
    parts = name.split(".")
    for place, part in enumerate(parts):
        if part.isascii() and part.isdigit() and len(part) < 10:
            if str(int(part)) != part or WILD in name:
                break
            return ".".join([*parts[:place], WILD, *parts[place + 1 :]]), int(part)
    return name, None


def _ranges(numbers: Sequence[int]) -> str:
    """[0, 1, 2, 5] -> `0-2,5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _names(pattern: str, numbers: str | None, room: int) -> Iterable[str]:
    if numbers is None:
        return [pattern]
    before, wild, after = pattern.partition(WILD)
    bounds = [(int(a), int(b or a)) for a, _, b in (run.partition("-") for run in numbers.split(","))]
    if not wild or any(a > b for a, b in bounds):
        raise ArtefactError(f"the manifest is damaged: {pattern!r} with the numbers {numbers[:80]!r}: {AGAIN}")
    if sum(b - a + 1 for a, b in bounds) > room:
        raise ArtefactError(f"the manifest is damaged: more than {MAX_TENSORS} tensors: {AGAIN}")
    return [f"{before}{number}{after}" for a, b in bounds for number in range(a, b + 1)]

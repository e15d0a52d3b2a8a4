"""The methods of a comparison, as a user writes them (:mod:`intrinsic.comparison.writing`). No torch here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_origin

import yaml

from intrinsic.comparison.writing import QUOTED, WrittenMethod, no_method, split
from intrinsic.errors import SpecError, UnknownName
from intrinsic.methods import METHODS, check_under_subspace, options_of
from intrinsic.methods.catalogue import BUDGETS, OF, RATES, known
from intrinsic.spec import FULL, SUBSPACE, Contender, Frozen, MeasureSpec, MethodSpec, SubspaceKind

LARGEST = 2**31 - 1
"""Largest size that can be named: the largest d of a subspace, and far more than a rank or a length can be."""
SizeFor = Callable[[Contender, int], int]
"""A function from a contender and a number of parameters to the size at which it trains about as many."""


def parse_contenders(
    text: str, base: MeasureSpec, *, search: bool = False, size_for: SizeFor | None = None
) -> tuple[Contender, ...]:
    """Contenders from `NAME[:KEY=VALUE[,VALUE ..]]..`, joined by commas or spaces; full comes first, added if need be.

    NAME is a method, or an alias such as said or did. KEY is one of these:

        size         the method's size, also by its letter (`r`, `d`, `l`) or its option's name; it may have several
        params       sizes by the number of parameters that they train; `size_for` finds the nearest
        lr           learning rates to try
        of           the method under a subspace
        an option    by its whole name; one that takes a list joins it by `+`

    A text of several words stands in double quotes.

    search: sizes that are not named become the whole grid of the method.

    Raises UnknownName for a method that does not exist, SpecError for settings that it does not have.
    """
    written = list(split(text))
    if not written:
        raise SpecError("no method to compare: name some, as in --methods lora:r=1,8,said:d=100,1000")
    if all(one.name != FULL for one in written):
        written.insert(0, WrittenMethod(FULL))
    made = [_contender(one, base, search, size_for) for one in written]
    return tuple(sorted(made, key=lambda contender: contender.label != FULL))


def parse_method(text: str) -> MethodSpec:
    """The one method of a text, at one size, written as in a comparison: `lora:r=8:matrices=q+v`.

    Raises what parse_contenders raises, and SpecError for more than one method or size, or for a learning rate.
    """
    found = [c for c in parse_contenders(text, MeasureSpec()) if c.label != FULL]
    if len(found) != 1 or len(found[0].sizes) > 1 or f"{RATES}=" in text:
        raise SpecError(f"expected one method at one size, as in lora:r=8, got {text!r}")
    return found[0].method


def written(contender: Contender) -> str:
    """The contender as text; rates that --baseline-rates and --subspace-rates set are left out of it."""
    parts = [contender.label]
    if contender.size is not None:
        parts.append(f"{contender.size}={','.join(map(str, contender.sizes))}")
    if METHODS[contender.method.name].rates_field is None:
        parts.append(f"{RATES}={','.join(f'{rate:g}' for rate in contender.rates)}")
    return ":".join(parts)


def _contender(one: WrittenMethod, base: MeasureSpec, search: bool, size_for: SizeFor | None) -> Contender:
    rates, budgets = one.rates(), one.budgets()
    option = None if one.size is None else one.size.option
    if budgets and size_for is None:
        raise SpecError(f"{one.written}: {BUDGETS} stands for sizes, which only compare looks for: name {option} here")
    sizes = _sizes(one, search)
    made = Contender(
        label=one.label,
        method=_method(one, base),
        size=option,
        sizes=sizes,
        rates=rates or one.method.rates_for(base),
    )
    if budgets and size_for is not None:
        sizes = tuple(sorted({size_for(made, budget) for budget in budgets}))
    return made.model_copy(update={"sizes": sizes, "method": made.at(sizes[0] if sizes else None)})


def _sizes(one: WrittenMethod, search: bool) -> tuple[int, ...]:
    """The sizes that were written, or else those of the method."""
    size, keys = one.size, one.size_keys()
    _check_size_keys(one, keys)
    given = [value for key in keys for value in one.settings[key]]
    if size is None:
        if given:
            raise SpecError(f"{one.written} has one size only, got {','.join(given)}: leave it out")
        return ()
    if not given:
        return size.grid if search else one.method.sizes()
    numbers = {int(value) if value.isdecimal() else 0 for value in given}
    if not 1 <= min(numbers) <= max(numbers) <= LARGEST:
        came, nor = ",".join(given) or "nothing", no_method(given[1:])
        raise SpecError(f"{one.written}: {size.option} must be whole numbers from 1 to {LARGEST}, got {came}{nor}")
    return tuple(sorted(numbers))


def _check_size_keys(one: WrittenMethod, keys: list[str]) -> None:
    """Raise SpecError for another method's letter, and for a size that is named in two ways."""
    size, inner = one.size, one.settings.get(OF)
    if size is None:
        return
    own = (size.option, size.letter, "size")
    foreign = [key for key in keys if key not in own]
    if foreign and not inner:
        raise SpecError(
            f"{one.written}: {foreign[0]} is not its size, which is {size.option}: write {size.letter}=..; "
            "options go by their whole names"
        )
    if len(keys) > 1:
        more = f", and {inner[0]}'s own by its whole name, as in rank=2" if inner else ""
        raise SpecError(f"{one.written}: each of {', '.join(keys)} names the size {size.option}: give it once{more}")


def _method(one: WrittenMethod, base: MeasureSpec) -> MethodSpec:
    """The method with its options checked; a subspace at d = 1, to be replaced by its sizes."""
    taken = {RATES, BUDGETS, *one.size_keys()}
    subspace = one.name == SUBSPACE
    of = one.settings.get(OF, [None])[0] if subspace else None
    if of:
        check_under_subspace(of)
    kind = (known(of) if of else one.method).options
    left = {k: v for k, v in one.settings.items() if k not in taken and not (subspace and k == OF)}
    keys = _keys(one, kind, subspace)
    given = {key: _value(key, values, kind, keys) for key, values in left.items()}
    if not subspace:
        made = MethodSpec(name=one.name, options=_options({**one.meant, **given}))
        options_of(made)
        return made
    if of:
        options_of(MethodSpec(name=of, options=_options(given)))
    shared = {name: getattr(base, name) for name in SubspaceKind.model_fields}
    chosen = SubspaceKind.model_validate({**shared, **one.meant})
    return MethodSpec(name=one.name, subspace=chosen.at(1), of=of, options=_options(given))


def _options(given: dict[str, Any]) -> Any:
    """The options as MethodSpec keeps them, which also checks them."""
    return tuple(sorted(given.items()))


def _keys(one: WrittenMethod, kind: type[Frozen], subspace: bool) -> list[str]:
    """The keys that may be written after a method's name."""
    sizes = [] if one.size is None else [one.size.letter, one.size.option, BUDGETS]
    return [*dict.fromkeys([*kind.model_fields, *sizes, RATES, *([OF] if subspace else [])])]


def _value(key: str, values: list[str], kind: type[Frozen], keys: list[str]) -> object:
    """The value of an option: one word as YAML reads it, or its parts for an option that takes a list."""
    if key not in kind.model_fields:
        raise UnknownName("option", key, keys)
    if len(values) > 1:
        raise SpecError(f"option {key} takes one value, got {','.join(values)}: only sizes take several")
    if QUOTED.fullmatch(values[0]):
        return values[0][1:-1]
    if _takes_list(kind.model_fields[key].annotation):
        return tuple(values[0].split("+"))
    value = None if values[0].lower() in ("none", "") else yaml.safe_load(values[0])
    return value if isinstance(value, bool | int | float | str) else None


def _takes_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(map(_takes_list, get_args(annotation)))

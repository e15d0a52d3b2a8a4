"""What takes part in a comparison, from how a user writes it: `full,lora:r=1,2,4,8,said:d=100,1000`. No torch here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from intrinsic.errors import SpecError, UnknownName
from intrinsic.methods import METHODS
from intrinsic.methods import options as o
from intrinsic.spec import Contender, Frozen, MeasureSpec, MethodSpec, first_complaint, size_letter

SIZES: dict[str, tuple[str, tuple[int, ...]]] = {
    "subspace": ("subspace_dim", (128, 1024)),
    "lora": ("rank", (8,)),
    "adalora": ("rank", (8,)),
    "vera": ("rank", (256,)),
    "randlora": ("rank", (32,)),
    "unilora": ("size", (256,)),
    "fourierft": ("frequencies", (1000,)),
    "prefix": ("length", (16,)),
    "prompt": ("length", (20,)),
    "mam": ("bottleneck", (16,)),
    **dict.fromkeys(o.PRESETS, ("bottleneck", (16,))),
}
"""What makes a method larger, and the sizes it has unless told otherwise; the others have one size."""

GRIDS: dict[str, tuple[int, ...]] = {
    "subspace_dim": tuple(2**k for k in range(4, 14)),
    "rank": tuple(2**k for k in range(8)),
    "bottleneck": tuple(2**k for k in range(9)),
    "length": tuple(2**k for k in range(8)),
    "size": tuple(2**k for k in range(4, 13)),
    "frequencies": tuple(2**k for k in range(4, 13)),
}
"""Where the smallest size is searched for if the user names no sizes."""

RATES: dict[str, tuple[float, ...]] = {
    "probe": (1e-3, 4e-3, 1.6e-2),
    "bitfit": (5e-4, 2e-3, 8e-3),
    "prefix": (5e-4, 2e-3, 8e-3),
    "prompt": (2e-3, 1e-2, 5e-2),
    "ia3": (1e-3, 4e-3, 1.6e-2),
    "vera": (2e-3, 8e-3, 3.2e-2),
    "unilora": (1e-3, 4e-3, 1.6e-2),
    "fourierft": (5e-3, 2e-2, 8e-2),
}
"""Learning rates to begin with; a grid grows where its best rate is an end. Others: OTHER_RATES."""
OTHER_RATES = (2.5e-4, 1e-3, 4e-3)

ALIASES: dict[str, bool] = {"said": True, "did": False}
"""Short for `subspace`, with and without a scale a layer."""
LARGEST = 2**31 - 1
"""Size: what a subspace's d may be, and far more than a rank or a length can."""
SHORT = ("r", "d", "l", "size")
"""`size` is every method's own size; r, d or l is that of the methods whose tables use the letter."""
QUOTED = re.compile(r'"[^"]*"')
WORD, PART = re.compile(r'(?:"[^"]*"|[^\s,"])+'), re.compile(r'(?:"[^"]*"|[^:"])*')
"""What commas and spaces separate, and what colons do within it; neither does inside quotes."""


SizeFor = Callable[[Contender, int], int]
"""The size at which a method trains about so many parameters."""


@dataclass
class _Words:
    """A contender as it was written: name and settings, each a list of words."""

    name: str
    settings: dict[str, list[str]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        kept = {k: v for k, v in self.settings.items() if k not in ("lr", *SHORT, "params", _size_name(self.name))}
        return self.name + "".join(f":{k}={'+'.join(v)}" for k, v in kept.items())  # quotes are still there


def parse(
    text: str, base: MeasureSpec, *, search: bool = False, size_for: SizeFor | None = None
) -> tuple[Contender, ...]:
    """Contenders from `NAME[:KEY=VALUE[,VALUE ..]]..`, joined by commas or spaces; full comes first, added if need be.

    NAME is a method, or said or did. KEY is one of the method's options; `r`, `d`, `l` or `size` for its size, which
    alone may have several values; `lr` for learning rates to try. Options that take a list join it by `+`; a text of
    several words stands in double quotes.
    `params=N[,N..]` names sizes by the parameters that they train, the nearest is taken; `size_for` tells it.
    search: sizes that are not named become a whole grid (GRIDS).

    Raises UnknownName for a method that does not exist, SpecError for settings that it does not have.
    """
    written = list(_split(text))
    if not written:
        raise SpecError("no method to compare: name some, as in --methods lora:r=1,8,said:d=100,1000")
    if all(words.name != "full" for words in written):
        written.insert(0, _Words("full"))
    made = [_contender(words, base, search, size_for) for words in written]
    return tuple(sorted(made, key=lambda contender: contender.label != "full"))


def parse_method(text: str) -> MethodSpec:
    """One method at one size, written as in a comparison: `lora:r=8:matrices=q+v`.

    Raises what parse raises, and SpecError for more than that.
    """
    found = [c for c in parse(text, MeasureSpec()) if c.label != "full"]
    if len(found) != 1 or len(found[0].sizes) > 1 or "lr=" in text:
        raise SpecError(f"expected one method at one size, as in lora:r=8, got {text!r}")
    return found[0].method


def written(contender: Contender) -> str:
    """The contender as `parse` reads it; rates that --baseline-rates and --subspace-rates set are left to them."""
    parts = [contender.label]
    if contender.size is not None:
        parts.append(f"{contender.size}={','.join(map(str, contender.sizes))}")
    if contender.method.name not in ("full", "subspace"):
        parts.append(f"lr={','.join(f'{rate:g}' for rate in contender.rates)}")
    return ":".join(parts)


def _split(text: str) -> Iterator[_Words]:
    """A word that is no method's name goes on with the setting, or the method, before it."""
    found: list[_Words] = []
    key = ""
    if QUOTED.sub("", text).count('"'):
        raise SpecError(f"a double quote in the methods has no second one: {text!r}")
    for word in WORD.findall(text):
        head, *rest = parts = [part for part in PART.findall(word) if part] or [word]
        if head in METHODS or head in ALIASES or not found:
            _known(head)
            found.append(_Words(head))
            key, parts = "", rest
        for part in parts:
            name, equals, value = part.partition("=")
            if not equals and not key:
                _known(part)
            key = name if equals else key
            found[-1].settings.setdefault(key, []).append(value if equals else part)
    yield from found


def _known(name: str) -> None:
    if name not in METHODS and name not in ALIASES:
        raise UnknownName("method", name, [*METHODS, *ALIASES])


def _size_name(name: str) -> str | None:
    method = "subspace" if name in ALIASES else name
    return SIZES[method][0] if method in SIZES else None


def _contender(words: _Words, base: MeasureSpec, search: bool, size_for: SizeFor | None) -> Contender:
    name, settings = "subspace" if words.name in ALIASES else words.name, dict(words.settings)
    given_rates = settings.pop("lr", [])
    rates = tuple(_number(words, "lr", value) for value in given_rates)
    size = _size_name(name)
    budgets = settings.pop("params", [])
    if min(rates, default=1.0) <= 0 or not all(map(math.isfinite, rates)):
        raise SpecError(f"{words.name}: lr must be learning rates above 0, got {','.join(given_rates)}")
    if budgets and size is None:
        raise SpecError(f"{words.name}: params stands for sizes, and it has one size only")
    if budgets and any(key in settings for key in (*SHORT, size)):
        raise SpecError(
            f"{words.name}: params stands for sizes, and its sizes are named as well: give one or the other"
        )
    if budgets and size_for is None:
        raise SpecError(f"{words.name}: params stands for sizes, which only compare looks for: name {size} here")
    sizes = _sizes(words, settings, size, search)
    of = settings.pop("of", [None])[0] if name == "subspace" else None
    options = {key: _value(key, values, _options(of or name)) for key, values in settings.items()}
    method = _method(words, base, of, options)
    made = Contender(
        label=words.label,
        method=method,
        size=size,
        sizes=sizes,
        rates=rates or _rates(name, base),
    )
    if budgets and size_for is not None:
        found = {size_for(made, _budget(words, value)) for value in budgets}
        made = made.model_copy(update={"sizes": tuple(sorted(found))})
    return made if size is None else made.model_copy(update={"method": made.at(made.sizes[0])})


def _sizes(words: _Words, settings: dict[str, list[str]], size: str | None, search: bool) -> tuple[int, ...]:
    """Takes the size's words out of the settings."""
    keys = [key for key in (*SHORT, size) if key is not None and key in settings]
    letter = None if size is None else size_letter(size)
    for key in keys if size is not None and "of" not in settings else ():
        if key not in (size, "size", letter):
            raise SpecError(
                f"{words.name}: {key} is not its size, which is {size}: write {letter}=..; "
                "options go by their whole names"
            )
    if len(set(keys)) > 1:
        inner = f", and {settings['of'][0]}'s own by its whole name, as in rank=2" if "of" in settings else ""
        raise SpecError(
            f"{words.name}: each of {', '.join(dict.fromkeys(keys))} names the size {size}: give it once{inner}"
        )
    given = [value for key in dict.fromkeys(keys) for value in settings.pop(key)]
    if size is None:
        if given:
            raise SpecError(f"{words.name} has one size only, got {','.join(given)}: leave it out")
        return ()
    if not given:
        name = "subspace" if words.name in ALIASES else words.name
        return GRIDS[size] if search else SIZES[name][1]
    numbers = {int(value) if value.isdecimal() else 0 for value in given}
    if not 1 <= min(numbers) <= max(numbers) <= LARGEST:
        nor = _no_method(given[1:])
        raise SpecError(f"{words.name}: {size} must be whole numbers from 1 to {LARGEST}, got {','.join(given)}{nor}")
    return tuple(sorted(numbers))


def _number(words: _Words, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        nor = _no_method(words.settings[key][1:])
        raise SpecError(f"{words.name}: {key} must be numbers, got {value!r}{nor}") from None


def _no_method(values: Sequence[str]) -> str:
    """A word that follows a setting's value may be meant as the next method: what is wrong with it then."""
    names = [value for value in values if value.isidentifier()]
    return f", and {UnknownName('method', names[0], [*METHODS, *ALIASES])}" if names else ""


def _budget(words: _Words, value: str) -> int:
    number = _number(words, "params", value)
    if not math.isfinite(number) or number < 1:
        raise SpecError(f"{words.name}: params must be numbers of parameters from 1, got {value!r}")
    return round(number)


def _options(name: str) -> type[Frozen]:
    _known(name)
    return METHODS[name].options


def _value(key: str, values: list[str], kind: type[Frozen]) -> object:
    """One word as YAML reads it, or for a list its words."""
    if key not in kind.model_fields:
        raise UnknownName("option", key, [*kind.model_fields, "lr"])
    if len(values) > 1:
        raise SpecError(f"option {key} takes one value, got {','.join(values)}: only sizes take several")
    if QUOTED.fullmatch(values[0]):
        return values[0][1:-1]
    if key == "matrices":
        return tuple(values[0].split("+"))
    value = None if values[0].lower() in ("none", "") else yaml.safe_load(values[0])
    return value if isinstance(value, bool | int | float | str) else None


def _method(words: _Words, base: MeasureSpec, of: str | None, options: Mapping[str, object]) -> MethodSpec:
    if _size_name(words.name) != "subspace_dim":
        method = MethodSpec.model_validate({"name": words.name, "options": options})
        checked: dict[str, object] = {**METHODS[words.name].preset, **options}
        _check(words.name, checked)
        return method
    return MethodSpec.model_validate(
        {
            "name": "subspace",
            "subspace_dim": 1,
            "projection": base.projection,
            "structure_aware": ALIASES.get(words.name, base.structure_aware),
            "lambdas": base.lambdas,
            "head": base.head,
            "parameters": base.parameters,
            "of": of,
            "options": options,
        }
    )


def _check(name: str, options: Mapping[str, object]) -> None:
    from pydantic import ValidationError

    try:
        METHODS[name].options.model_validate(options)
    except ValidationError as error:
        raise SpecError(f"method {name!r}: {first_complaint(error)}") from None


def _rates(name: str, base: MeasureSpec) -> tuple[float, ...]:
    if name == "full":
        return base.baseline_rates
    return base.subspace_rates if name == "subspace" else RATES.get(name, OTHER_RATES)

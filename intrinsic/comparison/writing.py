"""Methods as a user writes them, `full,lora:r=1,2,4,8,said:d=100,1000`, taken apart into words. No torch here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from intrinsic.errors import SpecError, UnknownName
from intrinsic.methods import METHODS
from intrinsic.methods.catalogue import ANY_SIZE, BUDGETS, RATES, Method, Size, aliases, known

QUOTED = re.compile(r'"[^"]*"')
"""Pattern of a text in double quotes."""
WORD, PART = re.compile(r'(?:"[^"]*"|[^\s,"])+'), re.compile(r'(?:"[^"]*"|[^:"])*')
"""Patterns of what commas and spaces separate, and of what colons separate within it; neither does inside quotes."""


@dataclass
class WrittenMethod:
    """A method as it was written: its name or an alias, and its settings, each a list of words."""

    written: str
    """Name or alias, as written."""
    settings: dict[str, list[str]] = field(default_factory=dict)
    """The words of each setting, by its key."""

    def __post_init__(self) -> None:
        self.name, self.meant = aliases().get(self.written, (self.written, {}))
        """The method's name, and the settings that its alias stands for."""

    @property
    def method(self) -> Method:
        """The catalogue's entry of the method."""
        return known(self.name)

    @property
    def size(self) -> Size | None:
        """The setting that makes the method larger; None if it has one size."""
        return self.method.size

    @property
    def label(self) -> str:
        """The name and those settings that are neither sizes nor rates, as they were written."""
        left_out = {RATES, BUDGETS, *self.size_keys()}
        kept = {key: values for key, values in self.settings.items() if key not in left_out}
        return self.written + "".join(f":{key}={'+'.join(values)}" for key, values in kept.items())  # with their quotes

    def size_keys(self) -> list[str]:
        """The keys that name a size, of this method or, by mistake, of another one."""
        own = set() if self.size is None else {self.size.option, self.size.letter, ANY_SIZE}
        foreign = (letters() | {ANY_SIZE}) - set(self.method.options.model_fields)
        return [key for key in self.settings if key in own | foreign]

    def number(self, key: str, value: str) -> float:
        """The word as a number. Raises SpecError for a word that is none."""
        try:
            return float(value)
        except ValueError:
            nor = no_method(self.settings[key][1:])
            raise SpecError(f"{self.written}: {key} must be numbers, got {value!r}{nor}") from None

    def rates(self) -> tuple[float, ...]:
        """The learning rates that were written. Raises SpecError for one that is not above 0."""
        given = self.settings.get(RATES, [])
        rates = tuple(self.number(RATES, value) for value in given)
        if min(rates, default=1.0) <= 0 or not all(map(math.isfinite, rates)):
            raise SpecError(f"{self.written}: {RATES} must be learning rates above 0, got {','.join(given)}")
        return rates

    def budgets(self) -> list[int]:
        """The numbers of parameters that were written.

        Raises SpecError if sizes are named as well, or if the method has one size only.
        """
        given = self.settings.get(BUDGETS, [])
        if given and self.size is None:
            raise SpecError(f"{self.written}: {BUDGETS} stands for sizes, and it has one size only")
        if given and self.size_keys():
            raise SpecError(
                f"{self.written}: {BUDGETS} stands for sizes, and its sizes are named as well: give one or the other"
            )
        return [self._budget(value) for value in given]

    def _budget(self, value: str) -> int:
        number = self.number(BUDGETS, value)
        if not math.isfinite(number) or number < 1:
            raise SpecError(f"{self.written}: {BUDGETS} must be numbers of parameters from 1, got {value!r}")
        return round(number)


def letters() -> set[str]:
    """The letters by which users name the sizes of all methods."""
    return {method.size.letter for method in METHODS.offered()[0].values() if method.size is not None}


def split(text: str) -> Iterator[WrittenMethod]:
    """The methods of a text, in order; a word that is no method's name continues the setting, or the method, before it.

    Raises UnknownName for a word that is neither, SpecError for a double quote without a second one.
    """
    found: list[WrittenMethod] = []
    key = ""
    if QUOTED.sub("", text).count('"'):
        raise SpecError(f"a double quote in the methods has no second one: {text!r}")
    names = all_names()
    for word in WORD.findall(text):
        head, *rest = parts = [part for part in PART.findall(word) if part] or [word]
        if head in names or not found:
            check_name(head)
            found.append(WrittenMethod(head))
            key, parts = "", rest
        for part in parts:
            name, equals, value = part.partition("=")
            if not equals and not key:
                check_name(part)
            key = name if equals else key
            found[-1].settings.setdefault(key, []).append(value if equals else part)
    yield from found


def all_names() -> list[str]:
    """The names of all methods, and all aliases."""
    return [*METHODS, *aliases()]


def check_name(name: str) -> None:
    """Raise UnknownName for a name that is neither a method's nor an alias."""
    if name not in (names := all_names()):
        raise UnknownName("method", name, names)


def no_method(values: Sequence[str]) -> str:
    """Half a sentence about a value that may be meant as the next method but is none; empty if there is none."""
    names = [value for value in values if value.isidentifier()]
    return f", and {UnknownName('method', names[0], all_names())}" if names else ""

"""Registries that other packages extend by name, through entry points: found by their metadata, loaded when first used.

An entry is loaded late, so that a broken package breaks nothing but its own name, and a package may import this one at
its top.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from intrinsic.errors import SpecError

Kind = TypeVar("Kind")
"""The type of a registry's entries."""
REPAIR = "repair or uninstall the package"
"""Remedy in the sentence about a package that is broken."""


@cache
def entries_of(kind: str) -> dict[str, EntryPoint]:
    """The entry points of the group `intrinsic.<kind>s` by name; of two with one name the first on the path."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"intrinsic.{kind}s"):
        found.setdefault(entry.name, entry)
    return found


def package_of(entry: EntryPoint) -> str:
    """The name of the installed package that an entry point belongs to."""
    return entry.dist.name if entry.dist is not None else entry.module


def titled(kind: str, name: str) -> str:
    """The entry as errors call it: its kind and name, and the package that it comes from."""
    return f"{kind} {name!r} of the package {package_of(entries_of(kind)[name])}"


def check_call(what: str, form: str, function: Any, *given: object, **named: object) -> None:
    """Raise SpecError if a package's function cannot be called with these arguments; it is not called.

    what, form: the entry that the function belongs to, and the call that is expected, for the error.
    """
    try:
        inspect.signature(function).bind(*given, **named)
    except ValueError:  # a function of C that does not tell its arguments
        return
    except TypeError as error:
        raise SpecError(
            f"{what} must have a function to call as {form}, got one that does not fit ({error}): {REPAIR}"
        ) from error


def named(home: str, package: str = "") -> Any:
    """The object at `module:name`; a module with a leading dot lies in `package`, a part of this package.

    Raises SpecError, one sentence, whatever another package's module raises when it is imported, and for a name that it
    lacks.
    """
    module, _, name = home.partition(":")
    if module.startswith("."):
        return getattr(import_module(module, package), name)
    try:
        return getattr(import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # another package's module may raise anything, even SystemExit
        raise SpecError(f"cannot load {home!r} ({told(error)}): {REPAIR} that it belongs to") from error


def told(error: BaseException) -> str:
    """The kind of an error and its message in one line, or the kind alone if the message cannot be printed."""
    try:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    except (Exception, SystemExit):
        return type(error).__name__


def printed(value: object) -> str:
    """The repr of a value, or its type if another package's repr raises."""
    try:
        return repr(value)[:200]
    except (Exception, SystemExit):
        return f"an object of the type {type(value).__name__}, whose repr raises"


def is_a(kind: type) -> Callable[[str, object], str | None]:
    """A check for :class:`Registry`, of whether an object is of this dataclass and has its fields, of their types.

    Called with a name and an object, it returns what is wrong with the object, or None.
    """

    def complaint(name: str, made: object) -> str | None:
        if not isinstance(made, kind):
            return f"must be an {kind.__module__.removesuffix('.catalogue')}.{kind.__name__}, got {printed(made)}"
        lacking = [field.name for field in dataclasses.fields(kind) if not hasattr(made, field.name)]
        if lacking:
            return f"lacks the field {lacking[0]!r}"
        for field, hint in get_type_hints(kind).items():
            if not _fits(value := getattr(made, field), hint):
                return f"must have {_in_words(hint)} as its field {field!r}, got {printed(value)}"
        return None

    return complaint


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type; types that are not looked into accept everything."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in inner
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if kind is tuple:
        each = inner[:1] * len(value) if isinstance(value, tuple) and inner[-1] is Ellipsis else inner
        return isinstance(value, tuple) and len(value) == len(each) and all(map(_fits, value, each))
    if kind is Callable:
        return callable(value)
    if kind is Mapping:
        return isinstance(value, Mapping)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return not isinstance(hint, type) or kind is not None or isinstance(value, hint)


def _in_words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) is Callable:
        return "a function"
    words = {str: "a text", bool: "True or False", tuple[str, ...]: "a tuple of texts", str | None: "a text or None"}
    return words.get(hint) or str(getattr(hint, "__name__", hint) if get_origin(hint) is None else hint)


class Registry(Mapping[str, Kind], Generic[Kind]):
    """Entries by name: this package's own, which nothing from outside replaces, then those of other packages.

    complaint(name, object) says what is wrong with an object from outside, or None. reserved: further names that
    entries from outside cannot have, such as aliases. A package's entry that cannot be loaded, or is complained of,
    raises SpecError where it is asked for by name; :meth:`offered` leaves it out and says why.
    """

    def __init__(
        self,
        kind: str,
        own: Mapping[str, Kind],
        complaint: Callable[[str, object], str | None],
        reserved: Collection[str] = (),
    ) -> None:
        self._kind, self._own, self._complaint = kind, dict(own), complaint
        self._taken = {*own, *reserved}
        self._loaded: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        if name in self._own:
            return self._own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(self._added()[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._added()

    def __len__(self) -> int:
        return len(self._own) + len(self._added())

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._added()

    def is_own(self, name: str) -> bool:
        """Whether the entry of this name is this package's own."""
        return name in self._own

    def offered(self) -> tuple[dict[str, Kind], list[str]]:
        """The entries that can be used, by name, and a sentence for each that cannot."""
        usable, complaints = dict(self._own), []
        for name in entries_of(self._kind):
            if name in self._taken:
                complaints.append(f"{titled(self._kind, name)} is ignored: it exists")
                continue
            try:
                usable[name] = self[name]
            except SpecError as error:
                complaints.append(str(error))
        return usable, complaints

    def _added(self) -> dict[str, EntryPoint]:
        return {name: entry for name, entry in entries_of(self._kind).items() if name not in self._taken}

    def _load(self, entry: EntryPoint) -> Kind:
        what = titled(self._kind, entry.name)
        try:
            made: Kind = entry.load()
            wrong = self._complaint(entry.name, made)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # another package's module may raise anything, even SystemExit
            raise SpecError(f"{what} cannot be loaded ({told(error)}): {REPAIR}") from error
        if wrong is not None:
            raise SpecError(f"{what} {wrong}: {REPAIR}")
        return made

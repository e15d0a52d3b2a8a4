"""What other packages add by name, through entry points: found by their metadata, loaded when first asked for.

An entry is loaded late, so that a broken package breaks nothing but its own name, and a package may import this
one at its top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from intrinsic.errors import SpecError

Entry = TypeVar("Entry")


@cache
def entries_of(kind: str) -> dict[str, EntryPoint]:
    """The entry points of the group `intrinsic.<kind>s` by name; of two with one name the first on the path."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"intrinsic.{kind}s"):
        found.setdefault(entry.name, entry)
    return found


def package_of(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Own entries, which nothing from outside replaces, and those of other packages behind them.

    A package's entry that cannot be loaded, or is not of the kind, raises SpecError where it is asked for.
    """

    def __init__(self, kind: str, own: Mapping[str, Entry], fits: Callable[[object], bool], expected: str) -> None:
        self._kind, self._own, self._fits, self._expected = kind, dict(own), fits, expected
        self._loaded: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        if name in self._own:
            return self._own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(entries_of(self._kind)[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from (name for name in entries_of(self._kind) if name not in self._own)

    def __len__(self) -> int:
        return len(self._own.keys() | entries_of(self._kind).keys())

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in entries_of(self._kind)

    def offered(self) -> tuple[dict[str, Entry], list[str]]:
        """What can be used, and what cannot, a sentence each."""
        usable, complaints = dict(self._own), []
        for name, entry in entries_of(self._kind).items():
            if name in self._own:
                complaints.append(f"{self._kind} {name!r} of the package {package_of(entry)} is ignored: it exists")
                continue
            try:
                usable[name] = self[name]
            except SpecError as error:
                complaints.append(str(error))
        return usable, complaints

    def _load(self, entry: EntryPoint) -> Entry:
        what = f"{self._kind} {entry.name!r} of the package {package_of(entry)}"
        try:
            made: Entry = entry.load()
        except Exception as error:  # whatever a stranger's module raises
            told = f"{type(error).__name__}: {error}"
            raise SpecError(f"{what} cannot be loaded ({told}): repair or uninstall the package") from error
        if not self._fits(made):
            raise SpecError(f"{what} must be {self._expected}, got {made!r}: repair or uninstall the package")
        return made

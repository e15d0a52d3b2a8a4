"""The shape of a sequence of levels, which both sides know before the first one is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from intrinsic.errors import CertificateError, SpecError

MOST_LEVELS = 2**17
MOST_KINDS = 256
"""The largest sequences that are read; they bound the work of a decoder."""


@dataclass(frozen=True)
class Shape:
    """A sequence's length `count` and the number `alphabet` of its symbols, 0..alphabet-1."""

    count: int
    alphabet: int

    def __post_init__(self) -> None:
        if not (0 <= self.count <= MOST_LEVELS and 1 <= self.alphabet <= MOST_KINDS):
            raise CertificateError(
                f"expected at most {MOST_LEVELS} levels of 1 to {MOST_KINDS} kinds, got {self.count} of {self.alphabet}"
            )

    def check(self, symbols: Sequence[int]) -> None:
        """Raise SpecError for a sequence of another shape."""
        if len(symbols) != self.count:
            raise SpecError(f"expected {self.count} levels, got {len(symbols)}")
        if symbols and not 0 <= min(symbols) <= max(symbols) < self.alphabet:
            raise SpecError(f"expected levels from 0 to {self.alphabet - 1}, got {min(symbols)} to {max(symbols)}")

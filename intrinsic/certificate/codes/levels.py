"""A code of quantised levels: the shorter of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from intrinsic.certificate.codes.adaptive import Adaptive
from intrinsic.certificate.codes.base import Code
from intrinsic.certificate.codes.bits import BitReader, BitWriter
from intrinsic.certificate.codes.enumerative import Enumerative
from intrinsic.certificate.codes.integers import Uniform
from intrinsic.certificate.codes.shape import Shape

MOST_ENUMERATED = 2**14
"""The most levels that are coded by enumeration, so that a decoder takes seconds; more have the adaptive code alone."""


@dataclass(frozen=True)
class Levels(Code[Sequence[int]]):
    """A code of levels: one bit says which, 0 `Enumerative`, 1 `Adaptive`: the shorter, the first where they tie.

    Above MOST_ENUMERATED levels it is `Adaptive` and no bit says so.
    """

    shape: Shape

    def write(self, out: BitWriter, value: Sequence[int]) -> None:
        codes = self._codes()
        lengths = [code.length(value) for code in codes]
        best = lengths.index(min(lengths))
        Uniform(len(codes)).write(out, best)
        codes[best].write(out, value)

    def read(self, source: BitReader) -> tuple[int, ...]:
        codes = self._codes()
        return tuple(codes[Uniform(len(codes)).read(source)].read(source))

    def _codes(self) -> tuple[Code[Sequence[int]], ...]:
        adaptive = Adaptive(self.shape)
        return (Enumerative(self.shape), adaptive) if self.shape.count <= MOST_ENUMERATED else (adaptive,)

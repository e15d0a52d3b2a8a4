"""Prefix codes for integers."""

from __future__ import annotations

from dataclasses import dataclass

from intrinsic.certificate.codes.base import Code
from intrinsic.certificate.codes.bits import BitReader, BitWriter
from intrinsic.errors import CertificateError, SpecError

LARGEST = 2**64 - 2
"""The largest natural number the Elias codes carry."""


@dataclass(frozen=True)
class Uniform(Code[int]):
    """A code of 0, 1, ..., count - 1 in floor(log2 count) or one more bit each; the first have the shorter words.

    The phase-in code (truncated binary): complete, Kraft's sum is 1; a count of 1 costs nothing.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SpecError(f"expected a count of at least 1, got {self.count}")

    def write(self, out: BitWriter, value: int) -> None:
        if not 0 <= value < self.count:
            raise SpecError(f"expected an integer from 0 to {_told(self.count - 1)}, got {_told(value)}")
        width, short = self._shape()
        if value < short:
            out.write(value, width)
        else:
            out.write(value + short, width + 1)

    def read(self, source: BitReader) -> int:
        width, short = self._shape()
        value = source.read(width)
        return value if value < short else 2 * value + source.read(1) - short

    def _shape(self) -> tuple[int, int]:
        """The pair (bits of a short word, number of short words)."""
        width = self.count.bit_length() - 1
        return width, 2 ** (width + 1) - self.count


@dataclass(frozen=True)
class EliasGamma(Code[int]):
    """Elias gamma, n >= 0: as many zeros as n + 1 has bits after its first, then n + 1: 2 floor(log2(n + 1)) + 1 bits.

    Source: Elias 1975, "Universal codeword sets and representations of the integers". Complete.
    """

    def write(self, out: BitWriter, value: int) -> None:
        width = _width(value)
        out.write_bits("0" * (width - 1))
        out.write(value + 1, width)

    def read(self, source: BitReader) -> int:
        return source.read(source.zeros(_width(LARGEST) - 1) + 1) - 1


@dataclass(frozen=True)
class EliasDelta(Code[int]):
    """Elias delta, n >= 0: the bits of n + 1 in number, by gamma, then without the first: about log2 n + 2 log2 log2 n.

    Source: Elias 1975. Complete. Shorter than gamma from n = 31 on.
    """

    def write(self, out: BitWriter, value: int) -> None:
        width = _width(value)
        EliasGamma().write(out, width - 1)
        out.write(value + 1 - 2 ** (width - 1), width - 1)

    def read(self, source: BitReader) -> int:
        width = EliasGamma().read(source)
        if width >= _width(LARGEST):
            raise CertificateError(f"expected an integer of at most 64 bits in the message, got {width + 1} bits")
        return (1 << width) + source.read(width) - 1


@dataclass(frozen=True)
class Signed(Code[int]):
    """A code of all integers: 0, -1, 1, -2, 2, ... as 0, 1, 2, 3, 4, ... of a code for the naturals."""

    magnitude: Code[int]

    def write(self, out: BitWriter, value: int) -> None:
        self.magnitude.write(out, 2 * value if value >= 0 else -2 * value - 1)

    def read(self, source: BitReader) -> int:
        value = self.magnitude.read(source)
        return value // 2 if value % 2 == 0 else -(value + 1) // 2


def _told(value: int) -> str:
    """The integer as text, or its size: ranks of arrangements have thousands of digits."""
    return str(value) if abs(value) <= LARGEST else f"one of {value.bit_length()} bits"


def _width(value: int) -> int:
    """The number of bits of value + 1."""
    if not 0 <= value <= LARGEST:
        raise SpecError(f"expected an integer from 0 to {LARGEST}, got {_told(value)}")
    return (value + 1).bit_length()

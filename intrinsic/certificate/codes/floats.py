"""A prefix code for floating-point numbers that charges for the digits they have."""

from __future__ import annotations

import math
from dataclasses import dataclass

from intrinsic.certificate.codes.base import Code
from intrinsic.certificate.codes.bits import BitReader, BitWriter
from intrinsic.certificate.codes.integers import EliasDelta, Signed, Uniform
from intrinsic.errors import CertificateError, SpecError

DIGITS = 52
"""The binary digits of a double after its first."""
ZERO = DIGITS + 1
"""The word for the number zero, in the place of a number of digits."""
EXPONENT = Signed(EliasDelta())


@dataclass(frozen=True)
class Float(Code[float]):
    """A code of every finite double +-1.b1...bk 2^e, bk = 1: k by `Uniform` (0..52, 53 for zero), sign, e, digits.

    Few binary digits are cheap: 1.0 costs 7 bits, 0.375 11, a float32 in [1, 2) at most 30. Encode what `shorten` makes
    of a number, and use that. -0.0 is read as 0.0.
    """

    def write(self, out: BitWriter, value: float) -> None:
        if not math.isfinite(value):
            raise SpecError(f"expected a finite number, got {value}")
        if value == 0:
            Uniform(ZERO + 1).write(out, ZERO)
            return
        digits, exponent = _digits(abs(value))
        width = digits.bit_length() - 1
        Uniform(ZERO + 1).write(out, width)
        out.write(int(value < 0), 1)
        EXPONENT.write(out, exponent)
        if width:
            out.write((digits - 2**width) // 2, width - 1)

    def read(self, source: BitReader) -> float:
        width = Uniform(ZERO + 1).read(source)
        if width == ZERO:
            return 0.0
        sign = -1.0 if source.read(1) else 1.0
        exponent = EXPONENT.read(source)
        digits = 2**width + (2 * source.read(width - 1) + 1 if width else 0)
        # The smallest double is 2^-1074, the largest below 2^1024: outside, ldexp would round or overflow.
        if not (exponent <= 1023 and exponent - width >= -1074):
            raise CertificateError(
                f"expected a double in the message, got {width + 1} digits from 2^{exponent} down; it is damaged"
            )
        return sign * math.ldexp(digits, exponent - width)


def shorten(value: float, digits: int) -> float:
    """The nearest number with at most `digits` binary digits after its first, 0 to 52: 0.3 -> 0.3125 with 2."""
    if value == 0 or not math.isfinite(value):
        return value
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(mantissa, digits + 1)), exponent - digits - 1)


def _digits(value: float) -> tuple[int, int]:
    """The pair (odd integer, exponent of its first digit): 0.375 -> (0b11, -2)."""
    numerator, denominator = value.as_integer_ratio()
    exponent = numerator.bit_length() - denominator.bit_length()
    return numerator >> ((numerator & -numerator).bit_length() - 1), exponent

"""Prefix codes, each with its encoder and its decoder: what is charged is what is written, and what is written is read.

A code is fixed before the data are seen. No code word begins another, so that sum 2^-length <= 1 (Kraft), which is what
Occam's bound asks for; words may follow each other without separators. Integer arithmetic only: the same bits on
every machine. The decoders trust nothing: damaged bits raise CertificateError after bounded work, never anything else.
"""

from __future__ import annotations

from intrinsic.certificate.codes.adaptive import Adaptive
from intrinsic.certificate.codes.base import Code
from intrinsic.certificate.codes.bits import BitReader, BitWriter
from intrinsic.certificate.codes.enumerative import Enumerative, arrangement_bits, counts_bits
from intrinsic.certificate.codes.floats import Float, shorten
from intrinsic.certificate.codes.integers import EliasDelta, EliasGamma, Signed, Uniform
from intrinsic.certificate.codes.levels import Levels

__all__ = [
    "Adaptive",
    "BitReader",
    "BitWriter",
    "Code",
    "EliasDelta",
    "EliasGamma",
    "Enumerative",
    "Float",
    "Levels",
    "Signed",
    "Uniform",
    "arrangement_bits",
    "counts_bits",
    "shorten",
]

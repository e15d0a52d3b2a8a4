"""The message, message.bin: everything that training could choose, as bits, and what each part of it cost."""

from __future__ import annotations

from dataclasses import dataclass

from intrinsic.certificate.codes.bits import BitReader, BitWriter
from intrinsic.certificate.codes.floats import Float
from intrinsic.certificate.codes.integers import EliasDelta, EliasGamma, Uniform
from intrinsic.certificate.codes.levels import Levels
from intrinsic.certificate.codes.shape import MOST_KINDS, MOST_LEVELS, Shape
from intrinsic.errors import CertificateError

MOST_SCALES = 2**12
"""The most scales that are read; it bounds a decoder's work."""


@dataclass(frozen=True)
class Terms:
    """The terms of a message that are not in it, as they were fixed before training."""

    settings: int
    """The number of settings in the frozen grid."""
    seeds: int
    """The number of seeds in the frozen grid."""


@dataclass(frozen=True)
class Message:
    """The choices of training. theta_d[i] = values[levels[i]], times the scales where the setting says.

    setting  which of the grid's settings (0 .. terms.settings - 1)
    seed     which of the seeds (0 .. terms.seeds - 1): the best of 2^s costs s bits
    values   the values of the levels, one a kind; a double each, so shorten them first
    scales   further numbers that training chose, one a tensor say; may be empty
    levels   one integer a coordinate, 0 .. len(values) - 1
    """

    setting: int
    seed: int
    values: tuple[float, ...]
    scales: tuple[float, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    """A message as it is written."""

    data: bytes
    """The bytes of message.bin; the last one is filled up with zeros."""
    bits: int
    """The bits charged: all but those that fill the last byte."""
    ledger: dict[str, int]
    """The bits of each part."""


def encode(message: Message, terms: Terms) -> Encoded:
    """Write setting, seed, number of levels, of values and the values, of scales and the scales, and the levels.

    Every part is a prefix code given those before it, so that the whole is one and obeys Kraft's inequality.
    """
    _at_most(MOST_SCALES, len(message.scales), "scales")
    out = BitWriter()
    Uniform(terms.settings).write(out, message.setting)
    out.charge("setting")
    Uniform(terms.seeds).write(out, message.seed)
    out.charge("seed")
    EliasDelta().write(out, len(message.levels))
    out.charge("subspace_dim")  # the number of coordinates, by its name in stored ledgers
    EliasGamma().write(out, len(message.values) - 1)
    for value in message.values:
        Float().write(out, value)
    out.charge("values")
    EliasGamma().write(out, len(message.scales))
    for scale in message.scales:
        Float().write(out, scale)
    out.charge("scales")
    Levels(Shape(len(message.levels), len(message.values))).write(out, message.levels)
    out.charge("levels")
    return Encoded(out.to_bytes(), len(out), out.ledger)


def decode(data: bytes, terms: Terms) -> tuple[Message, Encoded]:
    """Read a message, and encode it again, which gives `data` to the last bit: one message has one encoding.

    Raises CertificateError, and nothing else, for bytes that no message encodes to.
    """
    source = BitReader(data)
    setting, seed = Uniform(terms.settings).read(source), Uniform(terms.seeds).read(source)
    dim = _at_most(MOST_LEVELS, EliasDelta().read(source), "levels")
    kinds = _at_most(MOST_KINDS, EliasGamma().read(source) + 1, "kinds of level")
    values = tuple(Float().read(source) for _ in range(kinds))
    scales = tuple(Float().read(source) for _ in range(_at_most(MOST_SCALES, EliasGamma().read(source), "scales")))
    levels = Levels(Shape(dim, kinds)).read(source)
    message = Message(setting, seed, values, scales, levels)
    again = encode(message, terms)
    if len(data) != len(again.data):
        raise CertificateError(
            f"expected {len(again.data)} bytes, as the message in them is long, got {len(data)}; nothing may follow it"
        )
    if data != again.data:
        raise CertificateError("the message is not what its content encodes to: bits were changed that decide nothing")
    return message, again


def _at_most(limit: int, number: int, what: str) -> int:
    if number > limit:
        raise CertificateError(f"expected at most {limit} {what} in the message, got {number}")
    return number

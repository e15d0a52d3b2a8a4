"""Adaptive arithmetic coding of quantised levels: frequencies are learned on the way, nothing is sent about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from intrinsic.certificate.codes.base import Code
from intrinsic.certificate.codes.bits import BitReader, BitWriter
from intrinsic.certificate.codes.shape import Shape

PRECISION = 32
"""The bits of the coder's integers."""
WHOLE, HALF, QUARTER = 1 << PRECISION, 1 << (PRECISION - 1), 1 << (PRECISION - 2)


@dataclass(frozen=True)
class Adaptive(Code[Sequence[int]]):
    """A code of `count` symbols of 0..alphabet-1: one seen c times among n has probability (2c + 1) / (2n + alphabet).

    The estimator of Krichevsky and Trofimov 1981: about (alphabet - 1)/2 log2 count bits above the empirical entropy,
    whatever the frequencies; shorter than `Enumerative` where some level is rare. Coded by the integer arithmetic
    coder of Witten, Neal and Cleary 1987 with 32 bits; 2 bits end it, so that any bits may follow.
    """

    shape: Shape

    def write(self, out: BitWriter, value: Sequence[int]) -> None:
        self.shape.check(value)
        coder = _Encoder(out)
        model = _Model(self.shape.alphabet)
        for symbol in value:
            coder.narrow(*model.share(symbol))
            model.add(symbol)
        coder.finish()

    def read(self, source: BitReader) -> tuple[int, ...]:
        coder = _Decoder(source)
        model = _Model(self.shape.alphabet)
        symbols = []
        for _ in range(self.shape.count):
            symbol = model.find(coder.place(model.total))
            coder.narrow(*model.share(symbol))
            model.add(symbol)
            symbols.append(symbol)
        coder.finish()
        return tuple(symbols)


class _Model:
    """The weights 2 c + 1 of the symbols, twice Krichevsky and Trofimov's c + 1/2."""

    def __init__(self, alphabet: int) -> None:
        self.weights = [1] * alphabet
        self.total = alphabet

    def share(self, symbol: int) -> tuple[int, int, int]:
        """The triple (weight of the symbols before this one, the same with it, total)."""
        below = sum(self.weights[:symbol])
        return below, below + self.weights[symbol], self.total

    def find(self, place: int) -> int:
        """The symbol in whose share 0 <= place < total lies."""
        symbol = 0
        while place >= self.weights[symbol]:
            place -= self.weights[symbol]
            symbol += 1
        return symbol

    def add(self, symbol: int) -> None:
        self.weights[symbol] += 2
        self.total += 2


class _Interval:
    """The interval [low, high] of 32-bit integers; encoder and decoder narrow and double it in the same way."""

    def __init__(self) -> None:
        self.low, self.high = 0, WHOLE - 1

    def halve(self, below: int, upto: int, total: int) -> Iterator[int]:
        """Narrow to [below, upto) of total, then double while it fits; yields what was taken off: 0, HALF, QUARTER."""
        width = self.high - self.low + 1
        self.low, self.high = self.low + width * below // total, self.low + width * upto // total - 1
        while True:
            if self.high < HALF:
                offset = 0
            elif self.low >= HALF:
                offset = HALF
            elif self.low >= QUARTER and self.high < 3 * QUARTER:
                offset = QUARTER
            else:
                return
            self.low, self.high = 2 * (self.low - offset), 2 * (self.high - offset) + 1
            yield offset


class _Encoder:
    def __init__(self, out: BitWriter) -> None:
        self.out, self.interval, self.pending = out, _Interval(), 0

    def narrow(self, below: int, upto: int, total: int) -> None:
        for offset in self.interval.halve(below, upto, total):
            if offset == QUARTER:
                self.pending += 1
            else:
                self._emit(offset == HALF)

    def finish(self) -> None:
        """Write the bits of a quarter that lies in the interval whatever follows."""
        self.pending += 1
        self._emit(self.interval.low >= QUARTER)

    def _emit(self, one: bool) -> None:
        self.out.write_bits(("1" if one else "0") + ("0" if one else "1") * self.pending)
        self.pending = 0


class _Decoder:
    """A decoder that looks 32 bits ahead; what lies beyond the end reads as zeros, and `finish` refuses its use."""

    def __init__(self, source: BitReader) -> None:
        self.source, self.interval = source, _Interval()
        self.doubled = 0
        self.value = int(source.peek(PRECISION).ljust(PRECISION, "0"), 2)
        self.ahead = source.peek(source.left())

    def place(self, total: int) -> int:
        """The place of the value in 0..total-1."""
        width = self.interval.high - self.interval.low + 1
        return ((self.value - self.interval.low + 1) * total - 1) // width

    def narrow(self, below: int, upto: int, total: int) -> None:
        for offset in self.interval.halve(below, upto, total):
            at = self.doubled + PRECISION
            bit = 1 if at < len(self.ahead) and self.ahead[at] == "1" else 0
            self.value = 2 * (self.value - offset) + bit
            self.doubled += 1

    def finish(self) -> None:
        self.source.skip(self.doubled + 2)

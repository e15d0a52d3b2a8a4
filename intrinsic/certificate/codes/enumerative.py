"""Enumerative coding of quantised levels: how often each occurs, then which of the arrangements it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from intrinsic.bounds.exact import exact, ln2, up
from intrinsic.bounds.special import log_choose, log_factorial
from intrinsic.certificate.codes.base import Code
from intrinsic.certificate.codes.bits import BitReader, BitWriter
from intrinsic.certificate.codes.integers import Uniform
from intrinsic.certificate.codes.shape import Shape


@dataclass(frozen=True)
class Enumerative(Code[Sequence[int]]):
    """A code of `count` symbols of 0..alphabet-1 by two ranks, each by `Uniform`: at most 2 bits above the logarithms.

    First how often each symbol occurs, one of C(count + alphabet - 1, alphabet - 1) possibilities; then which sequence
    it is of the count! / (c_0! c_1! ...) with these counts. Time grows with count^2.

    Source: Cover 1973, "Enumerative source encoding"; Lynch 1966; Davisson 1966.
    """

    shape: Shape

    def write(self, out: BitWriter, value: Sequence[int]) -> None:
        self.shape.check(value)
        counts = [0] * self.shape.alphabet
        for symbol in value:
            counts[symbol] += 1
        self._counts_code().write(out, _rank_counts(counts))
        Uniform(_arrangements(counts)).write(out, _rank(value, counts))

    def read(self, source: BitReader) -> tuple[int, ...]:
        counts = _unrank_counts(self._counts_code().read(source), self.shape)
        return _unrank(Uniform(_arrangements(counts)).read(source), counts)

    def _counts_code(self) -> Uniform:
        return Uniform(math.comb(self.shape.count + self.shape.alphabet - 1, self.shape.alphabet - 1))


@exact
def arrangement_bits(counts: Sequence[int]) -> float:
    """The bits of a sequence whose counts are known: log2(n! / (c_0! c_1! ...)), rounded up."""
    return up((log_factorial(sum(counts)) - sum(map(log_factorial, counts))) / ln2())


@exact
def counts_bits(counts: Sequence[int]) -> float:
    """The bits of the counts of k symbols, all equally likely: log2 C(n + k - 1, k - 1), rounded up."""
    return up(log_choose(sum(counts) + len(counts) - 1, len(counts) - 1) / ln2())


def _rank_counts(counts: Sequence[int]) -> int:
    """The rank of counts by stars and bars, bars at b_1 < b_2 < ...: sum_i C(b_i, i) (combinatorial number system)."""
    rank = bar = 0
    for i, count in enumerate(counts[:-1], start=1):
        bar += count
        rank += math.comb(bar + i - 1, i)
    return rank


def _unrank_counts(rank: int, shape: Shape) -> list[int]:
    bars = [0] * (shape.alphabet - 1)
    limit = shape.count + shape.alphabet - 1
    for i in range(shape.alphabet - 1, 0, -1):
        low, high = i - 1, limit  # C(low, i) <= rank < C(high, i)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if math.comb(middle, i) <= rank else (low, middle)
        rank -= math.comb(low, i)
        bars[i - 1] = limit = low
    edges = [0, *(bar - i for i, bar in enumerate(bars)), shape.count]
    return [right - left for left, right in itertools.pairwise(edges)]


def _arrangements(counts: Sequence[int]) -> int:
    total, ways = 0, 1
    for count in counts:
        total += count
        ways *= math.comb(total, count)
    return ways


def _rank(symbols: Sequence[int], counts: Sequence[int]) -> int:
    """The lexicographic rank. Of `ways` arrangements of what is left, the share counts[s] / left begins with s."""
    remaining, left, ways, rank = list(counts), len(symbols), _arrangements(counts), 0
    for symbol in symbols:
        rank += ways * sum(remaining[:symbol]) // left
        ways = ways * remaining[symbol] // left
        remaining[symbol] -= 1
        left -= 1
    return rank


def _unrank(rank: int, counts: Sequence[int]) -> tuple[int, ...]:
    remaining, left, ways, symbols = list(counts), sum(counts), _arrangements(counts), []
    while left:
        place, symbol, below = rank * left // ways, 0, 0
        while place >= below + remaining[symbol]:
            below += remaining[symbol]
            symbol += 1
        rank -= ways * below // left
        ways = ways * remaining[symbol] // left
        remaining[symbol] -= 1
        left -= 1
        symbols.append(symbol)
    return tuple(symbols)

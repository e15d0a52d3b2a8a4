"""Codes pay for what they say: round trip, length charged = length read, Kraft's sum, and bits from a stranger."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from intrinsic.certificate.codes import (
    Adaptive,
    BitReader,
    BitWriter,
    Code,
    EliasDelta,
    EliasGamma,
    Enumerative,
    Float,
    Levels,
    Signed,
    Uniform,
    arrangement_bits,
    counts_bits,
    shorten,
)
from intrinsic.certificate.codes.integers import LARGEST
from intrinsic.certificate.codes.levels import MOST_ENUMERATED
from intrinsic.certificate.codes.shape import MOST_LEVELS, Shape
from intrinsic.errors import CertificateError, SpecError

BIG = 10**40 + 7
naturals = st.one_of(st.integers(0, 40), st.integers(0, LARGEST))
floats = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def levels(draw) -> tuple[Shape, tuple[int, ...]]:
    alphabet = draw(st.integers(1, 9))
    kinds = draw(st.lists(st.integers(0, alphabet - 1), min_size=1, max_size=alphabet))  # some never occur
    symbols = tuple(draw(st.lists(st.sampled_from(kinds), max_size=80)))
    return Shape(len(symbols), alphabet), symbols


SCALARS: dict[str, tuple[Code, st.SearchStrategy]] = {
    "uniform 1": (Uniform(1), st.just(0)),
    "uniform 6": (Uniform(6), st.integers(0, 5)),
    "uniform 64": (Uniform(64), st.integers(0, 63)),
    "uniform big": (Uniform(BIG), st.integers(0, BIG - 1)),
    "gamma": (EliasGamma(), naturals),
    "delta": (EliasDelta(), naturals),
    "signed": (Signed(EliasDelta()), st.integers(-(2**63) + 1, 2**63 - 1)),
    "float": (Float(), floats),
}


def write(code: Code, value: object) -> str:
    out = BitWriter()
    code.write(out, value)
    return out.bits()


def reader(bits: str) -> BitReader:
    out = BitWriter()
    out.write_bits(bits)
    return BitReader(out.to_bytes())


@pytest.mark.parametrize("name", SCALARS)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_value_comes_back_whatever_follows_and_costs_what_is_charged(name, data):
    code, values = SCALARS[name]
    value, tail = data.draw(values), data.draw(st.text("01", max_size=40))
    bits = write(code, value)
    source = reader(bits + tail)
    assert code.read(source) == value
    assert source.position == len(bits) == code.length(value)


@pytest.mark.parametrize("make", [Enumerative, Adaptive, Levels])
@settings(max_examples=200, deadline=None)
@given(case=levels(), tail=st.text("01", max_size=40))
def test_levels_come_back_whatever_follows_and_cost_what_is_charged(make, case, tail):
    shape, symbols = case
    bits = write(make(shape), symbols)
    source = reader(bits + tail)
    assert make(shape).read(source) == symbols
    assert source.position == len(bits) == make(shape).length(symbols)


def words(code: Code, longest: int) -> list[str]:
    """Every code word of at most so many bits, found by offering the decoder every string of bits."""
    found = []
    for width in range(longest + 1):
        for word in map("".join, itertools.product("01", repeat=width)):
            source = reader(word.ljust(width + 8, "0"))
            try:
                value = code.read(source)
            except CertificateError:
                continue
            if source.position == width and write(code, value) == word:
                found.append(word)
    return found


@pytest.mark.parametrize("name", SCALARS)
def test_kraft(name):
    short = words(SCALARS[name][0], 12)
    assert sum(2.0 ** -len(word) for word in short) <= 1
    assert not any(b.startswith(a) for a, b in itertools.pairwise(sorted(short)))


def test_the_integer_codes_waste_nothing():
    """Kraft's sum is 1: for a uniform code at once, for Elias's in the limit."""
    for count in (1, 2, 3, 6, 7, 64, 100):
        assert sum(2.0 ** -Uniform(count).length(value) for value in range(count)) == 1.0
        assert max(Uniform(count).length(value) for value in range(count)) == math.ceil(math.log2(count))
    for k in (3, 8, 12):
        assert sum(2.0 ** -EliasGamma().length(value) for value in range(2**k - 1)) == 1 - 2.0**-k
    total = sum(2.0 ** -EliasDelta().length(value) for value in range(2**15 - 1))
    assert total == 1 - 2.0**-4  # lengths 1..15 are all words of gamma with up to 4 bits of length


@pytest.mark.parametrize("make", [Enumerative, Adaptive, Levels])
@pytest.mark.parametrize(("count", "alphabet"), [(0, 3), (1, 1), (4, 3), (9, 2), (3, 6)])
def test_kraft_over_all_sequences(make, count, alphabet):
    code = make(Shape(count, alphabet))
    every = list(itertools.product(range(alphabet), repeat=count))
    bits = sorted(write(code, symbols) for symbols in every)
    assert len(set(bits)) == len(every)
    assert sum(2.0 ** -len(word) for word in bits) <= 1
    assert not any(b.startswith(a) for a, b in itertools.pairwise(bits))


@settings(max_examples=100, deadline=None)
@given(case=levels())
def test_the_enumerative_code_is_within_two_bits_of_the_counting(case):
    shape, symbols = case
    counts = [Counter(symbols)[kind] for kind in range(shape.alphabet)]
    ways = math.factorial(shape.count) // math.prod(map(math.factorial, counts))
    many = math.comb(shape.count + shape.alphabet - 1, shape.alphabet - 1)
    assert arrangement_bits(counts) == pytest.approx(float(mp.log(ways, 2)), rel=1e-13, abs=1e-13)
    assert counts_bits(counts) == pytest.approx(float(mp.log(many, 2)), rel=1e-13, abs=1e-13)
    ideal = mp.log(ways, 2) + mp.log(many, 2)
    assert math.floor(ideal) - 2 < Enumerative(shape).length(symbols) < ideal + 2


def test_the_adaptive_code_reaches_krichevsky_and_trofimov():
    rng = random.Random(3)
    for weights in ([97, 2, 1], [1, 1, 1], [1, 0, 50, 3, 0, 0]):
        symbols = rng.choices(range(len(weights)), weights, k=3000)
        counts, ideal = [0] * len(weights), 0.0
        for n, symbol in enumerate(symbols):
            ideal -= math.log2((2 * counts[symbol] + 1) / (2 * n + len(weights)))
            counts[symbol] += 1
        length = Adaptive(Shape(3000, len(weights))).length(symbols)
        assert ideal <= length < ideal + 3


def test_levels_take_the_shorter_code_and_pay_one_bit_to_say_so():
    skewed, even = [0] * 990 + [1] * 3 + [0] * 7, [0, 1, 2] * 300
    for symbols, alphabet in ((skewed, 5), (even, 3)):
        shape = Shape(len(symbols), alphabet)
        both = Enumerative(shape).length(symbols), Adaptive(shape).length(symbols)
        assert Levels(shape).length(symbols) == 1 + min(both)
        assert write(Levels(shape), symbols)[0] == str(both.index(min(both)))
    assert Enumerative(Shape(1000, 5)).length(skewed) > Adaptive(Shape(1000, 5)).length(skewed)
    assert Enumerative(Shape(900, 3)).length(even) < Adaptive(Shape(900, 3)).length(even)


def test_many_levels_go_to_the_adaptive_code_in_seconds():
    shape = Shape(MOST_ENUMERATED + 1, 3)
    symbols = random.Random(0).choices(range(3), [1, 30, 1], k=shape.count)
    bits = write(Levels(shape), symbols)
    assert bits == write(Adaptive(shape), symbols)
    assert Levels(shape).read(reader(bits)) == tuple(symbols)
    widest = Shape(MOST_ENUMERATED, 256)
    started = time.process_time()
    some = Enumerative(widest).read(BitReader(random.Random(1).randbytes(20_000)))
    assert len(some) == MOST_ENUMERATED
    assert time.process_time() - started < 60  # a bound on hostile work, not a measurement


COSTS = [(0.0, 6), (1.0, 7), (-1.0, 7), (0.375, 11), (5e-324, 24), (1.7976931348623157e308, 75)]


@pytest.mark.parametrize(("value", "bits"), COSTS)
def test_floats_cost_as_documented(value, bits):
    assert Float().length(value) == bits
    assert str(Float().read(reader(write(Float(), value)))) == str(value)


def test_shorten():
    assert [shorten(0.3, digits) for digits in (0, 1, 2, 52)] == [0.25, 0.25, 0.3125, 0.3]
    assert shorten(-1.999, 3) == -2.0
    assert shorten(0.0, 3) == 0.0
    assert Float().length(shorten(0.3, 3)) < 16 < Float().length(0.3)


@settings(max_examples=300, deadline=None)
@given(value=floats.filter(lambda x: abs(x) < 1e300 and (x == 0 or abs(x) > 1e-300)), digits=st.integers(0, 20))
def test_shorten_is_within_half_a_unit_and_short(value, digits):
    short = shorten(value, digits)
    assert abs(short - value) <= abs(value) * 2.0 ** -(digits + 1)
    assert value == 0 or Float().length(short) <= 7 + 21 + digits  # 1023 as a signed Elias delta is 19 bits


@pytest.mark.parametrize("name", SCALARS)
@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=24))
def test_scalars_from_junk_are_canonical_or_refused(name, junk):
    code, source = SCALARS[name][0], BitReader(junk)
    try:
        value = code.read(source)
    except CertificateError:
        return
    assert write(code, value) == "".join(f"{byte:08b}" for byte in junk)[: source.position]


@pytest.mark.parametrize("make", [Enumerative, Adaptive, Levels])
@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=64), count=st.integers(0, 60), alphabet=st.integers(1, 256))
def test_levels_from_junk_are_levels_or_refused(make, junk, count, alphabet):
    shape, source = Shape(count, alphabet), BitReader(junk)
    try:
        symbols = make(shape).read(source)
    except CertificateError:
        return
    shape.check(symbols)
    assert source.left() >= 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: write(Uniform(5), 5), SpecError, "expected an integer from 0 to 4, got 5"),
        (lambda: write(Uniform(10**5000), -1), SpecError, "from 0 to one of 16610 bits, got -1"),
        (lambda: Uniform(0), SpecError, "count of at least 1, got 0"),
        (lambda: write(EliasDelta(), -1), SpecError, "got -1"),
        (lambda: write(EliasGamma(), 2**64), SpecError, "got one of 65 bits"),
        (lambda: write(Float(), math.nan), SpecError, "expected a finite number, got nan"),
        (lambda: write(Levels(Shape(2, 3)), [0]), SpecError, "expected 2 levels, got 1"),
        (lambda: write(Levels(Shape(2, 3)), [0, 3]), SpecError, "levels from 0 to 2, got 0 to 3"),
        (lambda: Shape(MOST_LEVELS + 1, 3), CertificateError, "at most 131072 levels"),
        (lambda: Shape(3, 0), CertificateError, "of 1 to 256 kinds, got 3 of 0"),
        (lambda: BitReader(bytes(2**20 + 1)), CertificateError, "at most 1048576 bytes, got 1048577"),
        (lambda: BitReader(b"").read(3), CertificateError, "ends 3 bits too early"),
        (lambda: EliasGamma().read(BitReader(bytes(100))), CertificateError, "no 1 among the 64 bits after bit 0"),
        (lambda: EliasGamma().read(BitReader(b"")), CertificateError, "no 1 among the 0 bits"),
        (lambda: EliasDelta().read(reader("0000001" + "000001" + "0" * 80)), CertificateError, "at most 64 bits"),
        (lambda: Float().read(reader("00000" + "0" + write(Signed(EliasDelta()), 1024))), CertificateError, "a double"),
        (
            lambda: Float().read(reader("00000" + "0" + write(Signed(EliasDelta()), -1075))),
            CertificateError,
            "a double",
        ),
    ],
)
def test_what_cannot_be_coded_is_refused_with_what_was_expected(call, error, message):
    with pytest.raises(error, match=message):
        call()

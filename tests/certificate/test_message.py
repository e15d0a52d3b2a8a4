"""message.bin: one message, one encoding; the ledger adds up; a stranger's bytes are a message or one clear error."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intrinsic.certificate.codes import BitWriter, EliasDelta, EliasGamma, Float, Levels, Uniform, shorten
from intrinsic.certificate.codes.shape import MOST_LEVELS, Shape
from intrinsic.certificate.message import MOST_SCALES, Message, Terms, decode, encode
from intrinsic.errors import CertificateError, IntrinsicError

TERMS = Terms(settings=40, seeds=16)
TERNARY = Message(
    setting=11,
    seed=3,
    values=(-0.75, 0.0, 0.75),
    scales=(shorten(0.0123, 3), 1.0),
    levels=tuple((i * i) % 7 % 3 for i in range(200)),
)


@st.composite
def messages(draw) -> Message:
    values = tuple(draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6)))
    return Message(
        setting=draw(st.integers(0, TERMS.settings - 1)),
        seed=draw(st.integers(0, TERMS.seeds - 1)),
        values=values,
        scales=tuple(draw(st.lists(st.floats(-10, 10), max_size=4))),
        levels=tuple(draw(st.lists(st.integers(0, len(values) - 1), max_size=50))),
    )


@settings(max_examples=200, deadline=None)
@given(message=messages())
def test_a_message_comes_back_and_its_ledger_adds_up(message):
    encoded = encode(message, TERMS)
    back, again = decode(encoded.data, TERMS)
    assert back == message
    assert again == encoded
    assert sum(encoded.ledger.values()) == encoded.bits
    assert len(encoded.data) == (encoded.bits + 7) // 8


def test_every_part_is_charged_the_length_of_its_code():
    ledger = encode(TERNARY, TERMS).ledger
    assert ledger == {
        "setting": Uniform(40).length(11),
        "seed": 4,
        "subspace_dim": EliasDelta().length(200),
        "values": EliasGamma().length(2) + sum(map(Float().length, TERNARY.values)),
        "scales": EliasGamma().length(2) + sum(map(Float().length, TERNARY.scales)),
        "levels": Levels(Shape(200, 3)).length(TERNARY.levels),
    }


def test_a_setting_that_was_not_a_choice_costs_nothing():
    assert encode(dataclasses.replace(TERNARY, setting=0, seed=0), Terms(1, 1)).ledger["setting"] == 0


@settings(max_examples=400, deadline=None)
@given(junk=st.binary(max_size=200))
def test_any_bytes_are_a_message_or_one_clear_error(junk):
    try:
        message, encoded = decode(junk, TERMS)
    except CertificateError:
        return
    assert encoded.data == junk == encode(message, TERMS).data


def test_every_flipped_bit_gives_another_message_or_an_error():
    data = encode(TERNARY, TERMS).data
    for at in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[at // 8] ^= 128 >> at % 8
        try:
            message, _ = decode(bytes(flipped), TERMS)
        except CertificateError:
            continue
        assert message != TERNARY


@pytest.mark.parametrize("keep", range(len(encode(TERNARY, TERMS).data)))
def test_a_cut_message_is_refused(keep):
    with pytest.raises(CertificateError):
        decode(encode(TERNARY, TERMS).data[:keep], TERMS)


@pytest.mark.parametrize("tail", [b"\0", b"\1", b"\0" * 100])
def test_nothing_may_follow_a_message(tail):
    data = encode(TERNARY, TERMS).data
    with pytest.raises(CertificateError, match=f"expected {len(data)} bytes, as the message in them is long, got"):
        decode(data + tail, TERMS)


def test_the_bits_that_fill_the_last_byte_are_zeros():
    shorter = (dataclasses.replace(TERNARY, levels=TERNARY.levels[:n]) for n in range(200))
    message = next(message for message in shorter if encode(message, TERMS).bits % 8)
    data = bytearray(encode(message, TERMS).data)
    data[-1] |= 1
    with pytest.raises(CertificateError, match="bits were changed that decide nothing"):
        decode(bytes(data), TERMS)


def header(dim: int, kinds: int = 1, scales: int = 0) -> bytes:
    out = BitWriter()
    Uniform(TERMS.settings).write(out, 0)
    Uniform(TERMS.seeds).write(out, 0)
    EliasDelta().write(out, dim)
    EliasGamma().write(out, kinds - 1)
    for _ in range(min(kinds, 256)):
        Float().write(out, 1.0)
    EliasGamma().write(out, scales)
    return out.to_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(2**60), "at most 131072 levels in the message, got 1152921504606846976"),
        (header(10, kinds=2**40), "at most 256 kinds of level in the message"),
        (header(10, scales=2**50), "at most 4096 scales in the message"),
        (header(MOST_LEVELS, kinds=256), "the message ends"),
        (b"", "the message ends"),
        (b"\xff" * 2**20, "message"),
        (bytes(2**20), "message"),
        (bytes(2**20 + 1), "at most 1048576 bytes"),
    ],
)
def test_hostile_sizes_cost_little_and_are_refused(data, message):
    started = time.process_time()
    with pytest.raises(CertificateError, match=message):
        decode(data, TERMS)
    assert time.process_time() - started < 20  # a bound on hostile work, not a measurement


def test_an_encoder_refuses_what_its_decoder_would():
    for broken in (
        dataclasses.replace(TERNARY, scales=(1.0,) * (MOST_SCALES + 1)),
        dataclasses.replace(TERNARY, values=()),
        dataclasses.replace(TERNARY, values=(1.0,)),
        dataclasses.replace(TERNARY, setting=40),
        dataclasses.replace(TERNARY, seed=-1),
        dataclasses.replace(TERNARY, values=(0.0, 1.0, float("inf"))),
        dataclasses.replace(TERNARY, levels=(0,) * (MOST_LEVELS + 1)),
    ):
        with pytest.raises(IntrinsicError, match="expected"):
            encode(broken, TERMS)


def test_the_codes_and_the_message_import_neither_torch_nor_numpy():
    code = "import intrinsic.certificate.message, sys; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"

"""A false claim in a certificate or its message is refused by name, however consistent it is made."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from certified_digits import SPEC, refused, tamper

from intrinsic.certificate.build import rebuild
from intrinsic.certificate.count import MARGIN, count_errors
from intrinsic.certificate.message import Terms, decode, encode
from intrinsic.certificate.networks import NetworkBuilder
from intrinsic.certificate.record import CERTIFICATE_FILE, MESSAGE_FILE, read_certificate
from intrinsic.certificate.spec import Grid
from intrinsic.certificate.table import Evidence, rows_of
from intrinsic.certificate.verify import verify
from intrinsic.errors import CertificateError
from intrinsic.spec import TaskSpec


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"train__samples": 1400}, "bound"),
        ({"train__errors": 3}, "bound"),
        ({"bits": 100}, "message-length"),
        ({"bits": 3000}, "message-length"),
        ({"ledger": {"levels": 1}}, "ledger"),
        ({"subspace_dim": 10}, "dim"),
        ({"hashes__grid": "0" * 64}, "grid-hash"),
        ({"grid__seed": 7}, "grid-hash"),
        ({"grid__decoder": 2}, "decoder"),
        ({"hashes__message": "0" * 64}, "message-hash"),
        ({"hashes__data": "0" * 64}, "data-hash"),
        ({"hashes__weights": "0" * 64}, "weights-hash"),
        ({"delta": {"occam-binomial": 0.01}}, "delta"),
        ({"constant_errors": 1438}, "majority"),
        ({"test__errors": 10**6}, "counts"),
        ({"bounds": []}, "other-bounds"),
        ({"full_dim": 10**9}, "full-dim"),
        ({"statement": "It never errs."}, "statement"),
        ({"assumptions": []}, "assumptions"),
        ({"assumptions": ["Trust me."]}, "assumptions"),
        ({"bounds__3__note": "certified: holds with probability 1"}, "other-bounds"),
        ({"bounds__11__note": ""}, "other-bounds"),
        ({"bounds__11__name": "occam"}, "other-bounds"),
    ],
)
def test_every_false_claim_is_refused_by_name(copy, changes, name):
    tamper(copy, **changes)
    assert name in refused(copy)


@pytest.mark.parametrize(("field", "name"), [("bounds", "other-bounds"), ("assumptions", "assumptions")])
def test_another_order_is_refused(copy, field, name):
    """The first bound is the one that is certified."""
    rows = json.loads((copy / CERTIFICATE_FILE).read_text())[field]
    for other in (rows[::-1], [*rows, rows[0]]):
        tamper(copy, **{field: other})
        assert refused(copy) == {name}


def test_a_bound_one_ulp_too_small_is_refused(copy):
    bound = read_certificate(copy / CERTIFICATE_FILE).bound
    tamper(copy, bound=math.nextafter(bound, 0))
    assert refused(copy) == {"bound"}


def forged(folder: Path, **counts: int) -> None:
    """A consistent lie: the counts changed, and every bound computed anew."""

    old = read_certificate(folder / CERTIFICATE_FILE)
    train = {**old.train.model_dump(), **counts}
    evidence = Evidence(train["errors"], train["samples"], old.bits, 0.05)
    rows = rows_of(evidence, old.dim, (old.test.errors, old.test.samples))
    bounds = [row.model_dump() for row in rows]
    said = old.statement.replace(repr(old.bound), repr(rows[0].value))
    tamper(folder, train=train, bounds=bounds, bound=rows[0].value, statement=said)


def test_a_lowered_count_of_examples_is_refused_however_consistent(copy):
    forged(copy, samples=1000)
    assert refused(copy) == {"samples"}


def test_fewer_errors_than_there_are_is_refused_however_consistent(copy):
    forged(copy, errors=read_certificate(copy / CERTIFICATE_FILE).train.errors - 1)
    assert refused(copy) == {"errors"}


def shrunk(folder: Path, factor: float, margin: float) -> None:
    """A consistent certificate of a message with smaller values, its errors counted at another margin."""

    old = read_certificate(folder / CERTIFICATE_FILE)
    terms = Terms(settings=2, seeds=2)
    message, _ = decode((folder / MESSAGE_FILE).read_bytes(), terms)
    message = replace(message, values=tuple(factor * value for value in message.values))
    encoded = encode(message, terms)
    (folder / MESSAGE_FILE).write_bytes(encoded.data)
    network = rebuild(NetworkBuilder.open(old.grid, TaskSpec(name="digits")), message)
    errors = {
        name: count_errors(network, split, margin).errors for name, split in (("train", "train"), ("test", "eval"))
    }
    changes = {f"{name}__errors": count for name, count in errors.items()}
    digest = hashlib.sha256(encoded.data).hexdigest()
    tamper(folder, bits=encoded.bits, ledger=encoded.ledger, hashes__message=digest, **changes)
    forged(folder)


@pytest.mark.parametrize(("margin", "names"), [(MARGIN / 2, {"errors", "test-errors"}), (MARGIN, set())])
def test_errors_counted_at_half_the_margin_are_refused(copy, margin, names):
    """Values 2^-13 as large leave many margins between the two."""
    shrunk(copy, 2.0**-13, margin)
    assert refused(copy) == names


def test_one_flipped_bit_anywhere_in_the_message_is_refused(copy):
    path = copy / MESSAGE_FILE
    data = path.read_bytes()
    for position in range(0, 8 * len(data), 7):
        flipped = bytearray(data)
        flipped[position // 8] ^= 128 >> position % 8
        path.write_bytes(flipped)
        assert "message-hash" in refused(copy)


@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"\xff" * 5000])
def test_a_message_cut_off_or_made_up_is_refused(copy, data):
    (copy / MESSAGE_FILE).write_bytes(data)
    assert "message-hash" in refused(copy)


def test_a_longer_message_is_refused_even_with_its_own_hash(copy):

    data = (copy / MESSAGE_FILE).read_bytes() + b"\0"
    (copy / MESSAGE_FILE).write_bytes(data)
    tamper(copy, hashes__message=hashlib.sha256(data).hexdigest())
    assert refused(copy) == {"message"}


def test_another_dataset_is_refused(copy):

    grid = {**json.loads((copy / CERTIFICATE_FILE).read_text())["grid"], "random_labels": True}
    text = json.dumps(Grid.model_validate(grid).model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    tamper(copy, grid=grid, hashes__grid=hashlib.sha256(text.encode()).hexdigest())
    assert refused(copy) == {"data-hash"}


def test_another_grid_than_the_published_one_is_refused(copy, cli):
    """Say of another root seed, hashed and trained for after looking at the first one's result."""
    path = copy / CERTIFICATE_FILE
    assert {check.name for check in verify(path, None, Grid(seed=1).sha256).failures} == {"grid-committed"}
    code, out, _ = cli("verify", str(path), "--grid", SPEC.grid.sha256.upper())
    assert code == 0
    assert f"{SPEC.grid.sha256}: as published\n" in out


def test_one_changed_byte_anywhere_in_the_certificate_is_refused(copy):
    """One bit or more of it, all over the file; white space between two words of JSON is nobody's claim."""
    path = copy / CERTIFICATE_FILE
    content = path.read_bytes()
    for position in range(0, len(content), 47):
        for mask in (1, 16, 2 ** (position % 7) + 1):
            changed = content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]
            path.write_bytes(changed)
            if changed.split() == content.split():
                continue
            try:
                verdict = verify(path)
            except CertificateError:
                continue
            assert not verdict.is_valid, content[position - 40 : position + 40]


@pytest.mark.parametrize(
    "grid",
    [
        {"task": {"name": "no-such-task"}},
        {"task": {"name": "files"}},
        {"task": {"name": "digits"}, "settings": [{"network": "embedding"}]},
        {"task": {"name": "digits"}, "model": {"name": "minilm"}, "settings": [{"network": "plain"}]},
    ],
)
def test_a_grid_that_cannot_be_rebuilt_is_refused_with_its_reason(copy, grid):
    """The message is one the grid can have, so that the checks go on to the rebuilding."""
    path = copy / CERTIFICATE_FILE
    base = json.loads(path.read_text())["grid"]
    new = Grid.model_validate({**base, **grid})
    settings = (new.settings * 2)[:2] if len(new.settings) == 1 else new.settings
    if len(new.settings) == 1:  # two settings, as the message's index expects
        settings = (new.settings[0], new.settings[0].model_copy(update={"projection": "dense"}))
    new = new.model_copy(update={"settings": settings})
    tamper(copy, grid=new.model_dump(mode="json"), hashes__grid=new.sha256)
    assert refused(copy) == {"rebuild"}

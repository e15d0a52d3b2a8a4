"""A certificate from training to the stranger who checks it, on the digits, and everything that a forger may try."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from intrinsic.bounds import nats, occam_binomial
from intrinsic.certificate.certify import GRID_FILE, certify
from intrinsic.certificate.count import MARGIN, MARGIN_OF_CERTIFY
from intrinsic.certificate.message import Terms, decode
from intrinsic.certificate.record import CERTIFICATE_FILE, MAX_CERTIFICATE_BYTES, MESSAGE_FILE, read_certificate
from intrinsic.certificate.spec import CertifySpec, Grid, Setting
from intrinsic.certificate.verify import verify
from intrinsic.errors import CertificateError, SpecError
from intrinsic.spec import OptimSpec, TaskSpec

SETTINGS = (Setting(network="gabor"), Setting(network="gabor", projection="fastfood"))
OPTIM = OptimSpec(learning_rate=0.2, epochs=20, batch_size=128, eval_batch_size=1024)
SPEC = CertifySpec(grid=Grid(settings=SETTINGS, seeds=2), dims=(150,), rates=(4.0,), trained_seeds=1, optim=OPTIM)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The folder of a certificate for the digits."""
    folder = tmp_path_factory.mktemp("digits")
    certify(SPEC, folder)
    return folder


@pytest.fixture
def copy(made, tmp_path) -> Path:
    """Its files, to be tampered with."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def tamper(folder: Path, **changes: object) -> Path:
    """certificate.json with some fields changed; a dotted name, with __ for the dot, reaches inside."""
    path = folder / CERTIFICATE_FILE
    tree = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, leaf = name.split("__")
        node = tree
        for parent in parents:
            node = node[int(parent) if isinstance(node, list) else parent]
        node[leaf] = value
    path.write_text(json.dumps(tree))
    return path


def refused(folder: Path) -> set[str]:
    return {check.name for check in verify(folder / CERTIFICATE_FILE).failures}


def test_the_digits_are_certified_below_half_and_another_process_says_valid(made):
    certificate = read_certificate(made / CERTIFICATE_FILE)
    assert not certificate.is_vacuous
    assert certificate.bound < 0.5
    command = [sys.executable, "-c", "import sys; from intrinsic_cli.main import main; sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run(
        [*command, "verify", str(made / CERTIFICATE_FILE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"valid: {certificate.statement}" in done.stdout


def test_the_bound_is_that_of_the_bits_in_the_file(made):
    certificate = read_certificate(made / CERTIFICATE_FILE)
    data = (made / MESSAGE_FILE).read_bytes()
    assert len(data) == math.ceil(certificate.bits / 8)
    assert sum(certificate.ledger.values()) == certificate.bits
    train = certificate.train
    assert certificate.bound == occam_binomial(train.errors, nats(certificate.bits), train.samples, 0.05)
    assert train.errors / train.samples < certificate.bound
    assert sum(certificate.delta.values()) == certificate.grid.delta


def test_the_table_has_the_reference_and_calls_the_asymptotic_no_bound(made):
    rows = {row.name: row for row in read_certificate(made / CERTIFICATE_FILE).bounds}
    assert rows["occam-binomial"].value <= rows["occam-kl"].value <= rows["occam-hoeffding"].value
    assert rows["test-set"].value < rows["occam-binomial"].value
    assert "NOT A BOUND" in rows["sqrt(d/m)"].note
    assert rows["sqrt(d/m)"].value == pytest.approx(math.sqrt(150 / 1438))
    free = {name for name, row in rows.items() if row.bits == rows["occam-binomial"].bits}
    assert free == {"occam-binomial", "occam-kl", "occam-hoeffding", "theorem-1"}  # the others pay for their theorem


def test_what_is_counted_is_what_the_message_decodes_to(made):
    """An independent recount: theta = values[levels] through the projection, as one matrix over the features."""
    from intrinsic.certificate.networks import Bench
    from intrinsic.projections import make_projection
    from intrinsic.seeds import derive, name_key

    certificate = read_certificate(made / CERTIFICATE_FILE)
    message, _ = decode((made / MESSAGE_FILE).read_bytes(), Terms(settings=2, seeds=2))
    setting = certificate.grid.settings[message.setting]
    bench = Bench.open(certificate.grid, TaskSpec(name="digits"))
    split = bench.network(setting, 0).prepared[0].train
    width = split.features.shape[1]
    seed = derive(0, "certificate", "projection", message.seed)
    projection = make_projection(setting.projection, 150, seed, full_dim=10 * width + 10)
    theta = torch.tensor(message.values, dtype=torch.float64)[torch.tensor(message.levels)]
    weight = (projection.to_dense(name_key("classifier.weight"), 10 * width) @ theta).reshape(10, width)
    bias = projection.to_dense(name_key("classifier.bias"), 10) @ theta
    logits = (split.features.double() @ weight.T + bias) / math.sqrt(width)
    wrong = int((logits.argmax(dim=1) != split.labels).sum())
    assert abs(wrong - certificate.train.errors) <= 3  # scales are rounded to 8 digits


def test_random_labels_certify_nothing(tmp_path):
    grid = Grid(settings=(Setting(network="gabor"),), random_labels=True)
    optim = OPTIM.model_copy(update={"epochs": 5.0})
    certificate = certify(CertifySpec(grid=grid, dims=(150,), optim=optim), tmp_path)
    assert certificate.is_vacuous
    assert certificate.bound > 0.89
    assert verify(tmp_path / CERTIFICATE_FILE).is_valid


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"train__samples": 1400}, "bound"),
        ({"train__errors": 3}, "bound"),
        ({"bits": 100}, "message-length"),
        ({"bits": 3000}, "message-length"),
        ({"ledger": {"levels": 1}}, "ledger"),
        ({"subspace_dim": 10}, "subspace-dim"),
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
    from intrinsic.certificate.table import Evidence, rows_of

    old = read_certificate(folder / CERTIFICATE_FILE)
    train = {**old.train.model_dump(), **counts}
    evidence = Evidence(train["errors"], train["samples"], old.bits, 0.05)
    rows = rows_of(evidence, old.subspace_dim, (old.test.errors, old.test.samples))
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
    import hashlib

    from intrinsic.certificate.build import rebuild
    from intrinsic.certificate.count import count_errors
    from intrinsic.certificate.message import encode
    from intrinsic.certificate.networks import Bench

    old = read_certificate(folder / CERTIFICATE_FILE)
    terms = Terms(settings=2, seeds=2)
    message, _ = decode((folder / MESSAGE_FILE).read_bytes(), terms)
    message = replace(message, values=tuple(factor * value for value in message.values))
    encoded = encode(message, terms)
    (folder / MESSAGE_FILE).write_bytes(encoded.data)
    network = rebuild(Bench.open(old.grid, TaskSpec(name="digits")), message)
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


def test_certify_asks_for_more_margin_than_verify(made, tmp_path, monkeypatch):
    """So much more here that it must show."""
    assert MARGIN_OF_CERTIFY == 2 * MARGIN
    monkeypatch.setattr("intrinsic.certificate.certify.MARGIN_OF_CERTIFY", 1.0)
    wide = certify(SPEC, tmp_path)
    assert wide.train.errors > read_certificate(made / CERTIFICATE_FILE).train.errors
    told = {check.name: check for check in verify(tmp_path / CERTIFICATE_FILE).checks}
    assert told["errors"].passed
    assert f"{wide.train.errors} are claimed and paid for" in told["errors"].told


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
    import hashlib

    data = (copy / MESSAGE_FILE).read_bytes() + b"\0"
    (copy / MESSAGE_FILE).write_bytes(data)
    tamper(copy, hashes__message=hashlib.sha256(data).hexdigest())
    assert refused(copy) == {"message"}


def test_another_dataset_is_refused(copy):
    import hashlib

    grid = {**json.loads((copy / CERTIFICATE_FILE).read_text())["grid"], "random_labels": True}
    text = json.dumps(Grid.model_validate(grid).model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    tamper(copy, grid=grid, hashes__grid=hashlib.sha256(text.encode()).hexdigest())
    assert refused(copy) == {"data-hash"}


HOSTILE = {
    "nothing": b"",
    "cut": b'{"format": "intrinsic-certificate", "ver',
    "list": b"[]",
    "deep": b"[" * 100_000,
    "number": b'{"bound": ' + b"9" * 100_000 + b"}",
    "infinite": b'{"bound": 1e999}',
    "nan": b'{"bound": NaN}',
    "latin": b"\xff\xfe{}",
    "large": b" " * (MAX_CERTIFICATE_BYTES + 1),
    "twice": b'{"bound": 0.01, "bound": 0.3}',
    "longer digits": b'{"bound": 0.30000000000000000001}',
    "key of two lines": b'{"valid: 0\\nvalid: 1": 1, "\\u001b[2J": 0}',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_certificate_is_one_sentence(copy, content, cli):
    (copy / CERTIFICATE_FILE).write_bytes(content)
    code, out, err = cli("verify", str(copy / CERTIFICATE_FILE))
    assert code == 2
    assert out == ""
    assert err.startswith("intrinsic: ")
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("field", ["bound", "theorem", "errors", "decoder", "seeds", "grid"])
def test_a_key_that_stands_twice_is_refused(copy, field):
    """Whichever of the two is true: one reader takes the first, another the last."""
    path = copy / CERTIFICATE_FILE
    text = path.read_text()
    place = text.index(f'"{field}": ')
    path.write_text(f'{text[:place]}"{field}": 0, {text[place:]}')
    with pytest.raises(CertificateError, match=f"expected every key once, got '{field}' 2 times; leave one"):
        verify(path)


FORGED_LINE = "no\nvalid: With probability 1 it never errs.\r\x1b[2J\u202e\x85"


@pytest.mark.parametrize(
    "changes",
    [
        {"statement": FORGED_LINE},
        {"assumptions": [FORGED_LINE]},
        {"ledger": {FORGED_LINE: 1}},
        {"delta": {FORGED_LINE: 0.05}},
        {"bounds__3__note": FORGED_LINE},
        {"theorem": FORGED_LINE},
        {FORGED_LINE: 1},
    ],
)
def test_what_a_forger_wrote_is_shown_in_one_line_without_control_characters(copy, cli, changes):
    tamper(copy, **changes)
    code, out, err = cli("verify", str(copy / CERTIFICATE_FILE))
    assert code == 2
    assert not {line for line in (out + err).splitlines() if line.startswith("valid")}
    assert all(character.isprintable() for character in (out + err).replace("\n", ""))
    assert len(err.splitlines()) == 1
    assert "no\\n" in err


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


def test_verify_says_what_is_taken_for_granted(made, cli):
    code, out, _ = cli("verify", str(made / CERTIFICATE_FILE))
    assert code == 0
    assert "gabor features of images under a linear layer, hashed projection, DID" in out
    assert "if what it assumes holds: that cannot be checked here" in out
    assert f"{SPEC.grid.sha256}: ask where it was published before training" in out
    assert all(f"{line}\n" in out for line in read_certificate(made / CERTIFICATE_FILE).assumptions)


@pytest.mark.parametrize(
    "changes",
    [
        {"bound": "0.1"},
        {"version": 1},
        {"versions": {"torch": "2.13.0"}},
        {"train__narrow": 1},
        {"bits": -1},
        {"bits": 2**70},
        {"train__samples": 0},
        {"train__samples": True},
        {"grid__seeds": 2**40},
        {"grid__settings": []},
        {"grid__settings": [{"network": "gabor", "hidden": 10**9}]},
        {"grid__settings": [{"projection": "__import__('os')"}]},
        {"grid__model": {"name": "x", "trust_remote_code": True}},
        {"grid__task": {"name": "digits", "exec": "1"}},
        {"surplus": 1},
    ],
)
def test_fields_of_another_kind_are_refused(copy, changes):
    tamper(copy, **changes)
    with pytest.raises(CertificateError, match="is no certificate"):
        verify(copy / CERTIFICATE_FILE)


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


def test_a_directory_or_nothing_is_one_sentence(tmp_path, cli):
    for path in (tmp_path, tmp_path / "absent.json", Path("a\0b")):
        code, _, err = cli("verify", str(path))
        assert (code, len(err.splitlines())) == (2, 1)


def test_the_grid_is_written_before_training_and_another_one_is_refused(made, tmp_path):
    frozen = json.loads((made / GRID_FILE).read_text())
    assert frozen["sha256"] == SPEC.grid.sha256 == read_certificate(made / CERTIFICATE_FILE).hashes.grid
    with pytest.raises(SpecError, match="holds another grid"):
        certify(SPEC.model_copy(update={"grid": Grid(seed=9)}), made)

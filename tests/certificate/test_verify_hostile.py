"""Whatever a file holds, `verify` says in one sentence that it is no certificate, and shows nothing that misleads."""

from __future__ import annotations

from pathlib import Path

import pytest
from certified_digits import tamper

from intrinsic.certificate.record import CERTIFICATE_FILE, MAX_CERTIFICATE_BYTES
from intrinsic.certificate.verify import verify
from intrinsic.errors import CertificateError

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
        {"dim": 150},  # the file calls it subspace_dim
    ],
)
def test_fields_of_another_kind_are_refused(copy, changes):
    tamper(copy, **changes)
    with pytest.raises(CertificateError, match="is no certificate"):
        verify(copy / CERTIFICATE_FILE)


def test_a_directory_or_nothing_is_one_sentence(tmp_path, cli):
    for path in (tmp_path, tmp_path / "absent.json", Path("a\0b")):
        code, _, err = cli("verify", str(path))
        assert (code, len(err.splitlines())) == (2, 1)

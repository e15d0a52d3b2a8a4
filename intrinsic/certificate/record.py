"""The file certificate.json: what is claimed, everything needed to check it, and a reader that trusts none of it."""

from __future__ import annotations

import html
import json
import math
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, ValidationError

from intrinsic.bounds.arguments import MAX_SAMPLES
from intrinsic.certificate.codes.bits import MAX_MESSAGE_BYTES
from intrinsic.certificate.codes.shape import MOST_LEVELS
from intrinsic.certificate.spec import Grid
from intrinsic.certificate.table import TableRow
from intrinsic.errors import CertificateError
from intrinsic.spec import Frozen, first_complaint
from intrinsic.subspace.artefact import Hex64

CERTIFICATE_FILE, MESSAGE_FILE = "certificate.json", "message.bin"
MAX_CERTIFICATE_BYTES = 2**20
"""The longest file that is read."""

Count = Annotated[int, Field(ge=0, le=MAX_SAMPLES, strict=True)]
Bits = Annotated[int, Field(ge=0, le=8 * MAX_MESSAGE_BYTES, strict=True)]


class Counted(Frozen):
    """Errors and examples of a split, counted after decoding: see :func:`intrinsic.certificate.count.count_errors`."""

    errors: Count
    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES, strict=True)]


class Hashes(Frozen):
    """SHA-256 hashes, hexadecimal."""

    grid: Hex64
    message: Hex64
    data: Hex64
    """The hash of the examples, both splits: :attr:`intrinsic.tasks.base.Task.fingerprint`."""
    weights: str = Field(pattern=r"^[0-9a-f]{64}([0-9a-f]{64})?$")
    """The hash of theta_0, followed by that of the frozen pretrained model below it where there is one."""


class Certificate(Frozen):
    """A claim: with probability 1 - delta over the draw of the training examples the error rate is at most `bound`.

    There is no field that `verify` does not check.
    """

    format: Literal["intrinsic-certificate"] = "intrinsic-certificate"
    version: Literal[2] = 2
    """The version of this file and its words, which `verify` compares; that of the message is the grid's `decoder`."""
    theorem: Literal["occam-binomial"] = "occam-binomial"
    statement: str = Field(max_length=2000)
    bound: float = Field(ge=0, le=1, allow_inf_nan=False, strict=True)
    delta: dict[str, float]
    """The shares of delta, by the theorem that each is spent on."""
    bits: Bits
    """The bits charged: all of the message but the zeros that fill its last byte."""
    ledger: dict[str, Bits]
    """The bits of each part of the message."""
    dim: int = Field(ge=0, le=MOST_LEVELS, strict=True, alias="subspace_dim")
    """The number of coordinates; the file calls it subspace_dim."""
    full_dim: Count
    """The number of weights that the coordinates move."""
    train: Counted
    test: Counted
    constant_errors: Count
    """The number of training examples outside of the commonest class."""
    hashes: Hashes
    grid: Grid
    bounds: tuple[TableRow, ...] = Field(max_length=64)
    assumptions: tuple[str, ...] = Field(max_length=64)

    @property
    def is_vacuous(self) -> bool:
        """Whether always answering the commonest class of the training examples errs no more than the bound allows."""
        return self.bound >= self.constant_errors / self.train.samples

    def _repr_html_(self) -> str:
        """The certificate in lines, as a notebook shows it."""
        text = "\n".join(lines_of(self)).strip("\n")
        return f"<pre>{html.escape(printable(text, ends=True))}</pre>"


def lines_of(certificate: Certificate) -> Iterator[str]:
    """The lines: every bound and its bits, the message's bits part by part, the errors, the assumptions, the claim."""
    train, test = certificate.train, certificate.test
    yield ""
    yield f"{'bound':<22} {'error at most':>13} {'bits':>10}"
    for row in certificate.bounds:
        note = f"  {row.note}" if row.note else ""
        yield f"{row.name:<22} {row.value:>13.4f} {row.bits:>10.1f}{note}"
    yield ""
    parts = ", ".join(f"{part} {bits}" for part, bits in certificate.ledger.items())
    yield f"message        {certificate.bits} bits: {parts}"
    yield f"subspace       {certificate.dim:,} coordinates that move {certificate.full_dim:,} weights"
    yield f"training       {train.errors} errors in {train.samples}"
    yield f"test           {test.errors} errors in {test.samples}"
    yield f"majority       {certificate.constant_errors / train.samples:.4f} error if always the commonest class"
    yield from assumed(certificate)
    yield f"certified      {certificate.statement}"
    if certificate.is_vacuous:
        yield "VACUOUS        the commonest class alone errs no more than this allows: nothing is certified"


def assumed(certificate: Certificate) -> Iterator[str]:
    """The assumptions, a line each."""
    for number, assumption in enumerate(certificate.assumptions):
        yield f"{'' if number else 'assumes':<14} {assumption}"


def to_text(certificate: Certificate) -> str:
    """The certificate as JSON, with the shortest digits that give every double back."""
    return json.dumps(certificate.model_dump(mode="json", by_alias=True), indent=2, allow_nan=False) + "\n"


def read_certificate(path: Path) -> Certificate:
    """Read a certificate. Raises CertificateError, and nothing else, whatever the file holds."""
    text = read_bytes(path, MAX_CERTIFICATE_BYTES)
    try:
        tree = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_distinct)
        return Certificate.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        raise CertificateError(f"{path} is no certificate ({printable(first_complaint(error))})") from None
    except (ValueError, RecursionError) as error:
        raise CertificateError(f"{path} is not JSON ({printable(str(error)[:200])})") from None


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes; a pipe or a device is refused unopened."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CertificateError(f"{path} is not a regular file; give the certificate.json that `certify` wrote")
        if status.st_size > limit:
            raise CertificateError(f"expected at most {limit} bytes in {path}, got {status.st_size}")
        with path.open("rb") as file:
            return file.read(limit)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CertificateError(f"cannot read {path} ({why}); give the certificate.json that `certify` wrote") from None


def printable(text: str, *, ends: bool = False) -> str:
    """The text as a terminal shows it: what is no letter becomes its escape, and line ends too unless `ends`."""
    return "".join(c if c.isprintable() or (ends and c == "\n") else ascii(c)[1:-1] for c in text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that stands twice would show one reader one value and another reader the other."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in tree if keys.count(key) > 1)
        raise ValueError(f"expected every key once, got {twice!r} {keys.count(twice)} times; leave one value a key")
    return tree


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    """A double by the shortest digits that give it: other digits beside them would be a change that decides nothing."""
    number = float(digits)
    if not math.isfinite(number):
        _no_constant(digits[:40])
    if repr(number) != digits:
        raise ValueError(f"expected the number {number!r} written so, got {digits[:40]}; copy the file again")
    return number

"""Check a certificate from its two files, the data and nothing else: decode, rebuild, recount, recompute."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path

from intrinsic.certificate.assumptions import assumptions_of, statement
from intrinsic.certificate.build import rebuild
from intrinsic.certificate.certify import constant_errors, full_dim, terms_of
from intrinsic.certificate.codes.bits import MAX_MESSAGE_BYTES
from intrinsic.certificate.count import Counts, count_errors
from intrinsic.certificate.message import Encoded, Message, decode
from intrinsic.certificate.networks import Network, NetworkBuilder
from intrinsic.certificate.record import MESSAGE_FILE, Certificate, Counted, printable, read_bytes, read_certificate
from intrinsic.certificate.spec import DECODER_VERSION, Grid
from intrinsic.certificate.table import CERTIFIED, Evidence, TableRow, certified, rows_of
from intrinsic.errors import CertificateError, IntrinsicError
from intrinsic.tasks.base import Task


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    passed: bool
    told: str
    """Words for what was found, or for what was expected and what came instead; fit to be shown on a terminal."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "told", printable(self.told))  # a forger may have written it


@dataclass(frozen=True)
class Verdict:
    """The checks in the order they were made; those after a failure that makes them meaningless are left out."""

    certificate: Certificate
    checks: tuple[Check, ...]

    @property
    def is_valid(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def _repr_html_(self) -> str:
        """The checks as a table, as a notebook shows them."""
        rows = [("ok" if check.passed else "refused", check.name, check.told) for check in self.checks]
        cells = ("".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) for row in rows)
        title = f"Certificate: {'valid' if self.is_valid else 'refused'}"
        table = "\n".join(f"<tr>{row}</tr>" for row in cells)
        return f"<div><h4>{escape(title)}</h4>\n<table><tbody>\n{table}\n</tbody></table></div>"


def verify(path: str | PathLike[str], data_dir: str | None = None, grid_sha256: str | None = None) -> Verdict:
    """Check a certificate, whose message.bin lies beside it, against its data and say what holds of it.

    grid_sha256: the grid's hash as it was published before training. The certificate alone cannot show that its grid,
    with the root seed and delta, was not chosen afterwards.

    First what the files alone show (grid, message, lengths, bounds); only if all that holds are data and model loaded,
    theta_0 rebuilt and the errors counted again. Raises CertificateError for a file that is no certificate.
    """
    file = Path(path)
    certificate = read_certificate(file)
    data = read_bytes(file.with_name(MESSAGE_FILE), MAX_MESSAGE_BYTES)
    checks = [*_check_commitment(certificate, grid_sha256), *_check_files(certificate, data)]
    if all(check.passed for check in checks):
        checks += _guarded(certificate, data, data_dir)
    return Verdict(certificate, tuple(checks))


def _check_commitment(certificate: Certificate, published: str | None) -> Iterator[Check]:
    if published is not None:
        yield _same("grid-committed", published.strip().lower(), certificate.grid.sha256)


def _check_files(certificate: Certificate, data: bytes) -> Iterator[Check]:
    grid, hashes = certificate.grid, certificate.hashes
    yield _same("decoder", DECODER_VERSION, grid.decoder)
    yield _same("grid-hash", grid.sha256, hashes.grid)
    yield _same_parts("delta", {CERTIFIED: grid.delta}, certificate.delta)
    yield _same("message-hash", hashlib.sha256(data).hexdigest(), hashes.message)
    try:
        message, encoded = decode(data, terms_of(grid))
    except CertificateError as error:
        yield Check("message", False, str(error))
        return
    yield _same("message-length", encoded.bits, certificate.bits, "bits")
    yield _same_parts("ledger", encoded.ledger, certificate.ledger)
    yield _same("dim", len(message.levels), certificate.dim)
    if any(split.errors > split.samples for split in (certificate.train, certificate.test)):
        yield Check("counts", False, "more errors than examples are claimed")
        return
    yield from _check_bounds(certificate, encoded)


def _check_bounds(certificate: Certificate, encoded: Encoded) -> Iterator[Check]:
    """The bounds, computed from the counts that are claimed; the counts themselves come later."""
    train, delta = certificate.train, certificate.grid.delta
    evidence = Evidence(train.errors, train.samples, encoded.bits, delta)
    yield _same("bound", certified(evidence), certificate.bound)
    test = certificate.test
    rows = rows_of(evidence, certificate.dim, (test.errors, test.samples))
    yield _same_parts("other-bounds", _lines(rows), _lines(certificate.bounds))


def _lines(rows: tuple[TableRow, ...]) -> dict[str, str]:
    """The rows in their order, as the first is what is certified; with their notes, as one says that it is no bound."""
    return {
        f"{place}. {row.name}": f"{row.value!r} at {row.bits!r} bits" + (f" ({row.note})" if row.note else "")
        for place, row in enumerate(rows, 1)
    }


def _guarded(certificate: Certificate, data: bytes, data_dir: str | None) -> list[Check]:
    """The checks that load data and weights; whatever a hostile grid makes them raise is a refusal."""
    checks: list[Check] = []
    try:
        checks.extend(_check_function(certificate, data, data_dir))
    except IntrinsicError as error:
        checks.append(Check("rebuild", False, str(error)))
    except (RuntimeError, MemoryError, ValueError, OverflowError, TypeError) as error:
        checks.append(Check("rebuild", False, f"the grid cannot be rebuilt here ({type(error).__name__})"))
    return checks


def _check_function(certificate: Certificate, data: bytes, data_dir: str | None) -> Iterator[Check]:
    message, _ = decode(data, terms_of(certificate.grid))
    builder = NetworkBuilder.open(certificate.grid, certificate.grid.task.model_copy(update={"data_dir": data_dir}))
    yield _same("samples", builder.task.num_train, certificate.train.samples, "training examples")
    yield _same("test-samples", builder.task.num_eval, certificate.test.samples, "test examples")
    found = _same("data-hash", builder.task.fingerprint, certificate.hashes.data)
    yield found
    if not found.passed:
        return
    yield _same("majority", constant_errors(builder.task), certificate.constant_errors, "errors of a constant answer")
    network = rebuild(builder, message)
    yield Check("classifier", True, _classifier(certificate.grid, message))
    yield from _check_words(certificate, builder.task, message)
    yield _same("full-dim", full_dim(builder, message), certificate.full_dim, "parameters")
    found = _same("weights-hash", network.weights_sha256, certificate.hashes.weights)
    yield found
    if found.passed:
        yield from _check_counts(network, certificate)


def _classifier(grid: Grid, message: Message) -> str:
    """The setting of the grid that the message names, in words."""
    setting = grid.settings[message.setting]
    layers = f"with {setting.hidden} hidden units" if setting.hidden else "under a linear layer"
    model = grid.model.name if setting.network != "gabor" else "images"
    theta_0 = f"all of {model}" if setting.network == "plain" else f"{setting.network} features of {model} {layers}"
    return f"{theta_0}, {setting.projection} projection, {'SAID' if setting.structure_aware else 'DID'}"


def _check_words(certificate: Certificate, task: Task, message: Message) -> Iterator[Check]:
    """Check that the words say what the numbers do, and leave out nothing that they take for granted."""
    grid = certificate.grid
    yield _same("statement", statement(certificate.bound, grid.delta, task), certificate.statement)
    assumed = assumptions_of(grid, task, grid.settings[message.setting])
    claimed = certificate.assumptions
    missing = [line for line in assumed if line not in claimed]
    more = [line for line in claimed if line not in assumed]
    told = "; ".join([*(f"missing: {line}" for line in missing), *(f"not ours: {line}" for line in more)])
    if not told and assumed != claimed:
        told = f"expected each of the {len(assumed)} once and in order, got {len(claimed)} others or in another order"
    yield Check("assumptions", not told, told or f"{len(assumed)}, none left out")


def _check_counts(network: Network, certificate: Certificate) -> Iterator[Check]:
    """Fewer errors than claimed do no harm, as a bound for more holds for fewer; a single one more is refused."""
    for name, split, claimed in (("errors", "train", certificate.train), ("test-errors", "eval", certificate.test)):
        counts = count_errors(network, split)
        yield Check(name, counts.errors <= claimed.errors, _told(counts, claimed))


def _told(counts: Counts, claimed: Counted) -> str:
    found = f"{counts.errors} errors in {counts.samples} after decoding, {counts.narrow} of them right but narrowly"
    if counts.errors > claimed.errors:
        return f"expected {found}, got {claimed.errors}"
    return found if counts.errors == claimed.errors else f"{found}; {claimed.errors} are claimed and paid for"


def _same(name: str, expected: object, got: object, unit: str = "") -> Check:
    if expected == got:
        return Check(name, True, f"{_short(expected)} {unit}".rstrip())
    return Check(name, False, f"expected {_short(expected)} {unit}".rstrip() + f", got {_short(got)}")


def _same_parts(name: str, expected: Mapping[str, object], got: Mapping[str, object]) -> Check:
    """The same for mappings; only what differs is told."""
    if expected == got:
        return Check(name, True, _parts(expected))
    wrong = [key for key in {**expected, **got} if expected.get(key) != got.get(key)]
    return Check(
        name,
        False,
        f"expected {_parts({key: expected.get(key, 'none') for key in wrong})}, "
        f"got {_parts({key: got.get(key, 'none') for key in wrong})}",
    )


def _parts(parts: Mapping[str, object]) -> str:
    return _short(", ".join(f"{key} {value}" for key, value in parts.items()))


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= 400 else f"{text[:400]}..."

"""A certificate in lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from intrinsic.certificate.record import Certificate


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

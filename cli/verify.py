"""`intrinsic verify`."""

from __future__ import annotations

from pathlib import Path

import typer

from intrinsic.certificate.verify import verify
from intrinsic.errors import CertificateError

from .certificate_lines import assumed


def run(
    certificate: Path = typer.Argument(metavar="CERTIFICATE", help="certificate.json; message.bin lies beside it."),
    data_dir: str | None = typer.Option(None, metavar="PATH", help="Folder with the data, instead of the Hub."),
) -> None:
    """Decode, rebuild, recount, recompute; say valid, or exactly what is not."""
    verdict = verify(certificate, data_dir)
    for check in verdict.checks:
        typer.echo(f"{'ok     ' if check.passed else 'REFUSED'} {check.name:<15} {check.told}")
    if not verdict.is_valid:
        told = "; ".join(f"{check.name}: {check.told}" for check in verdict.failures)
        raise CertificateError(f"not valid: {told}")
    typer.echo(f"valid: {verdict.certificate.statement}")
    for line in assumed(verdict.certificate):
        typer.echo(line)
    if verdict.certificate.is_vacuous:
        typer.echo("vacuous: the commonest class alone errs no more than that")

"""`intrinsic verify`: the check of a certificate."""

from __future__ import annotations

from pathlib import Path

import typer

from intrinsic.certificate.record import assumed
from intrinsic.certificate.verify import verify
from intrinsic.errors import CertificateError


def run(
    certificate: Path = typer.Argument(metavar="CERTIFICATE", help="certificate.json; message.bin lies beside it."),
    data_dir: str | None = typer.Option(None, metavar="PATH", help="Folder with the data, instead of the Hub."),
    grid: str | None = typer.Option(
        None, metavar="SHA256", help="The grid's hash as it was published before training; another grid is refused."
    ),
) -> None:
    """Check a certificate; print that it is valid, or what is not."""
    verdict = verify(certificate, data_dir, grid)
    for check in verdict.checks:
        typer.echo(f"{'ok     ' if check.passed else 'REFUSED'} {check.name:<15} {check.told}")
    if not verdict.is_valid:
        told = "; ".join(f"{check.name}: {check.told}" for check in verdict.failures)
        raise CertificateError(f"not valid: {told}")
    for line in assumed(verdict.certificate):
        typer.echo(line)
    known = "as published" if grid else "ask where it was published before training, and give it as --grid"
    typer.echo(f"grid           {verdict.certificate.grid.sha256}: {known}")
    typer.echo(f"valid: {verdict.certificate.statement}")
    typer.echo("       if what it assumes holds: that cannot be checked here")
    if verdict.certificate.is_vacuous:
        typer.echo("vacuous: the commonest class alone errs no more than that")

"""`intrinsic certify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console

from intrinsic.certificate.certify import Outcome, certify
from intrinsic.certificate.record import CERTIFICATE_FILE, MESSAGE_FILE
from intrinsic.certificate.spec import CertifySpec
from intrinsic.errors import SpecError
from intrinsic.spec import first_complaint

from .certificate_lines import lines_of
from .flags import folder_name
from .resolve import read_config

Tree = dict[str, Any]
DEFAULTS = CertifySpec()
HEADER = f"{'setting':>7} {'seed':>5} {'d':>6} {'levels':>6} {'rate':>6} {'errors':>8} {'bits':>6} {'bound':>8}"


def _default(values: tuple[float, ...]) -> str:
    return f"Default: {','.join(f'{value:g}' for value in values)}."


def run(
    *,
    config: Path | None = typer.Option(None, metavar="FILE", help="A YAML file with the settings; flags go on top."),
    task: str | None = typer.Option(None, metavar="NAME", help="Task; see `intrinsic ls tasks`. Default: digits."),
    data_dir: str | None = typer.Option(None, metavar="PATH", help="Folder with the data, instead of the Hub."),
    limit: int | None = typer.Option(None, metavar="N", help="Training examples used."),
    model: str | None = typer.Option(None, metavar="NAME", help="For networks plain and embedding. Default: mlp."),
    network: str | None = typer.Option(None, metavar="plain|gabor|embedding", help="What lies at theta_0."),
    hidden: int | None = typer.Option(None, metavar="N", help="Hidden units over frozen features; 0: a linear layer."),
    projection: str | None = typer.Option(
        None, metavar="NAME", help="See `intrinsic ls projections`. Default: hashed."
    ),
    said: bool | None = typer.Option(None, "--said/--did", help="A trained and paid factor a tensor, or none."),
    dims: str | None = typer.Option(None, metavar="N[,N..]", help=f"Dimensions tried. {_default(DEFAULTS.dims)}"),
    levels: str | None = typer.Option(
        None, metavar="N[,N..]", help=f"Numbers of levels tried; 3 is ternary. {_default(DEFAULTS.kinds)}"
    ),
    rate: str | None = typer.Option(
        None, metavar="X[,X..]", help=f"Weights of the bits in the loss, times 1/m. {_default(DEFAULTS.rates)}"
    ),
    learning_rate: float | None = typer.Option(
        None, metavar="X", help=f"Of AdamW. Default: {DEFAULTS.optim.learning_rate:g}."
    ),
    epochs: float | None = typer.Option(
        None, metavar="X", help=f"Passes over the training data. Default: {DEFAULTS.optim.epochs:g}."
    ),
    seeds: int | None = typer.Option(None, metavar="N", help="Seeds tried and paid for: the best of 2^s costs s bits."),
    seed: int | None = typer.Option(None, metavar="N", help="Root of all random numbers."),
    delta: float | None = typer.Option(
        None, metavar="X", help=f"Probability with which the bound may fail. Default: {DEFAULTS.grid.delta:g}."
    ),
    random_labels: bool | None = typer.Option(None, "--random-labels", help="Sanity: nothing can be certified then."),
    output_dir: Path | None = typer.Option(
        None, metavar="PATH", help="Folder for the files; default certificates/<task>.", parser=folder_name
    ),
) -> None:
    """Train in a subspace, code what was trained, and bound the error by the length of the code."""
    setting = {"network": network, "hidden": hidden, "projection": projection, "structure_aware": said}
    grid: Tree = {"task": {"name": task, "limit": limit}, "model": {"name": model}, "seeds": seeds, "seed": seed}
    grid |= {"delta": delta, "random_labels": random_labels, "settings": setting}
    optim = {"learning_rate": learning_rate, "epochs": epochs}
    flags: Tree = {"grid": grid, "data_dir": data_dir, "optim": optim}
    flags |= {"dims": _list(dims), "kinds": _list(levels), "rates": _list(rate)}
    spec = resolve(flags, config)
    folder = output_dir or Path("certificates") / spec.grid.task.name
    console = Console(highlight=False, markup=False, soft_wrap=True)
    held = f"{_counted(len(spec.grid.settings), 'setting')}, {_counted(spec.grid.seeds, 'seed')}"
    console.print(f"grid {spec.grid.sha256}: {held}, fixed now")
    console.print(HEADER)
    certificate = certify(spec, folder, lambda outcome: console.print(_row(outcome)))
    for line in lines_of(certificate):
        console.print(line)
    console.print(f"files          {folder}: {CERTIFICATE_FILE}, {MESSAGE_FILE}; intrinsic verify checks them")


def resolve(flags: Tree, config: Path | None) -> CertifySpec:
    """Defaults, below the file's settings, below the flags. Raises SpecError of one sentence."""
    tree = CertifySpec().model_dump(mode="json")
    for layer in ({} if config is None else read_config(config), flags):
        tree = _merge(tree, layer)
    try:
        return CertifySpec.model_validate(tree)
    except ValidationError as error:
        raise SpecError(first_complaint(error)) from None


def _merge(below: Tree, above: Tree) -> Tree:
    """What is None was not given. A flag of a setting goes into every setting of the grid."""
    merged = dict(below)
    for key, value in above.items():
        held = below.get(key)
        if isinstance(value, dict) and isinstance(held, list):
            merged[key] = [_merge(row, value) for row in held]
        elif isinstance(value, dict) and isinstance(held, dict):
            merged[key] = _merge(held, value)
        elif value is not None:
            merged[key] = value
    return merged


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _list(given: str | None) -> list[str] | None:
    return None if given is None else [part.strip() for part in given.split(",")]


def _row(outcome: Outcome) -> str:
    tried = outcome.candidate
    start = f"{tried.setting:>7} {tried.seed:>5} {tried.dim:>6} {tried.kinds:>6} {tried.rate:>6g}"
    if outcome.counts is None or outcome.encoded is None or outcome.bound is None:
        return f"{start} diverged"
    return f"{start} {outcome.counts.errors:>8} {outcome.encoded.bits:>6} {outcome.bound:>8.4f}"

"""`intrinsic certify`: a bound on the error that a third party can check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from intrinsic.certificate.certify import Outcome, certify
from intrinsic.certificate.record import CERTIFICATE_FILE, MESSAGE_FILE, lines_of
from intrinsic.certificate.spec import CertifySpec
from intrinsic.errors import SpecError
from intrinsic.models import is_here
from intrinsic.problems import PROBLEMS
from intrinsic.tasks import check_task

from .flags import Flag, flags_of, folder_name, layer, takes_spec_flags
from .resolve import Form, Tree, lay_over, read_config, to_yaml
from .running import RUN

PANELS: dict[str, tuple[Flag, ...]] = {
    "Task and network": (
        Flag("--task", "grid.task.name", "Task; see `intrinsic ls tasks`.", metavar="NAME"),
        Flag("--data-dir", "data_dir", "Folder or file with the data, instead of the Hub.", metavar="PATH"),
        Flag("--limit", "grid.task.limit", "Training examples used; `none`: all.", metavar="N"),
        Flag("--model", "grid.model.name", "For networks plain and embedding.", metavar="NAME"),
        Flag("--network", "grid.settings.network", "The network at theta_0.", metavar="plain|gabor|embedding"),
        Flag(
            "--hidden",
            "grid.settings.hidden",
            "Hidden units over frozen features; 0: a linear layer.",
            "integer",
            "N",
        ),
        Flag("--projection", "grid.settings.projection", "See `intrinsic ls projections`.", metavar="NAME"),
        Flag(
            "--said/--did",
            "grid.settings.structure_aware",
            "A trained and paid factor for each tensor (SAID), or none (DID).",
            "switch",
        ),
    ),
    "Candidates and training": (
        Flag("--dims", "dims", "Numbers of coordinates tried.", "list", "N[,N..]"),
        Flag("--levels", "kinds", "Numbers of levels tried; 3 is ternary.", "list", "N[,N..]"),
        Flag("--bit-weights", "bit_weights", "Weights tried for the bits in the loss, times 1/m.", "list", "X[,X..]"),
        Flag("--learning-rate", "optim.learning_rate", "AdamW's learning rate.", metavar="X"),
        Flag("--epochs", "optim.epochs", "Passes over the training data.", metavar="X"),
    ),
    "Bound": (
        Flag("--seeds", "grid.seeds", "Seeds tried and paid for: the best of 2^s costs s bits.", "integer", "N"),
        Flag("--seed", "grid.seed", "Root of all random numbers.", metavar="N"),
        Flag("--delta", "grid.delta", "Probability with which the bound may fail.", metavar="X"),
        Flag(
            "--random-labels",
            "grid.random_labels",
            "Draw the labels at random, as a check: nothing can be certified then.",
            "switch",
        ),
    ),
}
"""The flags of `intrinsic certify`, by the panel of the help that shows them."""
FLAGS = flags_of(PANELS)
"""The flags of `intrinsic certify`."""
FEATURES = {"gabor": "vision", "embedding": "text"}
"""The kind of task that a network over frozen features is for; a plain one is for the kind of its model."""
HEADER = f"{'setting':>7} {'seed':>5} {'dim':>6} {'levels':>6} {'weight':>6} {'errors':>8} {'bits':>6} {'bound':>8}"
"""Header of the table of candidates."""


@takes_spec_flags(PANELS, CertifySpec(), {})
def run(
    *,
    output_dir: Path | None = typer.Option(
        None,
        metavar="PATH",
        help="Folder for the files; default certificates/<task>.",
        parser=folder_name,
        rich_help_panel=RUN,
    ),
    config: Path | None = typer.Option(
        None, metavar="FILE", help="A YAML file as --dry-run prints it; flags go on top.", rich_help_panel=RUN
    ),
    dry_run: bool = typer.Option(
        False,
        "--dry-run",
        help="Check the settings, print them and the grid's hash; load and train nothing.",
        rich_help_panel=RUN,
    ),
    **given: Any,
) -> None:
    """Train in a subspace, encode what was trained, and bound the error by the length of the code."""
    spec = resolve(layer(given, FLAGS), config)
    if dry_run:
        notes = [_announcement(spec), *(f"not checked: {what}" for what in _outline(spec))]
        typer.echo("".join(f"# {line}\n" for line in notes) + to_yaml(spec), nl=False)
        return
    _certify(spec, output_dir or Path("certificates") / spec.grid.task.name)


def resolve(flags: Tree, config: Path | None) -> CertifySpec:
    """The spec: defaults, then the file's settings, then the flags. Raises SpecError of one sentence."""
    written = {} if config is None else read_config(config)
    return lay_over(Form(CertifySpec(), FLAGS), [written, flags], config)


def _outline(spec: CertifySpec) -> list[str]:
    """Check task, networks and model as far as the catalogues and what lies here tell; no data are read.

    Returns phrases for what stays unchecked. Raises SpecError and ModelError as a run would.
    """
    info = check_task(spec.task)
    PROBLEMS[info.problem].check_countable(info.name, "a certificate")
    networks = {setting.network for setting in spec.grid.settings}
    for network, kind in FEATURES.items():
        if network in networks and info.kind != kind:
            raise SpecError(f"network {network!r} is for {kind} tasks, {info.name!r} is a {info.kind} task")
    if networks == {"gabor"} or is_here(spec.grid.model, info.kind):  # gabor features come from no model
        return []
    return [f"the model {spec.grid.model.name!r}, which comes from the Hub"]


def _certify(spec: CertifySpec, folder: Path) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{_announcement(spec)}, fixed now\n{HEADER}")
    certificate = certify(spec, folder, lambda outcome: console.print(_row(outcome)))
    for line in lines_of(certificate):
        console.print(line)
    console.print(f"files          {folder}: {CERTIFICATE_FILE}, {MESSAGE_FILE}; intrinsic verify checks them")


def _announcement(spec: CertifySpec) -> str:
    held = f"{_counted(len(spec.grid.settings), 'setting')}, {_counted(spec.grid.seeds, 'seed')}"
    return f"grid {spec.grid.sha256}: {held}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _row(outcome: Outcome) -> str:
    tried = outcome.candidate
    start = f"{tried.setting:>7} {tried.seed:>5} {tried.dim:>6} {tried.kinds:>6} {tried.bit_weight:>6g}"
    if outcome.counts is None or outcome.encoded is None or outcome.bound is None:
        return f"{start} diverged"
    return f"{start} {outcome.counts.errors:>8} {outcome.encoded.bits:>6} {outcome.bound:>8.4f}"

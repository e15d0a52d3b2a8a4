"""`intrinsic ls`: what there is to choose from, and what has been run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from intrinsic.errors import StoreError, UnknownName
from intrinsic.methods import METHODS
from intrinsic.models import MODELS
from intrinsic.report import words
from intrinsic.spec import PROJECTION_NAMES
from intrinsic.store import Store, read_measurement
from intrinsic.store.claims import take
from intrinsic.tasks import TASKS

Rows = Sequence[tuple[str, ...]]


def run(
    what: str = typer.Argument(metavar="tasks|models|methods|projections|runs", help="What to list."),
    folder: Path = typer.Argument(Path("runs"), metavar="[DIR]", help="For runs: where to look."),
) -> None:
    """One table, a line each."""
    if what not in LISTS:
        raise UnknownName("list", what, LISTS)
    header, rows = LISTS[what](folder)
    _print(header, rows)
    if what == "models":
        typer.echo("or any model's name on the Hub, or a folder that holds one")
    if what == "runs" and not rows:
        typer.echo(f"no runs in {folder}")


def _tasks(_: Path) -> tuple[tuple[str, ...], Rows]:
    rows = [(name, task.kind, task.metrics[0], task.description) for name, task in TASKS.items()]
    return ("task", "kind", "metric", "description"), rows


def _models(_: Path) -> tuple[tuple[str, ...], Rows]:
    return ("model", "kind", "description"), [(n, m.kind, m.description) for n, m in MODELS.items()]


def _methods(_: Path) -> tuple[tuple[str, ...], Rows]:
    return ("method", "description"), [(n, m.description) for n, m in METHODS.items()]


def _projections(_: Path) -> tuple[tuple[str, ...], Rows]:
    return ("projection", "description"), list(PROJECTION_NAMES.items())


def _runs(folder: Path) -> tuple[tuple[str, ...], Rows]:
    if not folder.is_dir():
        raise StoreError(f"no folder {folder} to look for runs in: name the one given to --output-dir, or its parent")
    return ("run", "state", "result", "trials"), [_run(path) for path in _outputs(folder)]


def _outputs(folder: Path) -> Iterator[Path]:
    """Folders that a measurement writes to: the one named, and those inside it."""
    for path in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
        if (path / "trials").is_dir() or (path / "result.json").exists():
            yield path


def _run(path: Path) -> tuple[str, ...]:
    state = "running" if _is_running(path) else "finished" if (path / "result.json").exists() else "unfinished"
    try:
        with Store(path, read_only=True) as store:
            statuses = Counter(line.status for line in store.summaries())
        result = _result(path) if (path / "result.json").exists() else words.DASH
    except StoreError as error:
        return str(path), "damaged", str(error), words.DASH
    return str(path), state, result, ", ".join(f"{n} {status}" for status, n in statuses.most_common())


def _result(path: Path) -> str:
    measured = read_measurement(path)
    spec, outcome = measured.run.spec, measured.result
    return f"{words.d_name(spec)} {words.dimension(outcome, spec)}: {words.model(spec)}, {words.task(spec)}"


def _is_running(path: Path) -> bool:
    """Does a process hold the claim of one of the folder's trials? A dead one's file is removed in passing."""
    for lock in (path / "claims").glob("*.lock"):
        try:
            claim = take(lock)
        except StoreError:  # not ours to look at
            continue
        if claim is None:
            return True
        claim.release()
    return False


def _print(header: Sequence[str], rows: Rows) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in header:
        table.add_column(column, overflow="fold", no_wrap=column == header[0] != "run")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False, markup=False).print(table)


LISTS: dict[str, Callable[[Path], tuple[tuple[str, ...], Rows]]] = {
    "tasks": _tasks,
    "models": _models,
    "methods": _methods,
    "projections": _projections,
    "runs": _runs,
}

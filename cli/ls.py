"""`intrinsic ls`: the names there are to choose from, and the runs there have been."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from intrinsic.errors import SpecError, StoreError, UnknownName
from intrinsic.executor.base import EXECUTORS
from intrinsic.methods import METHODS
from intrinsic.models import MODELS
from intrinsic.plugins import Kind, Registry, entries_of, package_of
from intrinsic.problems import METRICS, PROBLEMS
from intrinsic.report import words
from intrinsic.spec import PROJECTION_NAMES
from intrinsic.store import Store, read_comparison, read_measurement
from intrinsic.store.claims import take
from intrinsic.store.disk import refused
from intrinsic.tasks import TASKS

Rows = Sequence[tuple[str, ...]]
"""Rows of a table."""
NAMES = ("tasks", "models", "methods", "projections", "metrics", "problems", "executors", "runs")
"""Names of the lists."""
RUNS = Path("runs")
"""Folder where runs are looked for if none is named."""


def run(
    what: str = typer.Argument(metavar="|".join(NAMES), help="What to list."),
    folder: Path | None = typer.Argument(None, metavar="[DIR]", help="For runs: where to look; default runs."),
) -> None:
    """Print one list as a table."""
    if what not in LISTS:
        raise UnknownName("list", what, LISTS)
    if what != "runs" and folder is not None:
        raise SpecError(f"a folder goes with `intrinsic ls runs` and only with it, got {str(folder)!r}: leave it out")
    header, rows = LISTS[what](folder)
    if rows or what != "runs":
        _print(header, rows)
    if what == "models":
        typer.echo("or any model's name on the Hub, or a folder that holds one")
    if what == "runs" and not rows:
        typer.echo(f"no runs in {folder or RUNS}")


def _tasks(_: Path | None) -> tuple[tuple[str, ...], Rows]:
    rows = [(name, task.kind, task.metrics[0], task.description) for name, task in _usable(TASKS).items()]
    return ("task", "kind", "metric", "description"), rows


def _models(_: Path | None) -> tuple[tuple[str, ...], Rows]:
    return ("model", "kind", "description"), [(n, m.kind, m.description) for n, m in _usable(MODELS).items()]


def _methods(_: Path | None) -> tuple[tuple[str, ...], Rows]:
    return ("method", "description"), [(n, m.description) for n, m in _usable(METHODS).items()]


def _projections(_: Path | None) -> tuple[tuple[str, ...], Rows]:
    told = {name: info.description for name, info in PROJECTION_NAMES.items()}
    if entries := entries_of("projection"):
        from intrinsic.projections import PROJECTIONS  # torch, which only the classes of other packages need here

        for name, kind in _usable(PROJECTIONS).items():
            if name not in told:
                own = getattr(kind, "description", None)
                told[name] = own if isinstance(own, str) else f"of the package {package_of(entries[name])}"
    return ("projection", "description"), list(told.items())


def _metrics(_: Path | None) -> tuple[tuple[str, ...], Rows]:
    rows = [
        (name, f"{metric.range[0]:g} to {metric.range[1]:g}", "higher" if metric.higher_is_better else "lower")
        for name, metric in _usable(METRICS).items()
    ]
    return ("metric", "range", "better"), rows


def _problems(_: Path | None) -> tuple[tuple[str, ...], Rows]:
    rows = [(name, problem.description, ", ".join(problem.metrics)) for name, problem in _usable(PROBLEMS).items()]
    return ("problem", "answers", "metrics"), rows


def _executors(_: Path | None) -> tuple[tuple[str, ...], Rows]:
    return ("executor", "description"), [(n, e.description) for n, e in _usable(EXECUTORS).items()]


def _usable(registry: Registry[Kind]) -> dict[str, Kind]:
    """The entries that can be used; stderr names other packages' entries that cannot."""
    usable, complaints = registry.offered()
    for complaint in complaints:
        typer.echo(f"intrinsic: {complaint}", err=True)
    return usable


def _runs(named: Path | None) -> tuple[tuple[str, ...], Rows]:
    folder = named or RUNS
    try:
        outputs = list(_outputs(folder)) if named or RUNS.exists() else []
    except (FileNotFoundError, NotADirectoryError) as error:
        what = f"no folder {folder} to look for runs in"
        raise StoreError(f"{what}: name the one given to --output-dir, or its parent") from error
    except OSError as error:
        raise refused("read", folder, error) from error
    return ("run", "state", "result", "trials"), [_run(path) for path in outputs]


def _outputs(folder: Path) -> Iterator[Path]:
    """The folders that a measurement or a comparison writes to: the one named, and those inside it."""
    for path in (folder, *sorted(p for p in folder.iterdir() if os.path.isdir(p))):
        if os.path.isdir(path / "trials") or _has_result(path):
            yield path


def _run(path: Path) -> tuple[str, ...]:
    state = "running" if _is_running(path) else "finished" if _has_result(path) else "unfinished"
    try:
        with Store(path, read_only=True) as store:
            statuses = Counter(line.status for line in store.summaries())
        result = _result(path) if _has_result(path) else words.DASH
    except StoreError as error:
        return str(path), "damaged", str(error), words.DASH
    return str(path), state, result, ", ".join(f"{n} {status}" for status, n in statuses.most_common())


def _has_result(path: Path) -> bool:
    return any(os.path.exists(path / name) for name in ("result.json", "comparison.json"))


def _result(path: Path) -> str:
    found = []
    if os.path.exists(path / "result.json"):
        measured = read_measurement(path)
        spec, outcome = measured.run.spec, measured.result
        found.append(f"{words.d_name(spec)} {words.dimension(outcome, spec)}: {words.model(spec)}, {words.task(spec)}")
    if os.path.exists(path / "comparison.json"):
        base, contenders = (compared := read_comparison(path).run.spec).base, compared.contenders
        found.append(f"{len(contenders)} methods compared: {words.model(base)}, {words.task(base)}")
    return "; ".join(found)


def _is_running(path: Path) -> bool:
    """Whether a process holds the claim of one of the folder's trials; the files of dead ones' claims are removed."""
    for lock in (path / "claims").glob("*.lock"):
        try:
            claim = take(lock)
        except StoreError:  # a claim that this user may not open
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


LISTS: dict[str, Callable[[Path | None], tuple[tuple[str, ...], Rows]]] = dict(
    zip(
        NAMES,
        (_tasks, _models, _methods, _projections, _metrics, _problems, _executors, _runs),
        strict=True,
    )
)
"""The function behind each list: from the folder, if one is named, to the table's header and rows."""

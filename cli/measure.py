"""`intrinsic measure`: d90 of a model on a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from intrinsic.measurement import Estimate, estimate, measure
from intrinsic.measurement.checks import check_start
from intrinsic.measurement.estimate import WORKER_START
from intrinsic.records import MeasureResult
from intrinsic.report import words, write_report
from intrinsic.spec import MeasureSpec

from .flags import command_line, layer, takes_spec_flags
from .live import LiveTable
from .resolve import default_output_dir, resolve, to_yaml
from .running import Running, takes_run_flags
from .summary import show


@takes_spec_flags()
@takes_run_flags(
    "runs/<task>-<model>-<method>",
    "settings, data and model as far as lies here, print the settings and what they will cost",
)
def run(*, running: Running, **given: Any) -> None:
    """Resolve the spec, measure, report."""
    spec, start = resolve(layer(given), running.config, running.preset)
    folder = running.output_dir or default_output_dir(spec)
    announced = _announcement(spec, start, folder, running.jobs)
    if running.dry_run:
        running.check(folder)
        typer.echo(_dry_run(spec, announced), nl=False)
        return
    command = command_line("measure", given, running.typed())
    console = Console(highlight=False, markup=False)
    for line in announced:
        console.print(line, soft_wrap=True)
    _measure(spec, folder, running.bound_to(measure, command), command, console)


def _measure(
    spec: MeasureSpec, folder: Path, run: Callable[..., MeasureResult], command: str, console: Console
) -> None:
    try:
        with LiveTable(spec, console) as table:
            result = run(spec, folder, on_event=table)
    except KeyboardInterrupt:
        typer.echo(
            f"intrinsic: interrupted; {len(table.board.lines)} finished trials are kept in {folder}, "
            f"the same command goes on from there: {command}",
            err=True,
        )
        raise typer.Exit(130) from None
    written = write_report(result, folder)
    show(console, result, [folder / "result.json", *written])
    if result.result.search.status == "no-baseline":
        raise typer.Exit(1)


def _announcement(spec: MeasureSpec, start: str, folder: Path, jobs: int) -> list[str]:
    what = f"{words.d_name(spec)} of {words.model(spec)} on {words.task(spec)}"
    how = f"{words.method(spec)}, {spec.projection}; {start} settings"
    return [f"{what}: {how}", f"output in {folder}", f"expected: {_cost(estimate(spec, folder), jobs)}"]


def _dry_run(spec: MeasureSpec, announced: Sequence[str]) -> str:
    """The spec as YAML, with everything that is no setting in comments, so that --config can read all of it."""
    notes = [*announced, *(f"not checked: {what}" for what in check_start(spec))]
    return "".join(f"# {line}\n" for line in notes) + to_yaml(spec)


def _cost(cost: Estimate, jobs: int) -> str:
    parts = [f"{_range(cost.trials)} trials"]
    if cost.steps is not None:
        parts.append(f"{_range(cost.steps)} steps")
    if cost.seconds is not None:
        parts.append(f"{words.duration(cost.seconds[0])} to {words.duration(cost.seconds[1])} one after another")
    if jobs > 1:
        parts.append(f"{jobs} at a time after about {WORKER_START:g} s to start the workers")
    return ", ".join(parts)


def _range(values: Sequence[int]) -> str:
    low, high = values
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"

"""`intrinsic compare`: methods of fine-tuning side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.status import Status
from rich.text import Text

from intrinsic.comparison import CompareEvent, CompareTrial, compare, estimate, parse_contenders, written
from intrinsic.comparison.checks import fitting, outline_start
from intrinsic.comparison.estimate import TRIALS_A_SEARCH
from intrinsic.errors import SpecError
from intrinsic.executor import Finished, Progress, Reused, Waiting
from intrinsic.measurement import TrialEvent
from intrinsic.records import CompareResult
from intrinsic.report import words
from intrinsic.report.comparison import write_comparison
from intrinsic.spec import CompareSpec, Contender, MeasureSpec
from intrinsic.tasks import check_task

from .comparison import show
from .flags import PANELS, command_line, layer, takes_spec_flags
from .resolve import output_dir_for, read_config, resolve, to_yaml
from .running import RUN, Running, takes_run_flags

METHODS = "full,probe,bitfit,lora:r=1,8,houlsby,pfeiffer,parallel,mam,prefix,prompt,said,did"
"""The methods that are compared where none is named."""
OTHERS = {
    "--said/--did",
    "--of",
    "--fraction",
    "--search",
    "--low",
    "--high",
    "--resolution",
    "--grid",
    "--baseline-seeds",
}
"""Flags of a measurement that `compare` does not take: --methods and --at say the same."""
FLAGS = {panel: tuple(flag for flag in flags if flag.name not in OTHERS) for panel, flags in PANELS.items()}
"""The flags of a measurement that `compare` takes, by the panel of the help that shows them."""
HEADER = f"{'method':<28} {'seed':>4} {'rate':>9} {'score':>7}  {'status':<13} {'time':>9}"
"""Header of the table of trials."""


@takes_spec_flags(FLAGS)
@takes_run_flags(
    "runs/<task>-<model>-compare",
    "settings, methods, data and model as far as lies here, print them and the number of trials",
)
def run(
    *,
    methods: str | None = typer.Option(
        None,
        metavar="LIST",
        help="NAME[:KEY=VALUE..], joined by commas. `r`, `d` or `l` is the size, which may have several values; "
        f"params=N names sizes by what they train; `lr` the rates tried. Default: {METHODS.replace(',', ', ')}.",
        rich_help_panel=RUN,
    ),
    at: float | None = typer.Option(
        None,
        metavar="X",
        help="Search for the smallest size of each method that reaches this share of full fine-tuning's score.",
        rich_help_panel=RUN,
    ),
    running: Running,
    **given: Any,
) -> None:
    """Resolve the methods, compare, report."""
    named, at = _named(running.config, methods, at)
    base, _ = resolve(layer(given), running.config, running.preset, apart=("methods", "at"), aimed=at is not None)
    if at is None and given.get("target") is not None:
        raise SpecError("--target says what --at searches for: give --at too, say 0.9, or leave --target out")
    spec = _spec(base, named, at) if named else _usual(base, at)
    folder = running.output_dir or output_dir_for(base, "compare")
    if running.dry_run:
        running.check(folder)
        typer.echo(_dry_run(spec, folder), nl=False)
        return
    command = command_line("compare", given, {"--methods": methods, "--at": at, **running.typed()})
    _compare(spec, folder, running.bound_to(compare, command), command)


def _compare(spec: CompareSpec, folder: Path, run: Callable[..., CompareResult], command: str) -> None:
    console = Console(highlight=False, markup=False)
    console.print(f"{_title(spec)}\noutput in {folder}\nexpected: {_cost(spec)}", soft_wrap=True)
    try:
        with Lines(console) as lines:
            result = run(spec, folder, on_event=lines)
    except KeyboardInterrupt:
        typer.echo(f"intrinsic: interrupted; finished trials are kept in {folder}: {command} goes on", err=True)
        raise typer.Exit(130) from None
    show(console, result, [folder / "comparison.json", *write_comparison(result, folder)])
    if all(row.mean is None for row in result.result.rows):
        typer.echo(
            "intrinsic: no trial of any method ended with a score; lower the rates, or see `status` above", err=True
        )
        raise typer.Exit(1)
    if spec.at is not None and result.result.target is None:
        raise typer.Exit(1)


def _usual(base: MeasureSpec, at: Any) -> CompareSpec:
    """The comparison of METHODS, without those that the model lacks the parts for; stderr names these."""
    spec, left = fitting(_spec(base, default_methods(base), at))
    if left:
        typer.echo(f"left out, as {words.model(base)} lacks what they are laid over: {', '.join(left)}", err=True)
    return spec


def default_methods(base: MeasureSpec) -> str:
    """METHODS as text; for images the prompt starts at random, as there are no words to start from."""
    images = check_task(base.task).kind == "vision"
    return METHODS.replace("prompt", "prompt:start=random") if images else METHODS


def _named(config: Path | None, methods: str | None, at: float | None) -> tuple[str, Any]:
    """The values of --methods and --at, or else those that the file holds.

    Its `methods` are a text or a list of texts; the result is empty if none are named.
    """
    settings = {} if config is None else read_config(config)
    named = methods if methods is not None else settings.get("methods") or ""
    if isinstance(named, list):
        named = ",".join(map(str, named))
    if not isinstance(named, str):
        raise SpecError(f"`methods` in {config} must be text as --methods takes it, or a list of it, got {named!r}")
    if methods is not None and not methods.strip():
        raise SpecError("--methods names no method: name some, or leave it out for the usual ones")
    return named, settings.get("at") if at is None else at


def _spec(base: MeasureSpec, methods: str, at: Any) -> CompareSpec:
    def size_for(contender: Contender, parameters: int) -> int:
        from intrinsic.comparison.budget import size_for as find  # loads torch, the model and the data

        return find(base, contender, parameters)

    try:
        contenders = parse_contenders(methods, base, search=at is not None, size_for=size_for)
        return CompareSpec(base=base, contenders=contenders, at=at)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        if "at" in problem["loc"]:
            raise SpecError(
                f"--at must be a share of full fine-tuning's score, above 0 and at most 1, got {at!r}: 0.9 is 90 %"
            ) from None
        raise SpecError(problem["msg"].removeprefix("Value error, ")) from None


def _title(spec: CompareSpec) -> str:
    labels = ", ".join(contender.label for contender in spec.contenders)
    return f"{words.model(spec.base)} on {words.task(spec.base)}: {labels}"


def _cost(spec: CompareSpec) -> str:
    cost = estimate(spec)
    low, high = TRIALS_A_SEARCH
    searches = "search" if cost.searches == 1 else "searches"
    more = f", and {cost.searches} {searches} over sizes, of {low} to {high} trials each" if cost.searches else ""
    return f"{cost.trials} trials or more where a grid of rates turns out too narrow or two rates too close{more}"


def _dry_run(spec: CompareSpec, folder: Path) -> str:
    lines = [_title(spec), f"output in {folder}", f"expected: {_cost(spec)}"]
    lines += [f"not checked: {what}" for what in outline_start(spec)]
    for c in spec.contenders:
        sizes = f"; {c.size} {', '.join(map(str, c.sizes))}" if c.size else ""
        lines.append(f"{c.label}: rates {', '.join(map(words.rate, c.rates))}{sizes}")
    own = {"methods": list(map(written, spec.contenders)), "at": spec.at}
    return "".join(f"# {line}\n" for line in lines) + to_yaml(spec.base) + yaml.safe_dump(own, sort_keys=False)


class Lines:
    """Prints a line for each trial that ends and, in a terminal, the running one below; called with every event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = Status("", console=console) if console.is_terminal else None
        self._headed = False

    def __enter__(self) -> Lines:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, told: CompareEvent) -> None:
        if not self._headed:
            self._console.print(HEADER, style="bold")
            self._headed = True
        if not isinstance(told, TrialEvent):
            self._say(f"{told.path} is damaged and skipped: {told.reason}")
        elif isinstance(told.event, Finished | Reused):
            run, train = told.event.result.run, told.event.result.train
            status = f"{run.status} (stored)" if isinstance(told.event, Reused) else run.status
            self._say(f"{_line(told.asked)} {words.score(train.score):>7}  {status:<13} {run.seconds:>7.1f} s")
        elif isinstance(told.event, Waiting):
            self._say(f"another process runs {_line(told.asked)}; its result will be used")
        elif isinstance(told.event, Progress) and self._status is not None:
            self._status.update(f"{_line(told.asked)}  {told.event.step}/{told.event.steps}")

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def _line(asked: CompareTrial) -> str:
    size = "" if asked.size is None else f" {asked.size}"
    pilot = " (rate)" if asked.purpose == "rate" else ""
    return f"{asked.contender.label + size + pilot:<28} {asked.seed:>4} {words.rate(asked.rate):>9}"

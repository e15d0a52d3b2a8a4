"""The flags of verbs with trials besides their settings: where things go, where settings start, where trials run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import typer

from intrinsic.executor.base import EXECUTORS, make_executor
from intrinsic.measurement.estimate import WORKER_START
from intrinsic.store.disk import check_writable

from .flags import folder_name

RUN = "Run"
"""Panel of the help for the flags that are no settings."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Running:
    """Values of these flags."""

    output_dir: Path | None
    config: Path | None
    preset: str | None
    jobs: int
    executor: str | None
    dry_run: bool

    def typed(self) -> dict[str, object]:
        """The flags by name, for the command line that gives the result again; None where one was left out."""
        return {
            "--output-dir": self.output_dir,
            "--config": self.config,
            "--preset": self.preset,
            "--jobs": None if self.jobs == 1 else self.jobs,
            "--executor": self.executor,
        }

    def bound_to(self, verb: Callable[..., Result], command: str) -> Callable[..., Result]:
        """The verb's function with what these flags say and the command it records."""
        return partial(verb, jobs=self.jobs, executor=self.executor, command=command)

    def check(self, folder: Path) -> None:
        """Check for --dry-run that trials could run and results be written, without starting or writing anything.

        Raises what making the executor raises, and StoreError for a folder that cannot be written. Another package's
        executor may start what it needs as it is made, so only its name is checked.
        """
        if self.executor is None or self.executor not in EXECUTORS or EXECUTORS.is_own(self.executor):
            make_executor(self.executor, self.jobs).close()
        check_writable(folder)


def takes_run_flags(folder: str, checks: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a typer command that accepts `running` the flags of :class:`Running` instead.

    folder: the default folder, as the help names it; checks: what --dry-run looks at and prints, for the help.
    """

    def dress(run: Callable[..., None]) -> Callable[..., None]:
        @wraps(run)
        def undressed(**given: Any) -> None:
            run(running=Running(**{field.name: given.pop(field.name) for field in fields(Running)}), **given)

        own = [p for p in inspect.signature(run, eval_str=True).parameters.values() if p.name != "running"]
        named = [p for p in own if p.kind is not p.VAR_KEYWORD]
        rest = [p for p in own if p.kind is p.VAR_KEYWORD]
        undressed.__signature__ = inspect.Signature([*named, *_options(folder, checks), *rest])  # type: ignore[attr-defined]
        return undressed

    return dress


def _options(folder: str, checks: str) -> list[inspect.Parameter]:
    def option(name: str, kind: Any, default: Any, *flags: str, **told: Any) -> inspect.Parameter:
        made = typer.Option(default, *flags, rich_help_panel=RUN, **told)
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=made, annotation=kind)

    jobs = f"Trials at the same time, in N worker processes; each takes about {WORKER_START:g} s to start."
    start = "Where all other settings start. Default: demo, unless a task or a model is named."
    return [
        option(
            "output_dir",
            Path | None,
            None,
            metavar="PATH",
            help=f"Trials and results; default {folder}.",
            parser=folder_name,
        ),
        option(
            "config", Path | None, None, metavar="FILE", help="A YAML file as --dry-run prints it; flags go on top."
        ),
        option("preset", str | None, None, metavar="demo|text|vision", help=start),
        option("jobs", int, 1, min=1, metavar="N", help=jobs),
        option("executor", str | None, None, metavar="NAME", help="Where trials run; see `intrinsic ls executors`."),
        option("dry_run", bool, False, "--dry-run", help=f"Check {checks}; run nothing."),
    ]

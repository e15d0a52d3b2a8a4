"""The table of a measurement's trials while they run: live in a terminal, else one line for each that has ended."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from intrinsic.measurement import MeasureEvent
from intrinsic.measurement.planned import MeasureTrial
from intrinsic.report import words
from intrinsic.spec import MeasureSpec

from .board import Board, Line, Running

HEADER = f"{'trial':<13} {'d':>6} {'seed':>4} {'rate':>9} {'score':>7}  {'status':<13} {'time':>9}"
"""Header of the table."""
LEGEND = (
    "seed: an index; what is drawn derives from --seed {seed}, trial, d and it",
    "guard: a d that fails, at another rate; its indices go on from those of search",
)
"""Lines above the table; {seed} is the root of the seeds."""
BAR_WIDTH = 16
"""Columns of a progress bar."""


class LiveTable:
    """Prints a measurement's events, with which it is called, inside a `with`.

    Trials that have ended scroll up; in a terminal the running ones stay below them.
    """

    def __init__(self, spec: MeasureSpec, console: Console) -> None:
        self.board = Board()
        self._headed = False
        self._seed = spec.seed
        self._console = console
        self._live = Live(get_renderable=self._now, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveTable:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: MeasureEvent) -> None:
        if not self._headed:  # only with the first event, so that a refusal leaves no empty table
            self._head()
        told = self.board.hear(event)
        if told and self._live.is_started:
            self._live.refresh()  # or the trial that ended would be shown running below its own line
        for item in told:
            text = self._row(item) if isinstance(item, Line) else Text(item, style="dim")
            self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _head(self) -> None:
        self._headed = True
        for line in LEGEND:
            self._console.print(line.format(seed=self._seed), style="dim", highlight=False, soft_wrap=True)
        self._console.print(HEADER, style="bold", highlight=False, soft_wrap=True)

    def _row(self, line: Line) -> Text:
        train, run = line.result.train, line.result.run
        look = "dim" if line.stored else "" if run.status == "ok" else "red"
        status = f"{run.status} (stored)" if line.stored else run.status
        colour = {True: "green", False: "yellow", None: ""}[line.reached]
        return Text.assemble(
            f"{_asked(line.asked)} ",
            (f"{words.score(train.score):>7}", colour),
            "  ",
            (f"{status:<13}", look),
            f" {run.seconds:>7.1f} s",
        )

    def _now(self) -> RenderableType:
        running = Table.grid(padding=(0, 1, 0, 0))
        running.add_column(no_wrap=True)
        running.add_column(min_width=BAR_WIDTH)
        running.add_column(no_wrap=True, overflow="crop", style="dim")
        for trial in list(self.board.running.values()):
            running.add_row(*self._progress(trial))
        return Group(running, self._state())

    def _progress(self, trial: Running) -> tuple[RenderableType, ...]:
        seconds = f"{self.board.clock() - trial.began:.0f} s"
        if not trial.steps:
            return Text(_asked(trial.asked)), Text("starting", style="dim"), Text(seconds)
        bar = ProgressBar(
            total=trial.steps, completed=trial.step, width=BAR_WIDTH, complete_style="cyan", finished_style="cyan"
        )
        loss = "" if trial.loss is None else f" loss {trial.loss:.3g}"
        return Text(_asked(trial.asked)), bar, Text(f"{trial.step}/{trial.steps} {seconds}{loss}")

    def _state(self) -> Text:
        board = self.board
        low, high = (board.state.low, board.state.high) if board.state else (None, None)
        found = f"d between {low or '?'} and {high or '?'}" if low or high else ""
        ended = f"{len(board.lines)} trials in {words.duration(board.clock() - board.began)}"
        target = "" if board.target is None else f"target {words.score(board.target.value)}"
        return Text(" · ".join(part for part in (target, found, ended) if part), style="bold")


def _asked(asked: MeasureTrial) -> str:
    d = words.DASH if asked.d is None else str(asked.d)
    return f"{asked.purpose:<13} {d:>6} {asked.seed:>4} {words.rate(asked.rate):>9}"

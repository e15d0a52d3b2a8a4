"""One attempt at a trial: whatever happens to it becomes a record. No torch here until it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from intrinsic.errors import Diverged, IntrinsicError
from intrinsic.records import TrialResult, TrialRun, TrialStatus
from intrinsic.spec import TrialSpec

Progress = Callable[[int, int, float | None], None]
"""Called during training with the step, the number of steps, and the latest training loss."""


class Runner(Protocol):
    """What runs one trial: intrinsic.trial.run_trial, or a stand-in; importable by name for worker processes."""

    def __call__(
        self, spec: TrialSpec, *, progress: Progress | None = None, threads: int | None = None
    ) -> TrialResult: ...


@dataclass
class Attempt:
    """A trial that begins now, and the record of it if it cannot make its own."""

    spec: TrialSpec
    progress: Progress
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    begin: float = field(default_factory=time.monotonic)

    def run(self, runner: Runner, threads: int | None = None) -> TrialResult:
        """Run it; an exception that nobody raised on purpose becomes a `failed` record.

        Raises IntrinsicError (data absent, unknown name): the next trial would meet the same.
        """
        try:
            return runner(self.spec, progress=self.progress, threads=threads)
        except Diverged as error:
            return self.stopped("diverged", str(error))
        except IntrinsicError:
            raise
        except Exception as error:
            return self.stopped("failed", f"{type(error).__name__}: {error}")

    def stopped(self, status: TrialStatus, error: str) -> TrialResult:
        """The record of a trial that ended by now without a result."""
        run = TrialRun(
            trial_id=self.spec.id,
            spec=self.spec,
            status=status,
            error=error,
            started=self.started,
            seconds=round(time.monotonic() - self.begin, 3),
        )
        return TrialResult(run=run)


def default_runner() -> Runner:
    """intrinsic.trial.run_trial; from here on torch is loaded."""
    from intrinsic.trial import run_trial

    return run_trial

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

INTERRUPTED = "stopped before it ended"
"""The error in the record of a trial that was interrupted."""
OnProgress = Callable[[int, int, float | None], None]
"""A function called during training with the step, the number of steps, and the latest training loss."""


class Runner(Protocol):
    """A function that runs one trial: intrinsic.trial.run_trial, or a stand-in. Worker processes import it by name."""

    def __call__(
        self, spec: TrialSpec, *, progress: OnProgress | None = None, threads: int | None = None
    ) -> TrialResult: ...


@dataclass
class Attempt:
    """A trial that begins now; it makes the record where the runner made none."""

    spec: TrialSpec
    progress: OnProgress
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """Time at which it began, ISO 8601, UTC."""
    begin: float = field(default_factory=time.monotonic)
    """Time at which it began, in seconds of the monotonic clock."""

    def run(self, runner: Runner, threads: int | None = None) -> TrialResult:
        """Run the trial; an exception that nobody raised on purpose becomes a `failed` record.

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
        """The record of the trial if it ends now without a result."""
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
    """Import intrinsic.trial.run_trial, and torch with it."""
    from intrinsic.trial import run_trial

    return run_trial

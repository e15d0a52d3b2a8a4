"""The executor that runs trials in this process. No torch here until a trial runs."""

from __future__ import annotations

import time

from intrinsic.errors import IntrinsicError, SpecError
from intrinsic.executor.attempt import INTERRUPTED, Attempt, OnProgress, Runner, default_runner
from intrinsic.records import TrialResult
from intrinsic.spec import TrialSpec


class InProcess:
    """Runs one trial at a time, within poll(). Raises SpecError for more than one job."""

    slots = 1
    """Number of trials that may be under way at once."""

    def __init__(self, jobs: int = 1, runner: Runner | None = None) -> None:
        if jobs > 1:
            raise SpecError(
                f"the executor 'here' runs one trial at a time, got jobs={jobs}: use 'processes', or leave jobs at 1"
            )
        self._runner = runner
        self._running: Attempt | None = None
        self._interrupted: TrialResult | None = None

    def start(self, spec: TrialSpec, progress: OnProgress) -> None:
        """Keep the trial for the next poll()."""
        self._running, self._interrupted = Attempt(spec, progress), None

    def poll(self, seconds: float) -> list[TrialResult]:
        """Run the trial to its end; with none under way wait for `seconds`."""
        if self._running is None:
            time.sleep(seconds)
            return []
        try:
            result = self._running.run(self._runner or default_runner())
        except IntrinsicError:
            self._running = None
            raise
        except KeyboardInterrupt as stop:
            self._interrupted = getattr(stop, "result", None)  # run_trial says how far it came
            raise
        self._running = None
        return [result]

    def abort(self) -> list[TrialResult]:
        """Drop the trial; its result is the runner's own record of the interruption if there is one."""
        running, self._running = self._running, None
        return [] if running is None else [self._interrupted or running.stopped("interrupted", INTERRUPTED)]

    def close(self) -> None:
        """Do nothing, for nothing is open."""

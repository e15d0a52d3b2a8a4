"""The executor `tallied`: trials run where they would run anyway, and are counted. No torch until one runs."""

from __future__ import annotations

from typing import ClassVar

from intrinsic.executor import OnProgress, Runner, make_executor
from intrinsic.records import TrialResult
from intrinsic.spec import TrialSpec


class Tallied:
    """The executor of this package for one job and for several, around intrinsic's own."""

    tally: ClassVar[list[str]] = []
    """Ids of the trials that this process has started, in that order."""

    def __init__(self, jobs: int, runner: Runner | None) -> None:
        self._inner = make_executor(None, jobs, runner)

    @property
    def slots(self) -> int:
        return self._inner.slots

    def start(self, spec: TrialSpec, progress: OnProgress) -> None:
        self.tally.append(spec.id)
        self._inner.start(spec, progress)

    def poll(self, seconds: float) -> list[TrialResult]:
        return self._inner.poll(seconds)

    def abort(self) -> list[TrialResult]:
        return self._inner.abort()

    def close(self) -> None:
        self._inner.close()

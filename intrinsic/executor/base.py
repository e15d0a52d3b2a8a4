"""Executors, which run trials: their contract, their names, and how one is made. No torch here.

A new executor is one class and one entry of EXECUTORS; a package of its own adds one through the entry point group
`intrinsic.executors`. tests/executor/test_executor_contract.py checks the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from intrinsic.errors import IntrinsicError, SpecError, UnknownName
from intrinsic.executor.attempt import OnProgress, Runner
from intrinsic.plugins import Registry, is_a, named, printed, told
from intrinsic.records import TrialResult
from intrinsic.spec import TrialSpec


class Executor(Protocol):
    """Runs up to `slots` trials at a time and gives their results in the order in which they end.

    One thread calls it. A trial is under way from start() until poll() or abort() has given its result, or poll() has
    raised its error; every trial under way ends in exactly one of these.
    """

    @property
    def slots(self) -> int:
        """Number of trials that may be under way at once, 1 or more."""

    def start(self, spec: TrialSpec, progress: OnProgress) -> None:
        """Take one trial over, without waiting for it. Called only while fewer than `slots` are under way.

        `progress` is to be called within poll(), in the thread that called it, as often as the executor likes.
        """

    def poll(self, seconds: float) -> list[TrialResult]:
        """Wait until a trial has ended, or for `seconds`, and give the results of those that have ended.

        With nothing under way it waits for `seconds` and gives an empty list. An executor that runs trials in this
        process may take as long as one trial.

        A trial that breaks, or whose worker is lost, is a result with status `failed` and a sentence that says so. An
        IntrinsicError of the runner (data are absent, a name is unknown) is raised, for the next trial would meet the
        same; the other trials stay under way.
        """

    def abort(self) -> list[TrialResult]:
        """End every trial under way at once and give their results: `interrupted`, or what one had already come to.

        The executor can be used again afterwards.
        """

    def close(self) -> None:
        """Free what the executor holds; a trial still under way is lost. A second call does nothing."""


_MEMBERS = ("start", "poll", "abort", "close")
"""Names of the methods that every executor has; its slots are looked at apart."""
Factory = Callable[[int, Runner | None], Executor]
"""A function that makes an executor for a number of jobs, 1 or more, and a runner (None: intrinsic.trial.run_trial).

Raises SpecError for a number that it cannot serve."""


@dataclass(frozen=True)
class ExecutorInfo:
    """Facts about an executor that are known without loading it."""

    description: str
    """A few words for the list of executors."""
    home: str
    """Place of its :data:`Factory`, as `module:name`."""


EXECUTORS: Registry[ExecutorInfo] = Registry(
    "executor",
    {
        "here": ExecutorInfo("one trial at a time, in this process", "intrinsic.executor.here:InProcess"),
        "processes": ExecutorInfo("worker processes on this machine", "intrinsic.executor.workers:WorkerPool"),
    },
    is_a(ExecutorInfo),
)
"""The executors by name. Other packages add to them through the entry point group `intrinsic.executors`."""


def make_executor(name: str | None = None, jobs: int = 1, runner: Runner | None = None) -> Executor:
    """The executor called `name` for so many jobs; without a name `here` for one job and `processes` for several.

    runner: what runs one trial; intrinsic.trial.run_trial by default.

    Raises UnknownName for a name not in EXECUTORS, SpecError for fewer jobs than 1, for jobs or a runner that the
    executor cannot serve, and for another package's executor that cannot be made or does not meet the contract.
    """
    if jobs < 1:
        raise SpecError(f"jobs must be 1 or more, got {jobs}")
    if name is None:
        name = "here" if jobs == 1 else "processes"
    if name not in EXECUTORS:
        raise UnknownName("executor", name, EXECUTORS)
    factory: Factory = named(EXECUTORS[name].home)
    try:
        made = factory(jobs, runner)
        wrong = _wrong(made)
    except IntrinsicError:
        raise
    except (Exception, SystemExit) as error:
        raise SpecError(f"executor {name!r} cannot be made ({told(error)}): {_others(name)}") from error
    if wrong is not None:
        raise SpecError(f"executor {name!r} {wrong}: {_others(name)}")
    return made


def check_executor(given: Executor, jobs: int = 1, runner: Runner | None = None) -> Executor:
    """The executor that is given as an object. Raises SpecError if it is none, or if jobs or a runner come with it."""
    try:
        wrong = _wrong(given)
    except (Exception, SystemExit) as error:
        raise SpecError(f"the executor cannot be used ({told(error)}): correct that, or give a name") from error
    if wrong is not None:
        raise SpecError(f"the executor {wrong}: give one that has, or a name ({', '.join(sorted(EXECUTORS))})")
    if jobs != 1 or runner is not None:
        got = "a runner" if runner is not None else f"jobs={jobs}"
        raise SpecError(f"an executor that is given as an object has its own jobs and runner, got {got}: leave it out")
    return given


def _wrong(made: object) -> str | None:
    """The fault of an executor, in words; None if nothing is."""
    lacking = [member for member in _MEMBERS if not callable(getattr(made, member, None))]
    if lacking:
        return f"must have the methods {', '.join(_MEMBERS)}, but {printed(made)} lacks {lacking[0]}"
    slots = getattr(made, "slots", None)
    if not isinstance(slots, int) or slots < 1:
        return f"must have 1 slot or more, but {printed(made)} has {printed(slots)}"
    return None


def _others(name: str) -> str:
    return f"correct that, or use another executor ({', '.join(sorted(EXECUTORS.keys() - {name}))})"

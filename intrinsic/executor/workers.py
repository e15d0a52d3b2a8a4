"""Where trials run: in this process, or in worker processes. No torch here until a trial runs.

Another place (a cluster) is another class that meets `Executor`; intrinsic.executor.run_trials asks for
nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Protocol

from intrinsic.errors import IntrinsicError, SpecError
from intrinsic.executor.attempt import Attempt, Progress, Runner, default_runner
from intrinsic.executor.serve import Begun, News, Raised, Ready, serve
from intrinsic.records import TrialResult
from intrinsic.spec import TrialSpec

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
INTERRUPTED = "stopped before it ended"
WORKER_NAME = "intrinsic-worker"
GUARD = 'a script that uses jobs > 1 must keep its code under `if __name__ == "__main__":`'
CLOSE_SECONDS = 2.0
"""How long an idle worker may take to end by itself."""


class Executor(Protocol):
    """Runs up to `slots` trials at a time.

    start(spec, progress) hands one over, and is called only while fewer than `slots` are under way.
    poll(seconds) waits at most so long (one trial's duration where trials run in this process) and gives
    the trials that ended. A trial that breaks is a result with status `failed`; an IntrinsicError (the data are
    absent, a name is unknown) is raised. abort() ends everything at once and gives what was
    running as `interrupted`; close() ends an idle executor.
    """

    slots: int

    def start(self, spec: TrialSpec, progress: Progress) -> None: ...

    def poll(self, seconds: float) -> list[TrialResult]: ...

    def abort(self) -> list[TrialResult]: ...

    def close(self) -> None: ...


def make_executor(jobs: int = 1, runner: Runner | None = None) -> Executor:
    """One job runs in this process, several in as many worker processes."""
    if jobs < 1:
        raise SpecError(f"jobs must be 1 or more, got {jobs}")
    return InProcess(runner) if jobs == 1 else WorkerPool(jobs, runner)


class InProcess:
    """Runs one trial at a time, here, within poll()."""

    slots = 1

    def __init__(self, runner: Runner | None = None) -> None:
        self._runner = runner
        self._running: Attempt | None = None
        self._interrupted: TrialResult | None = None

    def start(self, spec: TrialSpec, progress: Progress) -> None:
        self._running = Attempt(spec, progress)

    def poll(self, seconds: float) -> list[TrialResult]:
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
        running, self._running = self._running, None
        return [] if running is None else [self._interrupted or running.stopped("interrupted", INTERRUPTED)]

    def close(self) -> None:
        """Nothing is open."""


class WorkerPool:
    """Up to `jobs` processes, started when first needed and kept for the next trial.

    The machine's threads are divided among them. A worker ignores Ctrl-C (this process decides), and dies with
    this process however that dies; on Linux also with the thread that started it, so a thread that calls
    start() must outlive the pool. A worker that is killed, by the kernel for want of memory say, makes its
    trial `failed`; another takes its place.
    """

    def __init__(self, jobs: int, runner: Runner | None = None) -> None:
        if multiprocessing.current_process().name == WORKER_NAME:
            raise IntrinsicError(f"a worker process was asked to start workers: {GUARD}")
        self.slots = jobs
        self._threads = max(1, available_cores() // jobs)
        try:
            self._runner = pickle.dumps(runner)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise SpecError(f"worker processes need a runner that is importable by name, got {runner!r}") from error
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []

    def start(self, spec: TrialSpec, progress: Progress) -> None:
        attempt = Attempt(spec, progress)  # before the worker is up: the user waits for that too
        self._hand_over(attempt, self._rested() or _Worker(self._runner, self._threads))

    def _hand_over(self, attempt: Attempt, worker: _Worker) -> None:
        worker.attempt, worker.begun = attempt, False
        self._busy.append(worker)
        with suppress(OSError):  # it died just now: poll() finds out
            worker.connection.send(attempt.spec)

    def poll(self, seconds: float) -> list[TrialResult]:
        if not self._busy:
            time.sleep(seconds)
            return []
        ready = wait([worker.connection for worker in self._busy], seconds)
        heard = [self._hear(worker) for worker in list(self._busy) if worker.connection in ready]
        return [result for result in heard if result is not None]

    def abort(self) -> list[TrialResult]:
        busy, idle = self._busy, self._idle
        self._busy, self._idle = [], []
        for worker in idle:
            worker.kill()
        return [worker.kill() or worker.attempt.stopped("interrupted", INTERRUPTED) for worker in busy]

    def close(self) -> None:
        for worker in self._idle:
            worker.connection.close()  # its next recv() ends it
        for worker in self._idle:
            worker.process.join(CLOSE_SECONDS)
        self.abort()

    def _rested(self) -> _Worker | None:
        """An idle worker that is still alive."""
        while self._idle:
            worker = self._idle.pop()
            if worker.process.is_alive():
                return worker
            worker.kill()
        return None

    def _hear(self, worker: _Worker) -> TrialResult | None:
        """One message of a worker; a trial's result if it was that."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if isinstance(message, Ready):
            worker.ready = True
        elif isinstance(message, Begun):
            worker.begun = True
        elif isinstance(message, News):
            worker.attempt.progress(message.step, message.steps, message.loss)
        else:
            self._busy.remove(worker)
            self._idle.append(worker)
            worker.rested = True
            if isinstance(message, Raised):
                raise message.rebuilt()
            assert isinstance(message, TrialResult)
            return message
        return None

    def _bury(self, worker: _Worker) -> TrialResult | None:
        """The failed trial of a lost worker; None if another worker can still try."""
        self._busy.remove(worker)
        worker.kill()
        if worker.rested and not worker.begun:  # it was lost between two trials, not by this one
            self._hand_over(worker.attempt, _Worker(self._runner, self._threads))
            return None
        code = worker.process.exitcode
        if not worker.ready and code is not None and code >= 0:
            raise IntrinsicError(
                f"a worker process ended before its first trial (exit code {code}, its own message is above); "
                f"if that speaks of starting workers: {GUARD}"
            )
        return worker.attempt.stopped("failed", f"the worker process was lost ({_cause(code)})")


class _Worker:
    """One process and the connection to it."""

    def __init__(self, runner: bytes, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=serve, args=(theirs, runner, threads, os.getpid()), daemon=True, name=WORKER_NAME
        )
        # Numerical libraries read these when they are loaded, which may be before our first line runs there.
        with _environment(dict.fromkeys(THREAD_VARIABLES, str(threads))), _interrupts_held():
            self.process.start()
        theirs.close()  # else its end would never show as an end of file here
        self.ready = self.rested = self.begun = False
        self.attempt: Attempt

    def kill(self) -> TrialResult | None:
        """End the process at once; its result, if it had already sent one."""
        self.process.kill()
        self.process.join()
        result = None
        with suppress(EOFError, OSError):
            while not isinstance(result, TrialResult):
                result = self.connection.recv()  # what is in the pipe, then the end of file
        self.connection.close()
        return result if isinstance(result, TrialResult) else None


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}; the system does this when memory runs out" if name == "SIGKILL" else name


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process started within inherits the blocked signal: Ctrl-C cannot hit it before it ignores that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

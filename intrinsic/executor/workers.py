"""The executor that runs trials in worker processes on this machine. No torch here."""

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

from intrinsic.errors import IntrinsicError, SpecError
from intrinsic.executor.attempt import INTERRUPTED, Attempt, OnProgress, Runner
from intrinsic.executor.serve import Advanced, Begun, Raised, Ready, serve
from intrinsic.records import TrialResult
from intrinsic.spec import TrialSpec

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables from which numerical libraries read their number of threads."""
WORKER_NAME = "intrinsic-worker"
"""Name of every worker process."""
GUARD = 'a script that uses jobs > 1 must keep its code under `if __name__ == "__main__":`'
"""The remedy where workers are started by a worker's own import of the script."""
CLOSE_SECONDS = 2.0
"""Seconds that an idle worker has to end by itself before it is killed."""


class WorkerPool:
    """Runs up to `jobs` trials at a time, each in a process that is started when first needed and then kept.

    The machine's threads are divided among them. A worker ignores Ctrl-C (this process decides), and dies with
    this process however that dies; on Linux also with the thread that started it, so a thread that calls
    start() must outlive the pool. A worker that is killed, by the kernel for want of memory say, makes its
    trial `failed`; another takes its place.

    Raises SpecError for a runner that cannot be imported by name, IntrinsicError within a worker process.
    """

    def __init__(self, jobs: int, runner: Runner | None = None) -> None:
        if multiprocessing.current_process().name == WORKER_NAME:
            raise IntrinsicError(f"a worker process was asked to start workers: {GUARD}")
        self.slots = jobs
        """Number of trials that may be under way at once."""
        self._threads = max(1, available_cores() // jobs)
        try:
            self._runner = pickle.dumps(runner)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise SpecError(f"worker processes need a runner that is importable by name, got {runner!r}") from error
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []
        self._ended: list[TrialResult] = []
        """Results that no poll() has given yet: an error raised between two of them loses none."""

    def start(self, spec: TrialSpec, progress: OnProgress) -> None:
        """Hand the trial to an idle worker, or to a new one."""
        attempt = Attempt(spec, progress)  # before the worker is up: the user waits for that too
        self._hand_over(attempt, self._rested() or _Worker(self._runner, self._threads))

    def _hand_over(self, attempt: Attempt, worker: _Worker) -> None:
        worker.attempt, worker.begun = attempt, False
        self._busy.append(worker)
        with suppress(OSError):  # it died just now: poll() finds out
            worker.connection.send(attempt.spec)

    def poll(self, seconds: float) -> list[TrialResult]:
        """Hear what the workers say within `seconds`, and give the results among it."""
        if not self._busy and not self._ended:
            time.sleep(seconds)
            return []
        ready = wait([worker.connection for worker in self._busy], 0 if self._ended else seconds)
        for worker in [worker for worker in self._busy if worker.connection in ready]:
            self._hear(worker)
        ended, self._ended = self._ended, []
        return ended

    def abort(self) -> list[TrialResult]:
        """Kill all workers; give what had ended, and `interrupted` for the rest."""
        ended, busy, idle = self._ended, self._busy, self._idle
        self._ended, self._busy, self._idle = [], [], []
        for worker in idle:
            worker.kill()
        return ended + [worker.kill() or worker.attempt.stopped("interrupted", INTERRUPTED) for worker in busy]

    def close(self) -> None:
        """Let idle workers end by themselves, and kill the others."""
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

    def _hear(self, worker: _Worker) -> None:
        """Act on one message of a worker, or on its end."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if isinstance(message, Ready):
            worker.ready = True
        elif isinstance(message, Begun):
            worker.begun = True
        elif isinstance(message, Advanced):
            worker.attempt.progress(message.step, message.steps, message.loss)
        else:
            self._rest(worker)
            if isinstance(message, Raised):
                raise message.rebuilt()
            assert isinstance(message, TrialResult)
            self._ended.append(message)

    def _rest(self, worker: _Worker) -> None:
        self._busy.remove(worker)
        self._idle.append(worker)
        worker.rested = True

    def _bury(self, worker: _Worker) -> None:
        """Record the trial of a lost worker as failed, or give it to another worker that can still try."""
        self._busy.remove(worker)
        worker.kill()
        if worker.rested and not worker.begun:  # it was lost between two trials, not by this one
            self._hand_over(worker.attempt, _Worker(self._runner, self._threads))
            return
        code = worker.process.exitcode
        if not worker.ready and code is not None and code >= 0:
            raise IntrinsicError(
                f"a worker process ended before its first trial (exit code {code}, its own message is above); "
                f"if that speaks of starting workers: {GUARD}"
            )
        self._ended.append(worker.attempt.stopped("failed", f"the worker process was lost ({_cause(code)})"))


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
    """Number of cores this process may use."""
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

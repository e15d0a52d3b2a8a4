"""The loop of a worker process, and the messages it sends to `workers`. No torch until a trial runs."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from intrinsic import errors
from intrinsic.errors import IntrinsicError, SpecError
from intrinsic.executor.attempt import Attempt, Runner, default_runner

PROGRESS_SECONDS = 0.05
"""Least number of seconds between two messages about a trial's progress."""


@dataclass(frozen=True)
class Ready:
    """The message that a worker has loaded its runner."""


@dataclass(frozen=True)
class Begun:
    """The message that a worker has taken its next trial."""


@dataclass(frozen=True)
class Advanced:
    """The message that a worker's trial has come to a step."""

    step: int
    steps: int
    loss: float | None


@dataclass(frozen=True)
class Raised:
    """The message that a worker's runner raised an IntrinsicError."""

    name: str
    """Name of the error's class."""
    message: str

    def rebuilt(self) -> IntrinsicError:
        """The error again; as a SpecError where it was an UnknownName, which is not made from its message."""
        kind = getattr(errors, self.name, IntrinsicError)
        return SpecError(self.message) if kind is errors.UnknownName else kind(self.message)


def serve(connection: Connection, pickled: bytes, threads: int, parent: int) -> None:
    """Run the trials that come through `connection`, one after another, until its other end closes.

    pickled: the runner, or None. threads: how many a trial may use. parent: id of the process with the other end.
    """
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    runner: Runner = pickle.loads(pickled) or default_runner()
    connection.send(Ready())
    while True:
        try:
            spec = connection.recv()
            connection.send(Begun())
        except (EOFError, OSError):
            return
        try:
            message: object = Attempt(spec, _Throttled(connection)).run(runner, threads)
        except IntrinsicError as error:
            message = Raised(type(error).__name__, str(error))
        connection.send(message)


class _Throttled:
    """Sends progress to the other end, but not every step of a fast training."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = -PROGRESS_SECONDS

    def __call__(self, step: int, steps: int, loss: float | None) -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_SECONDS or step == steps:
            self._last = now
            self._connection.send(Advanced(step, steps, loss))


def _die_with(parent: int) -> None:
    """End this process when its parent ends, even by SIGKILL, and in the middle of a long native call."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    """The portable way: the parent holds the other end of this process's sentinel."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

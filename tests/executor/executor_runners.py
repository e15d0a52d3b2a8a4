"""Trials and runners for the tests of executors; at module level, so that worker processes can import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import synthetic

from intrinsic.errors import DataError, Diverged, UnknownName


def specs(count: int) -> list:
    return [synthetic.spec(8 * (k + 1)) for k in range(count)]


def runs(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def breaks(spec, *, progress=None, threads=None):
    if spec.method.subspace_dim == 16:
        raise ZeroDivisionError("made to break")
    return synthetic.run(spec)


def diverges(spec, *, progress=None, threads=None):
    raise Diverged("the loss is not finite at step 3")


def no_data(spec, *, progress=None, threads=None):
    raise DataError("there is no such data")


def no_data_at_16_behind_a_gate(spec, *, progress=None, threads=None):
    """Run the trial once the file $GATE exists; at dimension 16 there is no data."""
    wait_until(Path(os.environ["GATE"]).exists)
    if spec.method.subspace_dim == 16:
        raise DataError("there is no such data")
    return synthetic.result(spec)


def unknown(spec, *, progress=None, threads=None):
    raise UnknownName("task", "mprc", ["mrpc"])


def kills_itself(spec, *, progress=None, threads=None):
    if spec.method.subspace_dim == 16:
        os.kill(os.getpid(), signal.SIGKILL)
    return synthetic.run(spec)


def exits(spec, *, progress=None, threads=None):
    os._exit(7)


def tells_threads(spec, *, progress=None, threads=None):
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    seen = {name: float(os.environ[name]) for name in names}
    return synthetic.result(spec, scores={**seen, "threads": threads, "pid": os.getpid()})


def interrupted_at_24(spec, *, progress=None, threads=None):
    if spec.method.subspace_dim == 24:
        raise KeyboardInterrupt
    return synthetic.run(spec)


def interrupted_with_a_record(spec, *, progress=None, threads=None):
    stop = KeyboardInterrupt()
    stop.result = synthetic.result(spec, status="interrupted", steps=7)
    raise stop


def slow_at_8(spec, *, progress=None, threads=None):
    if spec.method.subspace_dim == 8:
        time.sleep(60)
    return synthetic.run(spec, progress=progress, threads=threads)


def alive(pid: str) -> bool:
    """Whether the process runs; a dead one that nobody has waited for does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)

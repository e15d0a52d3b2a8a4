"""The exclusive right of one process to run one trial, given back by the kernel when the process ends.

A claim is a lock (flock(2)) on a file of its own. NFS and most cluster file systems carry such locks
between machines. Where they are not supported (and on Windows) every claim is granted: two processes may
then run the same trial at the same time, which costs time but no correctness, for results are replaced whole.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from intrinsic.store.disk import refused

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""Numbers of the errors by which a file system says that it has no locks."""


class Claim:
    """The right to run one trial, held until release() or the end of the process."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the right back; a second call does nothing."""
        if self._descriptor is not None:
            with suppress(OSError):  # the directory may be gone; closing is what frees the lock
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def take(path: Path) -> Claim | None:
    """Take the claim whose lock file is `path`; None while someone else holds it.

    Raises StoreError where the lock file cannot be made.
    """
    try:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                held = _lock(descriptor)
                # A former owner may have removed the file between our open and our lock: then again.
                current = held is not True or _is_open_file(path, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if held and current:
                _sign(descriptor)
                return Claim(path, descriptor)
            os.close(descriptor)
            if held is None:
                return Claim(path, None)
            if not held:
                return None
    except OSError as error:
        raise refused("write", path, error) from error


def _lock(descriptor: int) -> bool | None:
    """True: locked. False: another holds it. None: this file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _is_open_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """Say in the lock file who holds it, for the person who looks."""
    with suppress(OSError):
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{socket.gethostname()} {os.getpid()}\n".encode())

"""Records as files: read with a reason when they are bad, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from intrinsic.errors import StoreError
from intrinsic.records import SCHEMA_VERSION, CompareResult, MeasureResult, TrialErrors, TrialResult
from intrinsic.spec import STORED

STALE_SECONDS = 3600.0
"""Age in seconds at which an unfinished temporary file is taken to belong to a dead process."""
REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again; what was written before is kept",
    errno.EDQUOT: "free some of your quota and run the same command again; what was written before is kept",
    errno.EFBIG: "raise the limit on file sizes and run the same command again; what was written before is kept",
    errno.EACCES: "choose a directory that you have the rights for",
    errno.EPERM: "choose a directory that you have the rights for",
    errno.EROFS: "choose a directory on a disk that can be written",
    errno.ENOTDIR: "choose a directory whose path does not lead through a file",
    errno.EEXIST: "choose a directory that is not a file",
    errno.EISDIR: "move the directory that is in the way",
    errno.ENOENT: "the path is gone or cannot be made; run the same command again, or choose another directory",
    errno.ENAMETOOLONG: "choose a directory with a shorter path",
    errno.ELOOP: "choose a directory whose path holds no circle of links",
    errno.EMFILE: "raise the limit on open files (ulimit -n) and run the same command again",
    errno.EIO: "the disk is failing: choose a directory on another one",
}
"""Remedy by the number of the operating system's error."""

Record = TypeVar("Record", TrialResult, MeasureResult, CompareResult, TrialErrors)


def refused(verb: str, path: Path, error: OSError) -> StoreError:
    """The error for what the operating system refused: one sentence that ends with a remedy."""
    remedy = REMEDIES.get(error.errno or 0, "check the disk and the path")
    return StoreError(f"cannot {verb} {path} ({error.strerror or error}): {remedy}")


def read_record(path: Path, kind: type[Record]) -> Record:
    """The record in a file. Raises ValueError with a short reason if it holds none, OSError if it cannot be read."""
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")
    try:
        content = path.read_bytes()
        record = kind.model_validate_json(content, context=STORED)
        json.loads(content, parse_constant=_not_finite)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    if record.meta.schema_version != SCHEMA_VERSION:
        raise ValueError(f"schema version {record.meta.schema_version}, this program reads {SCHEMA_VERSION}")
    return record


def _not_finite(name: str) -> None:
    """pydantic reads the bare NaN and Infinity that JSON does not have; no record is written with one."""
    raise ValueError(f"it holds the number {name}; all numbers of a record are finite")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content`: at any moment, a power cut included, it holds all of the old or of the new.

    Raises StoreError if the disk is full or closed to us; nothing is left half-written then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise refused("write", path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_files(folder: Path, contents: Mapping[str, str | bytes]) -> list[Path]:
    """Write files (name -> content) into a folder, each whole or not at all, and name them.

    Raises StoreError where the folder cannot be written.
    """
    prepare(folder)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def check_writable(folder: Path) -> None:
    """Raise StoreError if a folder cannot be written, or created, as far as this shows without doing it."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    code = 0
    if not os.path.isdir(there):
        code = errno.EEXIST if there == folder else errno.ENOTDIR
    elif not os.access(there, os.W_OK | os.X_OK):
        code = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
    if code:
        raise refused("write to", folder, OSError(code, os.strerror(code)))


def prepare(folder: Path) -> None:
    """Create a folder if need be, see that it can be written, and sweep up what killed processes left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise refused("write to", folder, error) from error
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


def _sync_directory(folder: Path) -> None:
    """Make a rename durable; some file systems and Windows cannot sync a directory, and need not."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

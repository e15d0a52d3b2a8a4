"""Errors counted on trials that were trained again: errors/<trial id>.json beside the trials. No torch here."""

from __future__ import annotations

import os
from pathlib import Path

from intrinsic.errors import StoreError
from intrinsic.records import TrialErrors
from intrinsic.store.disk import prepare, read_record, refused, write_atomically

FOLDER = "errors"
"""Name of the folder in an output directory."""


def write_errors(output_dir: str | os.PathLike[str], counted: TrialErrors) -> None:
    """Write the errors counted on one trial, whole or not at all; they replace earlier ones of the same trial.

    Raises StoreError if they cannot be written.
    """
    folder = Path(output_dir) / FOLDER
    prepare(folder)
    kind = "-random-labels" if counted.random_labels else ""
    write_atomically(folder / f"{counted.trial_id}{kind}.json", counted.model_dump_json(indent=1))


def read_errors(output_dir: str | os.PathLike[str]) -> list[TrialErrors]:
    """Errors counted on all trials in a directory, in the order of the files' names.

    Raises StoreError, which names the file, if one is damaged or cannot be read.
    """
    found = []
    for path in sorted((Path(output_dir) / FOLDER).glob("*.json")):
        try:
            found.append(read_record(path, TrialErrors))
        except OSError as error:
            raise refused("read", path, error) from error
        except ValueError as error:
            raise StoreError(
                f"{path} is damaged ({error}): delete it, `intrinsic bound --count` counts again"
            ) from error
    return found

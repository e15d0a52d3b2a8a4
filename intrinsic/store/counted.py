"""Errors counted on trials that were trained again: errors/<trial id>.json beside the trials. No torch here."""

from __future__ import annotations

import os
from pathlib import Path

from intrinsic.errors import StoreError
from intrinsic.records import TrialErrors
from intrinsic.store.disk import prepare, read_record, refused, write_atomically

FOLDER = "errors"


def write_errors(output_dir: str | os.PathLike[str], counted: TrialErrors) -> None:
    """Whole or not at all; counts of the same trial are replaced. Raises StoreError if it cannot be written."""
    folder = Path(output_dir) / FOLDER
    prepare(folder)
    kind = "-random-labels" if counted.random_labels else ""
    write_atomically(folder / f"{counted.trial_id}{kind}.json", counted.model_dump_json(indent=1))


def read_errors(output_dir: str | os.PathLike[str]) -> list[TrialErrors]:
    """All that were counted, in the order of their names; StoreError names a file that is damaged."""
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

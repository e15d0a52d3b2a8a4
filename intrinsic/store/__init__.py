"""The store of results: one JSON file a trial, keyed by the hash of its spec. No torch here.

    <output_dir>/
      trials/<trial id>.json           the truth; written whole or not at all
      trials/<trial id>.json.damaged   a file that could not be read, moved aside when its trial ran again
      claims/<trial id>.lock           exists while a process runs that trial
      index.sqlite                     a cache over trials/ (intrinsic.store.index); may be deleted at any time
      results/<measure id>.json        every measurement made in this directory
      result.json                      a copy of the newest one
      comparisons/<compare id>.json    every comparison made in this directory
      comparison.json                  a copy of the newest one

Different measurements may share a directory: they share the trials they have in common, and none
overwrites another's result.

What answers: a trial that ended `ok`, `diverged` or `out-of-memory` is not run again. `failed` (an
exception, a killed worker) and `interrupted` trials run again the next time they are asked for. Out of
memory answers although another machine might have more of it, because a resumed measurement would
otherwise run into the same wall again every time: to try it elsewhere, delete that trial's file or use
another directory.

Several processes may work on one directory: a process claims a trial before it runs it
(intrinsic.store.claims), and who finds it claimed waits for the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from intrinsic.errors import StoreError
from intrinsic.problems.metrics import range_of
from intrinsic.records import CompareResult, MeasureResult, TrialResult
from intrinsic.store.claims import Claim, take
from intrinsic.store.disk import check_writable, prepare, read_record, refused, write_atomically
from intrinsic.store.index import Index, Stamp, Summary, summarise
from intrinsic.store.results import COMPARISONS, MEASUREMENTS

ANSWERS = ("ok", "diverged", "out-of-memory")
"""Statuses of trials that are not run again."""


@dataclass(frozen=True)
class Damage:
    """A file that holds no usable record, and why."""

    path: Path
    """File that is damaged."""
    reason: str
    """Reason in a few words."""


class Store:
    """The results in one output directory, which is created with the first thing that is written into it.

    read_only=True writes nothing, not even an index, and needs the directory to exist.

    Raises StoreError, one sentence, where the directory cannot be read or written.
    """

    def __init__(self, output_dir: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self.path = Path(output_dir)
        """Output directory."""
        self.read_only = read_only
        """Whether nothing is written."""
        self._trials = self.path / "trials"
        self._claims = self.path / "claims"
        self._damaged: dict[str, Damage] = {}
        self._announced: set[str] = set()
        self._prepared = False
        if read_only:
            _check_directory(self.path)
        else:
            check_writable(self.path)
        self._index = Index(None if read_only else self.path / "index.sqlite", self.get)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index; the store must not be used afterwards."""
        self._index.close()

    def get(self, trial_id: str) -> TrialResult | None:
        """The stored trial, whatever its status; None if there is none or its file is damaged."""
        path = self._file(trial_id)
        try:
            result = read_record(path, TrialResult)
            _check_identity(result, trial_id)
            _check_score(result)
        except FileNotFoundError:
            self._damaged.pop(trial_id, None)
            return None
        except OSError as error:
            raise refused("read", path, error) from error
        except ValueError as error:
            self._damaged[trial_id] = Damage(path, str(error))
            return None
        self._damaged.pop(trial_id, None)
        return result

    def answer(self, trial_id: str) -> TrialResult | None:
        """The stored trial if it need not run again (see ANSWERS)."""
        result = self.get(trial_id)
        return result if result is not None and result.run.status in ANSWERS else None

    def put(self, result: TrialResult) -> None:
        """Store a trial, whole or not at all; it replaces an earlier record of the same spec.

        Raises StoreError if the disk is full or closed to us, if the record is not fit for storage, or if
        its data or weights are not those of the trials that are stored already.
        """
        text = result.model_dump_json(indent=1)
        _check_storable(result, text)
        self._prepare()
        self._check_same_origin(result)
        path = self._file(result.run.trial_id)
        if result.run.trial_id in self._damaged:
            self._set_aside(path)
        write_atomically(path, text)
        self._damaged.pop(result.run.trial_id, None)

    def __iter__(self) -> Iterator[TrialResult]:
        """All readable trials, in the order of their ids."""
        for trial_id in sorted(self._stamps()):
            result = self.get(trial_id)
            if result is not None:
                yield result

    def summaries(self) -> list[Summary]:
        """Summaries of all readable trials, in the order of their ids, from the index."""
        return self._index.rows(self._stamps())

    def rebuild_index(self) -> None:
        """Make the index anew from the trials' files (done by itself where it is needed)."""
        self._index.rebuild()
        self.summaries()

    @property
    def damaged(self) -> tuple[Damage, ...]:
        """Files found damaged so far and not replaced since: they are skipped, their trials run again."""
        return tuple(self._damaged[trial_id] for trial_id in sorted(self._damaged))

    def new_damage(self) -> list[Damage]:
        """Damaged files that no call of this method has named yet."""
        fresh = sorted(self._damaged.keys() - self._announced)
        self._announced.update(fresh)
        return [self._damaged[trial_id] for trial_id in fresh]

    def claim(self, trial_id: str) -> Claim | None:
        """The right to run a trial; None while another process, or another Store, holds it."""
        self._prepare()
        return take(self._claims / f"{trial_id}.lock")

    def put_measurement(self, result: MeasureResult) -> None:
        """Write results/<measure id>.json, then result.json."""
        self._prepare()
        MEASUREMENTS.write(self.path, result.run.measure_id, result)

    def measured(self, measure_id: str) -> bool:
        """Whether this measurement has been finished here."""
        return MEASUREMENTS.file(self.path, measure_id).is_file()

    def put_comparison(self, result: CompareResult) -> None:
        """Write comparisons/<compare id>.json, then comparison.json."""
        self._prepare()
        COMPARISONS.write(self.path, result.run.compare_id, result)

    def compared(self, compare_id: str) -> bool:
        """Whether this comparison has been finished here."""
        return COMPARISONS.file(self.path, compare_id).is_file()

    def _prepare(self) -> None:
        """Create the folders. Done with the first writing: a command refused before it leaves nothing behind."""
        if not self._prepared:
            for folder in (self.path, self._trials, self._claims):
                prepare(folder)
            self._prepared = True

    def _file(self, trial_id: str) -> Path:
        return self._trials / f"{trial_id}.json"

    def _stamps(self) -> dict[str, Stamp]:
        stamps = {}
        try:
            for entry in os.scandir(self._trials):
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        info = entry.stat()
                        stamps[entry.name.removesuffix(".json")] = (info.st_mtime_ns, info.st_size)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise refused("read", self._trials, error) from error
        return stamps

    def _check_same_origin(self, result: TrialResult) -> None:
        line = summarise(result)
        for what, scope, found in (
            ("data", line.data_scope, line.data_hash),
            ("weights", line.weights_scope, line.weights_hash),
        ):
            where = f"{what}_scope = ? AND {what}_hash != ? AND trial_id != ? AND status IN {ANSWERS}"
            if found and self._index.rows(self._stamps(), where, (scope, found, line.trial_id)):
                raise StoreError(
                    f"the {what} of {line.model} on {line.task} changed since the trials in {self.path} "
                    f"were made (fingerprint now {found[:12]}): restore the former {what}, or use another "
                    "output directory"
                )

    def _set_aside(self, path: Path) -> None:
        try:
            os.replace(path, path.with_name(f"{path.name}.damaged"))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise refused("write", path, error) from error


def read_measurement(output_dir: str | os.PathLike[str], measure_id: str | None = None) -> MeasureResult:
    """The newest measurement in a directory, or the one named; StoreError if it is absent or damaged."""
    return MEASUREMENTS.read(Path(output_dir), measure_id)


def read_comparison(output_dir: str | os.PathLike[str], compare_id: str | None = None) -> CompareResult:
    """The newest comparison in a directory, or the one named; StoreError if it is absent or damaged."""
    return COMPARISONS.read(Path(output_dir), compare_id)


def _check_directory(path: Path) -> None:
    if not os.path.lexists(path):
        raise StoreError(f"there is no directory {path}: name one that `intrinsic measure` wrote")
    if not os.path.isdir(path):
        raise StoreError(f"expected a directory, got the file {path}: name one that `intrinsic measure` wrote")


def _check_identity(result: TrialResult, trial_id: str) -> None:
    if result.run.trial_id != trial_id:
        raise ValueError(f"it holds trial {result.run.trial_id}, not {trial_id}")
    if result.run.spec.id != trial_id:
        raise ValueError(f"its spec has the id {result.run.spec.id}: edited, or written by another version")


def _check_score(result: TrialResult) -> None:
    low, high = range_of(result.train.metric)
    if result.train.score is not None and not low <= result.train.score <= high:
        raise ValueError(f"its {result.train.metric} is {result.train.score:g}, outside of {low:g} to {high:g}")


def _check_storable(result: TrialResult, text: str) -> None:
    """Raise StoreError for a record that would not read back equal, as one whose score is not finite."""
    try:
        _check_identity(result, result.run.trial_id)
        if TrialResult.model_validate_json(text) != result:
            raise ValueError("it does not survive JSON: are all its numbers finite?")
    except ValueError as error:
        raise StoreError(f"trial {result.run.trial_id} cannot be stored: {error}") from error

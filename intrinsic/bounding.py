"""`bound`: from a finished measurement to every bound on its error, counting errors first if asked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from intrinsic.errors import StoreError
from intrinsic.problems import PROBLEMS
from intrinsic.records import MeasureResult, TrialErrors, TrialResult, TrialRow
from intrinsic.report import notebook
from intrinsic.report.bounds import write_bounds
from intrinsic.report.bounds.price import WIDTHS
from intrinsic.report.bounds.rows import BoundRow, Claim, Material, representatives, rows_of
from intrinsic.spec import TaskSpec
from intrinsic.store import Store, read_measurement
from intrinsic.store.counted import read_errors, write_errors
from intrinsic.tasks import TASKS

DELTA = 0.05
"""The probability with which a bound may fail, unless another one is asked for."""


@dataclass(frozen=True)
class CountingBegins:
    """Trials are about to be trained again."""

    trials: int
    seconds: float
    """Time of their first training, in all."""


@dataclass(frozen=True)
class ErrorsCounted:
    """The errors of one trial are counted and stored."""

    d: int
    found: TrialErrors


OnCount = Callable[[CountingBegins | ErrorsCounted], None]


@dataclass(frozen=True)
class Bounds:
    """Every bound that a measurement allows."""

    material: Material
    """Run, errors and certificates from which the bounds are made."""
    rows: tuple[BoundRow, ...]
    """The bounds and what they stand beside, one number a row."""
    files: tuple[Path, ...]
    """The files that were written."""

    def _repr_html_(self) -> str:
        """The findings, the table and the figure, as a notebook shows them."""
        return notebook.bounds(self.material, self.rows)


def bound(
    folder: str | PathLike[str],
    *,
    measure_id: str | None = None,
    delta: float = DELTA,
    count: bool = False,
    random_labels: bool = False,
    certificate: str | PathLike[str] | None = None,
    output_dir: str | PathLike[str] | None = None,
    on_count: OnCount = lambda event: None,
) -> Bounds:
    """The bounds on the error of a measurement's networks on new examples; with files of all of them.

    folder: the output folder of `measure`; measure_id: an older result in it. delta: the probability with which each
    bound may fail. count: train one trial a dimension again and count its training errors; random_labels: once more on
    shuffled labels, as a check. What was counted before is kept in the folder and not counted again.
    certificate: one to show beside; None: that of the folder, if there is one. output_dir: where the files go; None:
    into folder.

    Raises StoreError for a folder without the records that are needed, or a certificate of other data, SpecError for a
    run whose errors cannot be bounded, and what training raises.
    """
    home = Path(folder)
    result = read_measurement(home, measure_id)
    claims = _claims(home, None if certificate is None else Path(certificate), result)
    material = Material(result, _trials(home, result), {}, delta, claims=claims)
    rows_of(material)  # what has no bound is refused before anything is trained
    _check_problem(result.run.spec.task)
    if count or random_labels:
        _count(home, material, (count, random_labels), on_count)
    counted = read_errors(home)
    material = replace(
        material,
        errors={c.trial_id: c for c in counted if not c.random_labels},
        shuffled={c.trial_id: c for c in counted if c.random_labels},
    )
    rows = rows_of(material)
    written = write_bounds(material, rows, home if output_dir is None else Path(output_dir))
    return Bounds(material, tuple(rows), tuple(written))


def _check_problem(spec: TaskSpec) -> None:
    """Raise SpecError for a task whose answers are not right or wrong one by one; one not installed here passes."""
    info = TASKS.get(spec.name)
    if info is not None:
        PROBLEMS[info.asked(spec).problem].check_countable(info.name, "a bound")


def _trials(folder: Path, result: MeasureResult) -> dict[str, TrialResult]:
    """The records of the trials that stand for their dimension, as far as the folder has them."""
    with Store(folder, read_only=True) as store:
        found = [store.get(trial.trial_id) for trial in representatives(result)]
    return {trial.run.trial_id: trial for trial in found if trial is not None}


def _claims(folder: Path, named: Path | None, result: MeasureResult) -> tuple[Claim, ...]:
    """The certificate in the folder, or the one named, if it speaks of the run's own data."""
    path = named or folder / "certificate.json"
    if not path.exists():
        if named is not None:
            raise StoreError(f"there is no certificate at {named}: name one that `intrinsic certify` wrote")
        return ()
    from intrinsic.certificate.record import read_certificate  # which loads torch

    found = read_certificate(path)
    data = result.meta.hashes.get("data")
    if data not in (None, found.hashes.data):
        raise StoreError(f"{path} speaks of other data than the run in {folder}: give one made with the same task")
    name = "certificate, shuffled labels" if found.grid.random_labels else "certificate"
    return (Claim(name, found.bound, sum(found.delta.values()), found.dim, found.bits),)


def _count(folder: Path, material: Material, wanted: tuple[bool, bool], tell: OnCount) -> None:
    """Count the errors of trials trained again, and keep them in the folder; what was counted before stays.

    wanted: whether to count at every dimension on the true labels, and at one dimension on shuffled labels.
    """
    todo = _uncounted(folder, material, wanted)
    missing = [row.trial_id for row, _ in todo if row.trial_id not in material.trials]
    if missing:
        raise StoreError(
            f"to count errors the trials' records are needed, and {folder}/trials lacks {missing[0]}: "
            "measure again into this folder, or leave --count and --random-labels out"
        )
    tell(CountingBegins(len(todo), sum(row.seconds for row, _ in todo)))
    for row, shuffle in todo:
        from intrinsic.trial.risk import count_errors

        found = count_errors(material.trials[row.trial_id].run.spec, WIDTHS, random_labels=shuffle)
        write_errors(folder, found)
        tell(ErrorsCounted(row.d or 0, found))


def _uncounted(folder: Path, material: Material, wanted: tuple[bool, bool]) -> Sequence[tuple[TrialRow, bool]]:
    """The trials to count, each with whether its labels are to be shuffled."""
    known = {(c.trial_id, c.random_labels) for c in read_errors(folder)}
    rows, d90 = representatives(material.result), material.result.result.d90
    middle = d90 if d90 in {row.d for row in rows} else rows[len(rows) // 2].d
    asked = [(row, False) for row in rows if wanted[0]] + [(row, True) for row in rows if wanted[1] and row.d == middle]
    return [(row, shuffle) for row, shuffle in asked if (row.trial_id, shuffle) not in known]

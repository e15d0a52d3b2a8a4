"""curve.csv: every number in the figure, one a row, and the trials of full fine-tuning."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from intrinsic.records import MeasureResult, TrialRow
from intrinsic.report.shown import CurveMarks, mark

COLUMNS = ("series", "d", "score", "low", "high", "seed", "learning_rate", "role", "mark", "status", "trial_id")
"""The file's columns."""
CsvRow = dict[str, object]
"""One row: the value of each column; an absent one is an empty cell."""


def curve_csv(result: MeasureResult) -> str:
    """The file's text, with the columns COLUMNS; `series` is trial, fit, chance, baseline, target or d.

    low and high: the fit's band, the baseline's mean -/+ one standard deviation, the interval for d. mark: how a
    trial of a subspace is drawn (:func:`intrinsic.report.shown.mark`). An empty cell: no such number. Where a lower
    score is better, a last column `better` says so in every row.
    """
    text = io.StringIO()
    direction = {} if result.result.higher_is_better else {"better": "lower"}
    writer = csv.DictWriter(text, (*COLUMNS, *direction), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, **direction} for row in _rows(CurveMarks(result)))
    return text.getvalue()


def _rows(marks: CurveMarks) -> Iterator[CsvRow]:
    yield from (_level(marks, level.name, level.y) for level in marks.levels)
    search = marks.outcome.search
    if marks.outcome.target is not None:
        low, high = search.interval
        yield {"series": "d", "d": marks.outcome.d90, "low": low, "high": high, "status": search.status}
    for point in marks.fit:
        yield {"series": "fit", "d": point.d, "score": point.mean, "low": point.low, "high": point.high}
    yield from (_trial(marks, trial) for trial in marks.outcome.trials)


def _level(marks: CurveMarks, name: str, score: float) -> CsvRow:
    baseline, band = marks.outcome.baseline, marks.baseline_band
    if name != "baseline" or baseline is None:
        return {"series": name, "score": score}
    spread = {} if band is None else dict(zip(("low", "high"), band, strict=True))
    return {"series": name, "score": score, "learning_rate": baseline.learning_rate, **spread}


def _trial(marks: CurveMarks, trial: TrialRow) -> CsvRow:
    drawn = {} if trial.d is None else {"mark": mark(trial, marks.rate)}
    return {"series": "trial", **drawn, **trial.model_dump(include=set(COLUMNS))}

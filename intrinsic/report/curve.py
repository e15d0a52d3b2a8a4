"""curve.csv: every number in the figure, one a row, and the trials of full fine-tuning."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from intrinsic.records import MeasureResult, TrialRow
from intrinsic.report.shown import mark, rate_in_use, shown_fit

COLUMNS = ("series", "d", "score", "low", "high", "seed", "learning_rate", "role", "mark", "status", "trial_id")
Row = dict[str, object]


def curve_csv(result: MeasureResult) -> str:
    """Columns as in COLUMNS; `series` is trial, fit, chance, baseline, target or d.

    low and high: the fit's band, the baseline's mean -/+ one standard deviation, the interval for d. mark: how a
    trial of a subspace is drawn (`intrinsic.report.shown.mark`). An empty cell: no such number.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(result))
    return text.getvalue()


def _rows(result: MeasureResult) -> Iterator[Row]:
    outcome = result.result
    yield {"series": "chance", "score": outcome.chance}
    if outcome.baseline is not None:
        mean, std = outcome.baseline.mean, outcome.baseline.std
        spread = {} if std is None else {"low": mean - std, "high": mean + std}
        yield {"series": "baseline", "score": mean, "learning_rate": outcome.baseline.learning_rate, **spread}
    if outcome.target is not None:
        low, high = outcome.search.interval
        yield {"series": "target", "score": outcome.target}
        yield {"series": "d", "d": outcome.d90, "low": low, "high": high, "status": outcome.search.status}
    for point in shown_fit(result):
        yield {"series": "fit", "d": point.d, "score": point.mean, "low": point.low, "high": point.high}
    rate = rate_in_use(result)
    yield from (_trial(trial, rate) for trial in outcome.trials)


def _trial(trial: TrialRow, rate: float | None) -> Row:
    drawn = {} if trial.d is None else {"mark": mark(trial, rate)}
    return {"series": "trial", **drawn, **trial.model_dump(include=set(COLUMNS))}

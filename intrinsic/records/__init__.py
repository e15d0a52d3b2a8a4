"""Records: the results of trials, measurements and comparisons as they are stored on disk. No torch here."""

from __future__ import annotations

from intrinsic.records.compare import (
    CompareOutcome,
    CompareResult,
    CompareRow,
    CompareRun,
    Latency,
    Profile,
    SmallestSize,
)
from intrinsic.records.counted import ErrorCount, TrialErrors
from intrinsic.records.measure import Baseline, Cost, MeasureOutcome, MeasureResult, MeasureRun, TrialRow
from intrinsic.records.search import FitPoint, Point, SearchResult, SearchStatus
from intrinsic.records.trial import SCHEMA_VERSION, HistoryPoint, Meta, TrialResult, TrialRun, TrialStatus, TrialTrain

__all__ = [
    "SCHEMA_VERSION",
    "Baseline",
    "CompareOutcome",
    "CompareResult",
    "CompareRow",
    "CompareRun",
    "Cost",
    "ErrorCount",
    "FitPoint",
    "HistoryPoint",
    "Latency",
    "MeasureOutcome",
    "MeasureResult",
    "MeasureRun",
    "Meta",
    "Point",
    "Profile",
    "SearchResult",
    "SearchStatus",
    "SmallestSize",
    "TrialErrors",
    "TrialResult",
    "TrialRow",
    "TrialRun",
    "TrialStatus",
    "TrialTrain",
]

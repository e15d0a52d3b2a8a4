"""Conversions of scores: a search needs them signed so that higher is better, a record in the metric's own unit."""

from __future__ import annotations

import math

from intrinsic.problems import metrics
from intrinsic.records import SearchResult, TrialResult, TrialTrain


def signed(facts: TrialTrain, score: float) -> float:
    """The score, negated if lower is better; applied twice it gives the score back. facts: of any trial of the task."""
    return metrics.signed(score, facts.higher_is_better)


def signed_score(result: TrialResult) -> float | None:
    """The trial's score, signed so that higher is better; None unless it ended `ok`."""
    if result.run.status != "ok" or result.train.score is None:
        return None
    return signed(result.train, result.train.score)


def answer(result: TrialResult) -> float | None:
    """The answer to a search (`intrinsic.search.ledger.Evaluate`): the signed score; -inf if diverged, None if lost."""
    return -math.inf if result.run.status == "diverged" else signed_score(result)


def unsigned(found: SearchResult, facts: TrialTrain) -> SearchResult:
    """The result of a search over signed scores, converted into the metric's own unit."""
    if facts.higher_is_better:
        return found
    points = [p.model_copy(update={"score": None if p.score is None else -p.score}) for p in found.points]
    fit = [f.model_copy(update={"mean": -f.mean, "low": -f.high, "high": -f.low}) for f in found.fit]
    target = None if found.target is None else -found.target
    return found.model_copy(update={"target": target, "points": tuple(points), "fit": tuple(fit)})

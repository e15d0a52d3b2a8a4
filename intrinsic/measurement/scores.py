"""Scores and their signs: a search wants higher to be better, a record the metric's own unit."""

from __future__ import annotations

import math

from intrinsic.records import SearchResult, TrialResult, TrialTrain


def signed(facts: TrialTrain, score: float) -> float:
    """The score, negated where lower is better, and back; `facts` are those of any trial of the task."""
    return score if facts.higher_is_better else -score


def signed_score(result: TrialResult) -> float | None:
    """The trial's score, signed so that higher is better; None unless it ended `ok`."""
    if result.run.status != "ok" or result.train.score is None:
        return None
    return signed(result.train, result.train.score)


def answer(result: TrialResult) -> float | None:
    """What a search is told (`intrinsic.search.ledger.Evaluate`): -inf for a diverged trial, None for a lost one."""
    return -math.inf if result.run.status == "diverged" else signed_score(result)


def unsigned(found: SearchResult, facts: TrialTrain) -> SearchResult:
    """A search over signed scores in the metric's own unit."""
    if facts.higher_is_better:
        return found
    points = [p.model_copy(update={"score": None if p.score is None else -p.score}) for p in found.points]
    fit = [f.model_copy(update={"mean": -f.mean, "low": -f.high, "high": -f.low}) for f in found.fit]
    target = None if found.target is None else -found.target
    return found.model_copy(update={"target": target, "points": tuple(points), "fit": tuple(fit)})

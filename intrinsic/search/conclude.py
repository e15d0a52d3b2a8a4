"""From the scores to a status, an estimate, an interval and a sentence."""

from __future__ import annotations

import math

from intrinsic.records import SearchResult, SearchStatus
from intrinsic.search.adaptive import ceiling
from intrinsic.search.fit import Posterior, curve, posterior
from intrinsic.search.ledger import Ledger

DRAWS = 4000
"""Posterior draws behind the reported interval."""

Interval = tuple[float | None, float | None]


def conclude(ledger: Ledger, dims: tuple[int, ...]) -> SearchResult:
    """The result of everything asked."""
    cells = ledger.cells()
    if not cells:
        return _result(ledger, "never-met", None, (None, None), None, _no_score(ledger))
    post = posterior(cells, ledger.target, dims, DRAWS)
    interval = _interval(post, dims, ledger.spec.confidence)
    drop = ledger.fall()
    if drop is not None:
        return _result(ledger, "not-monotone", None, (None, None), post, _fallen(ledger, drop))
    d = _smallest(ledger, dims, post)
    if d is None:
        return _result(ledger, "never-met", None, (interval[0], None), post, _unmet(ledger, dims))
    if d == dims[0]:
        return _result(ledger, "met-at-lowest", d, (None, _at_least(interval[1], d)), post, _lowest(ledger, d))
    low, high = interval
    interval = (None if low is None else min(low, d), _at_least(high, d))
    return _result(ledger, "found", d, interval, post, _found(ledger, d, interval))


def _smallest(ledger: Ledger, dims: tuple[int, ...], post: Posterior) -> int | None:
    """The estimate: the smallest dimension tried at or above the median crossing.

    The papers' protocol (kind `grid`) takes the smallest dimension whose mean reaches the target instead.
    """
    tried = [cell.d for cell in ledger.cells()]
    if ledger.spec.kind == "grid":
        return next((d for d in tried if ledger.reached(d)), None)
    return next((d for d in tried if d in dims[ceiling(post, dims) :]), None)


def _interval(post: Posterior, dims: tuple[int, ...], confidence: float) -> Interval:
    """Central credible interval of the crossing; None at an end outside of the bracket."""
    tail = (1 - confidence) / 2
    low, high = post.quantile(tail), post.quantile(1 - tail)
    ends = math.log2(dims[0]), math.log2(dims[-1])
    return (
        None if low == -math.inf else 2 ** min(low, ends[1]),
        None if high == math.inf else 2 ** max(high, ends[0]),
    )


def _at_least(end: float | None, d: int) -> float | None:
    """The interval holds the reported d, which lies up to one grid step above the crossing."""
    return None if end is None else max(end, float(d))


def _result(
    ledger: Ledger, status: SearchStatus, d: int | None, interval: Interval, post: Posterior | None, message: str
) -> SearchResult:
    notes = "".join(f"; {note}" for note in _notes(ledger))
    return SearchResult(
        status=status,
        d=d,
        interval=interval,
        confidence=ledger.spec.confidence,
        target=ledger.target.value,
        points=tuple(ledger.points),
        fit=() if post is None else curve(post, ledger.spec.confidence),
        message=f"{message}{notes}.",
    )


def _notes(ledger: Ledger) -> list[str]:
    notes = []
    if ledger.exhausted:
        notes.append(f"stopped when max_trials={ledger.spec.max_trials} was spent: raise --max-trials to go on")
    lost = sum(point.score is None for point in ledger.points)
    if lost and lost < len(ledger.points):
        notes.append(f"{lost} of {len(ledger.points)} trials gave no score and count as not reaching the target")
    notes += [f"below d={d} the learning rate times {rate:g} did better: consider it" for d, rate in ledger.switches]
    return notes


def _found(ledger: Ledger, d: int, interval: Interval) -> str:
    low, high = interval
    sure = f"with {ledger.spec.confidence:.0%} confidence"
    if low is not None and high is not None:
        return f"d={d} reaches the target {ledger.target.value:.4g}; {sure} the crossing is in {low:.4g} to {high:.4g}"
    side, flag = ("below", "lower --low") if low is None else ("above", "raise --high")
    return (f"d={d} reaches the target {ledger.target.value:.4g}, but {sure} the crossing may lie {side} the bracket: "
            f"{flag}, or run more seeds of the baseline and of each dimension")


def _lowest(ledger: Ledger, d: int) -> str:
    return f"the lowest dimension tried, d={d}, already reaches the target {ledger.target.value:.4g}: lower --low"


def _unmet(ledger: Ledger, dims: tuple[int, ...]) -> str:
    best = max(ledger.cells(), key=lambda cell: cell.mean)
    return (f"no dimension up to d={max(p.d for p in ledger.points)} reaches the target {ledger.target.value:.4g} "
            f"(best mean {best.mean:.4g} at d={best.d}): raise --high, train longer, or lower --fraction")


def _fallen(ledger: Ledger, drop: tuple[int, int]) -> str:
    means = [cell.mean for d in drop if (cell := ledger.cell(d)) is not None]
    return (f"the score falls from {means[0]:.4g} at d={drop[0]} to {means[1]:.4g} at d={drop[1]}, through the target "
            f"{ledger.target.value:.4g}: check the learning rate, or see the whole curve with --search grid")


def _no_score(ledger: Ledger) -> str:
    return (f"none of {len(ledger.points)} trials gave a score, so no dimension is known to reach the target: "
            "look at the trials' errors, then lower the learning rate or fix the task")

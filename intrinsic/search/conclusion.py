"""The conclusion of a search: from its scores to a status, an estimate, an interval and a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from intrinsic.records import SearchResult, SearchStatus
from intrinsic.search.adaptive import ceiling
from intrinsic.search.fit import Posterior, curve, posterior
from intrinsic.search.ledger import Ledger
from intrinsic.spec import SearchSpec

DRAWS = 2000
"""Number of posterior draws behind the reported interval."""
JUMP = 0.5
"""Share of the whole rise seen; more than that in one grid step is a jump that the grid does not resolve."""

Interval = tuple[float | None, float | None]
"""Both ends of an interval of dimensions; None for an end outside of the bracket."""


def conclude(ledger: Ledger, dims: tuple[int, ...]) -> SearchResult:
    """The result of a search, from everything it asked for."""
    cells = ledger.cells()
    if not cells or all(point.score is None for point in ledger.points):
        return _result(ledger, "never-met", None, (None, None), None, _no_score(ledger))
    post = posterior(cells, ledger.target, dims, DRAWS)
    drop = ledger.fall()
    if drop is not None:
        return _result(ledger, "not-monotone", None, (None, None), post, _fallen(ledger, drop))
    d = _smallest(ledger, dims, post)
    interval = _interval(post, dims, ledger.spec.confidence, d)
    if d is None:
        return _result(ledger, "never-met", None, (interval[0], None), post, _unmet(ledger))
    if d == dims[0]:
        return _result(ledger, "met-at-lowest", d, (None, interval[1]), post, _lowest(ledger, d))
    interval = _over_jump(ledger, dims, d, interval)
    return _result(ledger, "found", d, interval, post, _found(ledger, d, interval))


def _smallest(ledger: Ledger, dims: tuple[int, ...], post: Posterior) -> int | None:
    """The estimate: the smallest dimension tried at or above the median crossing.

    The papers' protocol (kind `grid`) takes the smallest dimension whose mean reaches the target instead.
    """
    tried = [cell.d for cell in ledger.cells()]
    if ledger.spec.kind == "grid":
        return next((d for d in tried if ledger.reached(d)), None)
    return next((d for d in tried if d in dims[ceiling(post, dims) :]), None)


def _interval(post: Posterior, dims: tuple[int, ...], confidence: float, d: int | None) -> Interval:
    """Credible interval of the crossing; None at an end outside of the bracket.

    Both tails are equal, unless the reported d, up to one grid step above the crossing, lies in the upper one: then
    the interval ends at d and as much is taken off below.
    """
    low, high = (1 - confidence) / 2, (1 + confidence) / 2
    below = 0.0 if d is None else float(np.mean(post.crossings <= math.log2(d)))
    if below > high:
        low, high = below - confidence, below
    ends = math.log2(dims[0]), math.log2(dims[-1])
    at = post.quantile(low), post.quantile(high)
    return (
        None if at[0] == -math.inf else _outward(2 ** min(at[0], ends[1]), d, min),
        None if at[1] == math.inf else _outward(2 ** max(at[1], ends[0]), d, max),
    )


def _outward(end: float, d: int | None, further: Callable[[float, float], float]) -> float:
    return end if d is None else further(end, float(d))


def _over_jump(ledger: Ledger, dims: tuple[int, ...], d: int, interval: Interval) -> Interval:
    """Widen to the whole grid step below d if the curve jumps in it: where in there, no scores tell."""
    below = dims[dims.index(d) - 1]
    means = {cell.d: cell.mean for cell in ledger.cells()}
    if below not in means or means[d] - means[below] <= JUMP * (max(means.values()) - min(means.values())):
        return interval
    low, high = interval
    return None if low is None else min(low, float(below)), high


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


def no_baseline(spec: SearchSpec, reason: str) -> SearchResult:
    """The result where there is no target to search for; `reason` says why."""
    return SearchResult(
        status="no-baseline",
        d=None,
        interval=(None, None),
        confidence=spec.confidence,
        target=None,
        points=(),
        fit=(),
        message=f"nothing was searched for: {reason}",
    )


def _notes(ledger: Ledger) -> list[str]:
    notes = []
    if ledger.exhausted:
        notes.append(f"stopped when max_trials={ledger.spec.max_trials} was spent: raise --max-trials to go on")
    lost = sum(point.lost for point in ledger.points)
    diverged = sum(point.score is None for point in ledger.points) - lost
    if diverged and diverged < len(ledger.points):
        notes.append(f"{diverged} of {len(ledger.points)} trials diverged and count as not reaching the target")
    if lost and lost < len(ledger.points):
        notes.append(
            f"{lost} of {len(ledger.points)} trials failed for another reason and were left out: see their errors"
        )
    notes += [
        f"at {ledger.words.letter}={d} the learning rate times {rate:g} did better and was used from there on"
        for d, rate in ledger.switches
    ]
    return notes


def _found(ledger: Ledger, d: int, interval: Interval) -> str:
    (low, high), w = interval, ledger.words
    claim, sure = _reaching(ledger, d), f"with {ledger.spec.confidence:.0%} confidence"
    if low is not None and high is not None:
        return f"{claim}; {sure} the crossing is in {math.floor(low)} to {math.ceil(high)}"
    side = "above" if low is not None else "below" if high is not None else "on either side of"
    flags = [w.lower] * (low is None) + [w.higher] * (high is None)
    return (
        f"{claim}, but {sure} the crossing may lie {side} the {w.plural} "
        f"tried: {' and '.join(flags)}, or run more seeds of the baseline and of each {w.noun}"
    )


def _reaching(ledger: Ledger, d: int) -> str:
    """Statement about d, the estimate: its mean reaches the target, or the fit does and the mean does not."""
    at, cell = f"{ledger.words.letter}={d}", ledger.cell(d)
    if cell is None or ledger.reached(d):  # an estimate always has a cell
        return f"{at} reaches the target {ledger.target}"
    mean = ledger.target.shown(cell.mean)
    return f"the fitted curve reaches the target {ledger.target} at {at}, though the mean {mean} there does not"


def _lowest(ledger: Ledger, d: int) -> str:
    w = ledger.words
    if not ledger.reached(d):
        return f"{_reaching(ledger, d)}, and no lower {w.noun} was tried: {w.lower}"
    return f"the lowest {w.noun} tried, {w.letter}={d}, already reaches the target {ledger.target}: {w.lower}"


def _unmet(ledger: Ledger) -> str:
    """Statement about the trials: no mean reaches the target, or one does and the fit over all of them does not."""
    w = ledger.words
    target, up_to = f"the target {ledger.target}", f"up to {w.letter}={max(point.d for point in ledger.points)}"
    best = max(ledger.cells(), key=lambda cell: cell.mean)
    mean = ledger.target.shown(best.mean)
    remedies = f"{w.higher}, train longer, or {w.less}"
    if ledger.reached(best.d):
        claim = f"the fitted curve does not reach {target} {up_to}, though the mean {mean} at {w.letter}={best.d} does"
        remedies = f"raise --seeds to settle it, else {remedies}"
    else:
        claim = f"no {w.noun} {up_to} reaches {target} in the mean (best {mean} at {w.letter}={best.d})"
    if elsewhere := _reached_elsewhere(ledger):
        return f"{claim}; {elsewhere}: give that rate by {w.rates}, or raise --seeds"
    top = ledger.cells()[-1]
    if ledger.clearly_worse(top, best):
        claim += (
            f"; it falls to {ledger.target.shown(top.mean)} at {w.letter}={top.d}, as with a learning rate too high "
            f"for large {w.plural}"
        )
        remedies = f"give lower {w.rates}, or train longer"
    return f"{claim}: {remedies}"


def _reached_elsewhere(ledger: Ledger) -> str:
    """The trials at rates not in use that reached the target, by dimension and rate; empty if there are none."""
    groups: dict[tuple[int, float], list[float]] = {}
    for point in ledger.points:
        if point.score is not None and point.rate_factor != ledger.rate(point.d):
            groups.setdefault((point.d, point.rate_factor), []).append(point.score)
    told = []
    for (d, rate), scores in sorted(groups.items()):
        reached = sum(score >= ledger.target.value for score in scores)
        if reached:
            trials = f"{reached} of {len(scores)} trials did (best {ledger.target.shown(max(scores))})"
            told.append(f"at {ledger.words.letter}={d} with the learning rate times {rate:g}, {trials}")
    return ", ".join(told)


def _fallen(ledger: Ledger, drop: tuple[int, int]) -> str:
    w = ledger.words
    before, after = (ledger.target.shown(cell.mean) for d in drop if (cell := ledger.cell(d)) is not None)
    return (
        f"the score worsens from {before} at {w.letter}={drop[0]} to {after} at {w.letter}={drop[1]}, through the "
        f"target {ledger.target}: check the learning rate, or {w.curve}"
    )


def _no_score(ledger: Ledger) -> str:
    return (
        f"{sum(p.score is None for p in ledger.points)} of {len(ledger.points)} trials gave no "
        f"score, so no {ledger.words.noun} is known to reach the target: look at the trials' errors, "
        "then lower the learning rate or fix the task"
    )

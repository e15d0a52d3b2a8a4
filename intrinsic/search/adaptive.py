"""The adaptive search: it gallops, bisects, refines and guards the learning rate.

1. Start at the grid's geometric middle and gallop by a factor of about four, doubling the stride, until one
   dimension fails and one reaches the target; then bisect down to neighbours on the grid. A dimension
   gets one seed, and all its seeds if that one is not clearly off the target (`Ledger.clear`).
2. Refine: complete the seeds of the dimension nearest the posterior's median crossing, as long as the
   interval is wider than the resolution, the scores (not the baseline) are what blurs it, and there is
   an incomplete dimension next to the crossing.
3. Guard: the largest dimension that fails (all smaller ones fail with it, the curve rising) is tried at
   the other rates. If one of them reaches the target, fresh seeds confirm it, and the search goes over to
   that rate: back to 1, below this dimension. Where nothing reaches the target this is the last word before
   `never-met`, and more is asked of it (`guard`).
4. Close: while the interval is open at an end towards which nothing was tried, try a dimension there.
5. Before `never-met` and `met-at-lowest` the bracket's other end is tried too, so that a falling curve is seen.
"""

from __future__ import annotations

import math

import numpy as np

from intrinsic.search.fit import Posterior, posterior
from intrinsic.search.ledger import Ask, Ledger

GALLOP = 4.0
"""Factor of the first stride."""
DRAWS = 600
"""Number of posterior draws behind a decision; the reported interval takes more."""
BLUR = 0.5
"""Share of the target's standard deviation: refinement stops where the curve's, at the crossing, is below it."""
HOPELESS = 0.5
"""Share of the way from chance to the target: a dimension that stays below it is guarded only as the last one."""
REACH = 3.0
"""Grid steps from the crossing within which refinement completes the seeds of a dimension."""


def explore(ledger: Ledger, dims: tuple[int, ...]) -> None:
    """Ask until the crossing is known as well as the spec wants it, or nothing more can be asked."""
    high, start, stride = len(dims), (len(dims) - 1) // 2, _stride(dims)
    while not ledger.over:
        high = _bracket(ledger, dims, high, start, stride)
        high = _refine(ledger, dims, high)
        if high == 0 or not _rescued(ledger, dims[high - 1], last=high == len(dims)):
            break
        high -= 1
        if high == 0:
            break
        start, stride = high - 1, 1
    _close(ledger, dims)
    _probe_other_end(ledger, dims, high)


def _stride(dims: tuple[int, ...]) -> int:
    per_step = math.log(dims[-1] / dims[0]) / (len(dims) - 1)
    return max(1, round(math.log(GALLOP) / per_step))


def examine(ledger: Ledger, d: int) -> bool:
    """Ask at d until the verdict is clear or the seeds are spent, and say whether d reaches the target."""
    ledger.fill(d, 1)
    if not ledger.clear(d):
        ledger.fill(d, ledger.spec.seeds)
    return ledger.reached(d)


def _bracket(ledger: Ledger, dims: tuple[int, ...], high: int, start: int, stride: int) -> int:
    """Index of the smallest dimension that reaches the target by its own verdict; len(dims) if none does.

    `high` is known to reach it (len(dims): nothing is known).
    """
    low, at, end = -1, start, len(dims)
    while high - low > 1 and not ledger.over:
        if examine(ledger, dims[at]):
            high = at
        else:
            low = at
        if low >= 0 and high < end:
            at = (low + high) // 2
        else:
            at = max(high - stride, 0) if high < end else min(low + stride, end - 1)
            stride *= 2
    return high


def _refine(ledger: Ledger, dims: tuple[int, ...], high: int) -> int:
    """Complete seeds near the crossing; index of the smallest dimension at or above its median."""
    while cells := ledger.cells():
        post = posterior(cells, ledger.target, dims, DRAWS)
        high = ceiling(post, dims)
        at = _most_useful(ledger, dims, post, high)
        if at is None or ledger.over:
            break
        ledger.fill(dims[at], ledger.spec.seeds)
    return high


def ceiling(post: Posterior, dims: tuple[int, ...]) -> int:
    """Index of the smallest dimension at or above the median crossing; len(dims) if there is none."""
    return int(np.searchsorted(np.log2(dims), post.quantile(0.5) - 1e-9))


def _most_useful(ledger: Ledger, dims: tuple[int, ...], post: Posterior, high: int) -> int | None:
    """Index of the incomplete dimension to complete next; None if there is none worth it."""
    tail = (1 - ledger.spec.confidence) / 2
    low, up = post.quantile(tail), post.quantile(1 - tail)
    beside = [at for at in (high - 1, high) if 0 <= at < len(dims)]
    unseen = [at for at in beside if ledger.seeds(dims[at]) == 0 and ledger.incomplete(dims[at])]
    if unseen:
        return unseen[0]
    if up - low <= math.log2(ledger.spec.resolution) or _blurred_by_baseline(post):
        return None
    inside = [at for at, d in enumerate(dims) if low <= math.log2(d) <= up and abs(at - high + 0.5) < REACH]
    open_ = [at for at in {*beside, *inside} if ledger.incomplete(dims[at])]
    return min(open_, key=lambda at: (abs(at - high + 0.5), at), default=None)


def _blurred_by_baseline(post: Posterior) -> bool:
    at = int(np.clip(np.searchsorted(post.x, post.quantile(0.5)), 0, len(post.x) - 1))
    return float(post.paths[:, at].std()) < BLUR * float(post.targets.std())


def _close(ledger: Ledger, dims: tuple[int, ...]) -> None:
    """Do not say that the crossing may lie outside of the bracket before having looked towards that end."""
    while not ledger.over and (cells := ledger.cells()):
        at = _beyond(ledger, dims, posterior(cells, ledger.target, dims, DRAWS))
        if at is None:
            return
        examine(ledger, dims[at])


def _beyond(ledger: Ledger, dims: tuple[int, ...], post: Posterior) -> int | None:
    """Index of the dimension to try towards an open end of the interval; None if there is none."""
    tail, stride, last = (1 - ledger.spec.confidence) / 2, _stride(dims), len(dims) - 1
    tried = [dims.index(d) for d in ledger.dims()]
    if post.quantile(tail) == -math.inf and min(tried) > 0:
        return max(min(tried) - stride, 0)
    if post.quantile(1 - tail) == math.inf and max(tried) < last:
        return min(max(tried) + stride, last)
    return None


def _rescued(ledger: Ledger, d: int, last: bool) -> bool:
    """Whether d, which fails at its rate, reaches the target at another one; if so that rate is put to use."""
    rate = guard(ledger, d, last)
    if rate is not None:
        ledger.switch(d, rate)
    return rate is not None


def guard(ledger: Ledger, d: int, last: bool = False) -> float | None:
    """The rate at which d reaches the target though it fails at its own; None if there is none.

    A guard is one trial at each other rate: the rate in use times each of guard_rates, and the rate the search began
    with. One that reaches the target was chosen for being high, so it proves nothing: fresh seeds must reach the
    target in the mean and be better than the scores at the rate in use by more than noise explains; where that is
    undecided, both rates get as many seeds again. Only those fresh scores enter the fit. A dimension clearly below
    HOPELESS of the way from chance to the target is not guarded: a factor of two in the rate does not win that much.

    `last`: the claim that no dimension reaches the target rests on this guard. Then hopelessness is no excuse (the best
    rate falls at large d, and there a rate too high looks like chance), the looks go on in the direction in which
    they rise, a look is dismissed only where it is clearly below the target, and fresh seeds that reach the target in
    the mean decide: whether the other rate is better than one that does not reach it is no longer the question.
    """
    if ledger.seeds(d) == 0 or (not last and _hopeless(ledger, d)):  # no seeds: all were lost, d is not known to fail
        return None
    scores = _looks(ledger, d, ledger.rate(d))
    while last and (top := _rising(ledger, d, scores)) is not None:
        scores |= _looks(ledger, d, top)
    hopeful = [(score, r) for r, score in scores.items() if score is None or not _dismissed(ledger, score, last)]
    hopeful.sort(key=lambda pair: -math.inf if pair[0] is None else pair[0], reverse=True)
    return next((r for _, r in hopeful if _confirmed(ledger, d, r, last)), None)


def _looks(ledger: Ledger, d: int, rate: float) -> dict[float, float | None]:
    """One trial at each rate around this one that has none yet -> their scores, None for a lost one."""
    rates = [r for r in _around(ledger, rate) if not ledger.tried(d, r)]
    looks = [Ask(d, ledger.look_seed, r, first_look=True) for r in rates]
    ledger.ask(looks)
    return {look.rate_factor: ledger.score(look) for look in looks if ledger.tried(d, look.rate_factor)}


def _around(ledger: Ledger, rate: float) -> list[float]:
    return [r for r in dict.fromkeys((1.0, *(rate * factor for factor in ledger.spec.guard_rates))) if r != rate]


def _rising(ledger: Ledger, d: int, scores: dict[float, float | None]) -> float | None:
    """The look that is better than the rate in use and all other looks, if there is a rate beyond it to look at."""
    known = {rate: score for rate, score in scores.items() if score is not None}
    top, own = max(known, key=lambda rate: known[rate], default=None), ledger.cell(d)
    if top is None or ledger.over or (own is not None and known[top] <= own.mean) or known[top] >= ledger.target.value:
        return None
    return top if any(not ledger.tried(d, rate) for rate in _around(ledger, top)) else None


def _dismissed(ledger: Ledger, look: float, last: bool) -> bool:
    return ledger.clearly_below(look) if last else look < ledger.target.value


def _hopeless(ledger: Ledger, d: int) -> bool:
    """Clearly far below the target; where chance is unknown nothing is."""
    cell, target = ledger.cell(d), ledger.target
    if cell is None or target.chance is None or not ledger.clear(d):
        return False
    return cell.mean < target.chance + HOPELESS * (target.value - target.chance)


def _confirmed(ledger: Ledger, d: int, rate: float, last: bool) -> bool:
    seeds, fresh = ledger.spec.seeds, ledger.spec.seeds + 1
    for count in (seeds,) if last else (1, seeds):
        ledger.fill(d, count, rate, fresh)
        if not ledger.reached(d, rate):
            return False
    if ledger.better(d, rate) or (last and not ledger.reached(d)):
        return True
    for undecided in (ledger.rate(d), rate):
        ledger.fill(d, 2 * seeds, undecided, fresh)
    return ledger.reached(d, rate) and ledger.better(d, rate)


def _probe_other_end(ledger: Ledger, dims: tuple[int, ...], high: int) -> None:
    """Look, where everything on one side agrees, at the bracket's other end; guard what then seems to fall."""
    if high == len(dims):
        examine(ledger, dims[0])
    elif high == 0:
        examine(ledger, dims[-1])
    drop = ledger.fall()
    rate = None if drop is None else guard(ledger, drop[1])
    if drop is not None and rate is not None:
        ledger.make_exception(drop[1], rate)

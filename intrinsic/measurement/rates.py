"""The choice of a learning rate on a small grid that grows where it turns out too narrow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

EXTENSIONS = 3
"""Largest number of rates that are added to a grid."""


@dataclass(frozen=True)
class Choice:
    """A chosen learning rate, its score, and warnings about the choice."""

    rate: float
    """The learning rate."""
    score: float | None
    """Signed score of the rate; None if the grid had one rate and nothing was tried, or if no rate gave a score."""
    warnings: tuple[str, ...] = ()
    """Sentences about what may be wrong with the choice."""


def choose_rate(
    grid: Sequence[float], score_at: Callable[[Sequence[float]], Sequence[float | None]], what: str
) -> Choice:
    """The rate with the best score, the smaller one on ties; scores are signed so that higher is better.

        score_at   scores a batch of rates: -inf for a rate that diverged, None for a trial that was lost and tells
                   nothing about its rate
        what       names the rate in warnings, as in `baseline`

    The grid grows by at most EXTENSIONS rates: while the best rate is an end of it and strictly better than its
    neighbour, it grows there by the ratio of the last two rates; while every rate diverged, it grows downwards. A grid
    of one rate is not tried out.
    """
    rates = sorted(set(grid))
    if len(rates) == 1:
        return Choice(rates[0], None)
    scores = dict(zip(rates, score_at(rates), strict=True))
    for _ in range(EXTENSIONS):
        beyond = _beyond(scores)
        if beyond is None:
            break
        scores[beyond] = score_at([beyond])[0]
    best = _best(scores)
    return Choice(best, _score(scores[best]), _warnings(what, scores))


def _best(scores: Mapping[float, float | None]) -> float:
    """The rate with the best score; diverged trials count less than any score, and lost ones less than those."""
    return max(sorted(scores), key=lambda rate: (scores[rate] is not None, _value(scores[rate])))


def _score(answer: float | None) -> float | None:
    return None if answer == -math.inf else answer


def _value(score: float | None) -> float:
    return -math.inf if score is None else score


def _beyond(scores: Mapping[float, float | None]) -> float | None:
    """The rate to try next; None if the best one lies inside the grid."""
    rates, best = sorted(scores), _best(scores)
    if scores[best] is None:
        return None
    if best == rates[0] and (scores[best] == -math.inf or _value(scores[best]) > _value(scores[rates[1]])):
        return _tidy(best * best / rates[1])
    if best == rates[-1] and _value(scores[best]) > _value(scores[rates[-2]]):
        return _tidy(best * best / rates[-2])
    return None


def _tidy(rate: float) -> float:
    """Round to 6 significant digits, as 0.007999999999999999 to 0.008: the rate is part of the trial's id."""
    return float(f"{rate:.6g}")


def _warnings(what: str, scores: Mapping[float, float | None]) -> tuple[str, ...]:
    best = _best(scores)
    if _score(scores[best]) is None:
        return (f"no {what} learning rate from {min(scores):g} to {max(scores):g} gave a score",)
    if _beyond(scores) is not None:
        return (f"the best {what} learning rate, {best:g}, still lies at an end of the grid: give another grid",)
    return ()

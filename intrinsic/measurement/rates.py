"""The choice of a learning rate on a small grid that grows where it turns out too narrow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

EXTENSIONS = 3
"""A grid grows by at most so many rates."""


@dataclass(frozen=True)
class Choice:
    """A rate, the score it was chosen for, and what the user should know about the choice."""

    rate: float
    score: float | None
    """None: the grid had one rate, and nothing was tried; or no rate gave a score."""
    warnings: tuple[str, ...] = ()
    """What may have gone wrong with it."""


def choose_rate(
    grid: Sequence[float], score_at: Callable[[Sequence[float]], Sequence[float | None]], what: str
) -> Choice:
    """The rate of the best score (ties: the smaller rate), scores being signed so that higher is better.

    score_at scores a batch of rates: -inf for a rate that diverged, None for a trial that was lost and tells nothing
    about its rate. While the best rate is an end of the grid and strictly better than its neighbour, or every rate
    diverged (then they are too high), the grid grows there by the ratio of its last two rates. One rate is taken as
    it is, without a trial.
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
    """Lost trials are the worst, then diverged ones."""
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
    """0.008, not 0.007999999999999999: the rate enters the trial's name."""
    return float(f"{rate:.6g}")


def _warnings(what: str, scores: Mapping[float, float | None]) -> tuple[str, ...]:
    best = _best(scores)
    if _score(scores[best]) is None:
        return (f"no {what} learning rate from {min(scores):g} to {max(scores):g} gave a score",)
    if _beyond(scores) is not None:
        return (f"the best {what} learning rate, {best:g}, still lies at an end of the grid: give another grid",)
    return ()

"""The rate at which a method is compared: chosen on a pilot, confirmed where the pilot leaves it open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

from intrinsic.comparison.field import Asker, Entry
from intrinsic.measurement.rates import Choice, choose_rate
from intrinsic.spec import Contender

CLOSE = 2.0
"""Standard errors of a difference between two scores, below which one seed does not tell which rate is better."""


def rate_of(field: Asker, contender: Contender) -> Choice:
    """The best rate of the pilot (`choose_rate`), or its better neighbour if that has the better mean of two seeds.

    The second seed is run, at both rates, only where their first scores s and s' lie within CLOSE standard errors
    sqrt((s (1 - s) + s' (1 - s')) / num_eval): what two shares of so many evaluation examples differ by, by chance
    alone. (It is taken for metrics that are no share too.) What comes out is still an estimate, from one or two seeds
    at one size; the second seed does not make the grid grow, and a lost trial leaves the pilot's choice as it was.
    """
    tried: dict[float, float | None] = {}

    def score_at(rates: Sequence[float], seed: int = 0) -> list[float | None]:
        return field.answers([Entry(contender, contender.middle, rate, seed, "rate") for rate in rates])

    def pilot(rates: Sequence[float]) -> list[float | None]:
        answers = score_at(rates)
        tried.update(zip(rates, answers, strict=True))
        return answers

    choice = choose_rate(contender.rates, pilot, contender.label)
    rival = _rival(tried, choice.rate)
    if rival is None or not _close(tried[choice.rate], tried[rival], field.facts().num_eval or 0):
        return choice
    again = score_at([choice.rate, rival], seed=1)
    ours, theirs = (_mean(tried[rate], second) for rate, second in zip((choice.rate, rival), again, strict=True))
    if ours is None or theirs is None or theirs <= ours:
        return choice
    return replace(choice, rate=rival, score=theirs, warnings=())


def _rival(tried: Mapping[float, float | None], best: float) -> float | None:
    """The better one of the best rate's neighbours that gave a score."""
    pairs = list(pairwise(sorted(tried)))
    beside = [low for low, high in pairs if high == best] + [high for low, high in pairs if low == best]
    scored = [(score, rate) for rate in beside if (score := tried[rate]) is not None and score > -math.inf]
    return max(scored)[1] if scored else None


def _close(one: float | None, other: float | None, count: int) -> bool:
    if one is None or other is None or one == -math.inf or not count:
        return False
    variance = sum(max(abs(score) * (1 - abs(score)), 0.0) for score in (one, other)) / count
    return abs(one - other) <= CLOSE * math.sqrt(variance)


def _mean(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else fmean((first, second))

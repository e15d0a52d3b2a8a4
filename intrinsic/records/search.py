"""The record of a search for d."""

from __future__ import annotations

from typing import Literal

from intrinsic.spec import Frozen

SearchStatus = Literal["found", "met-at-lowest", "never-met", "not-monotone", "no-baseline"]
"""The end of a search. `met-at-lowest`: the lowest dimension reaches the target already; `never-met`: none does;
`not-monotone`: scores fall through the target as d grows; `no-baseline`: nothing was searched for."""


class Point(Frozen):
    """One trial as the search sees it: a dimension, a seed and a rate, and the score there."""

    d: int
    """Dimension of the subspace; in a comparison the size of the method."""
    seed: int
    """Index of the seed, from 0."""
    rate_factor: float = 1.0
    """Learning rate divided by the one that was chosen before the search."""
    score: float | None
    """Score of the trial; None if it diverged, which counts as not reaching the target, or was lost."""
    lost: bool = False
    """Whether there is no score for a reason outside of training (an exception, lack of memory); the trial then counts
    for nothing."""
    first_look: bool = False
    """Whether this is a guard's first look at another rate. The search follows it up only if its score is high, so the
    score is biased upwards and enters no mean and no fit."""


class FitPoint(Frozen):
    """A point of the fitted curve, with a band at the search's confidence."""

    d: float
    """Dimension, not necessarily one of the grid."""
    mean: float
    """Posterior mean of the expected score."""
    low: float
    """Lower end of the band."""
    high: float
    """Upper end of the band."""


class SearchResult(Frozen):
    """The result of a search. A search that finds nothing is a result with another status, never an exception."""

    status: SearchStatus
    d: int | None
    """The smallest dimension of the grid that is enough; None unless the status is found or met-at-lowest (then the
    lowest d)."""
    interval: tuple[float | None, float | None]
    """Interval that holds the true crossing with `confidence`; None at an end that lies outside the bracket."""
    confidence: float
    """Probability that belongs to `interval` and to the band of `fit`."""
    target: float | None
    """Score that was to be reached; None without a baseline to derive it from."""
    points: tuple[Point, ...]
    """Every trial of the search, in the order asked for."""
    fit: tuple[FitPoint, ...]
    """The fitted curve; empty if no trial gave a score."""
    message: str
    """Sentence that says what was found, and what to do where that is not enough."""

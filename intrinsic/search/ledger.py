"""What a search has asked and been told: budget, scores, noise. The only place that calls `evaluate`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t

from intrinsic.errors import SpecError
from intrinsic.records import Point
from intrinsic.search.fit import Cell
from intrinsic.search.target import Target
from intrinsic.spec import SearchSpec

CLEAR = 0.99
"""Confidence (one-sided) at which a verdict over one dimension needs no further seed."""
BETTER = 0.9
"""Confidence (one-sided) at which another rate counts as better than the one in use. Low, as few seeds must tell;
fresh seeds must also reach the target, so that false switches stay rare (coverage with indifferent rates holds)."""
FALL = 0.99
"""Confidence, over all pairs of dimensions together, at which a fall through the target is believed."""


@dataclass(frozen=True)
class Ask:
    """One trial the search wants: dimension d, the seed's index, the factor on the subspace's learning rate."""

    d: int
    seed: int
    rate_factor: float = 1.0


Evaluate = Callable[[Sequence[Ask]], Sequence[float | None]]
"""Answers a batch of asks, in order; None for a trial that gave no score. A batch may run in parallel."""


class Ledger:
    """Everything asked so far, and the rate in use at every dimension.

    Seeds 0 .. seeds-1 are a dimension's own. At another rate, seed `seeds` is the guard's first look; it
    is chosen for being high, so it enters no mean. The seeds after it are fresh and do.
    """

    def __init__(self, evaluate: Evaluate, target: Target, spec: SearchSpec) -> None:
        self.target, self.spec = target, spec
        self.points: list[Point] = []
        self.exhausted = False
        self._evaluate = evaluate
        self._scores: dict[tuple[int, float], dict[int, float | None]] = {}
        self.switches: list[tuple[int, float]] = []
        """d and factor, wherever the search went over to another rate."""
        self._exceptions: dict[int, float] = {}

    def ask(self, asks: Sequence[Ask]) -> None:
        """Ask what is not known yet, as far as max_trials allows; `exhausted` says that it did not."""
        new = [a for a in asks if a.seed not in self._scores.get((a.d, a.rate_factor), {})]
        room = self.spec.max_trials - len(self.points)
        self.exhausted = self.exhausted or len(new) > room
        batch = new[:room]
        answers = self._evaluate(batch) if batch else ()
        if len(answers) != len(batch):
            raise SpecError(f"evaluate must give one answer per ask, expected {len(batch)}, got {len(answers)}")
        for a, answer in zip(batch, answers, strict=True):
            score = None if answer is None or not math.isfinite(answer) else float(answer)
            self._scores.setdefault((a.d, a.rate_factor), {})[a.seed] = score
            self.points.append(Point(d=a.d, seed=a.seed, rate_factor=a.rate_factor, score=score))

    def rate(self, d: int) -> float:
        """Factor on the learning rate in use at d."""
        return self._exceptions.get(d, self.switches[-1][1] if self.switches else 1.0)

    def switch(self, d: int, rate: float) -> None:
        """Go over to `rate`, which did better at d: scores at the old one, too low now, leave the fit."""
        self.switches.append((d, rate))

    def make_exception(self, d: int, rate: float) -> None:
        """From now on the scores at `rate` speak for d alone."""
        self._exceptions[d] = rate

    def tried(self, d: int, rate: float) -> bool:
        """Has anything been asked at this dimension and rate?"""
        return (d, rate) in self._scores

    def score(self, ask: Ask) -> float | None:
        """The answer to an ask; None if it has none, or was not asked."""
        return self._scores.get((ask.d, ask.rate_factor), {}).get(ask.seed)

    def seeds(self, d: int, rate: float | None = None) -> int:
        """Answers at d that enter the fit, those without a score among them."""
        return len(self._entering(d, self.rate(d) if rate is None else rate))

    def _entering(self, d: int, rate: float) -> list[float | None]:
        known = self._scores.get((d, rate), {})
        return [score for seed, score in sorted(known.items()) if seed != self.spec.seeds]

    def floor(self) -> float | None:
        """What a trial without a score counts as: chance, or the lowest score seen if that is lower.

        f(d) then is the score to expect at d when a failed run is worth no more than guessing.
        """
        scores = [p.score for p in self.points if p.score is not None]
        return min(scores + ([] if self.target.chance is None else [self.target.chance]), default=None)

    def cell(self, d: int, rate: float | None = None) -> Cell | None:
        """The scores at d summed up; None if there are none, or none that has a number."""
        entering = self._entering(d, self.rate(d) if rate is None else rate)
        floor = self.floor()
        if not entering or floor is None:
            return None
        if all(score is None for score in entering):
            return Cell(d, floor, 1, 0.0)  # says nothing about the noise
        scores = [floor if score is None else score for score in entering]
        mean = math.fsum(scores) / len(scores)
        return Cell(d, mean, len(scores), math.fsum((score - mean) ** 2 for score in scores))

    def cells(self) -> list[Cell]:
        """All dimensions tried, ascending, each at the rate in use there."""
        tried = sorted({d for d, _ in self._scores})
        return [cell for cell in map(self.cell, tried) if cell is not None]

    def noise(self) -> tuple[float, int]:
        """Standard deviation of a trial, pooled over every repeated setting and the baseline; its df."""
        cells = [self.cell(d, rate) for d, rate in self._scores]
        squares = self.target.squares + math.fsum(c.squares for c in cells if c is not None)
        df = self.target.df + sum(c.count - 1 for c in cells if c is not None)
        return (math.sqrt(squares / df) if df else math.inf), df

    def reached(self, d: int, rate: float | None = None) -> bool:
        """Does the mean at d (at the rate in use, or at another one) reach the target's value?"""
        cell = self.cell(d, rate)
        return cell is not None and cell.mean >= self.target.value

    def clear(self, d: int) -> bool:
        """Is the mean at d farther from the target than noise explains, the baseline's noise included?

        |mean - tau| > t * s * sqrt(1/n + weight^2/n_B), t Student's quantile at CLEAR with the df of s.
        """
        cell = self.cell(d)
        if cell is None or None in self._entering(d, self.rate(d)):
            return False
        variance = 1 / cell.count
        if self.target.weight:
            variance += self.target.weight**2 / len(self.target.baseline)
        return abs(cell.mean - self.target.value) > self._allowance(variance, CLEAR)

    def better(self, d: int, rate: float) -> bool:
        """Is `rate` better at d than the rate in use, by more than noise explains?"""
        other, own = self.cell(d, rate), self.cell(d)
        return other is not None and (own is None or self._above(other, own, BETTER))

    def _above(self, left: Cell, right: Cell, level: float) -> bool:
        return left.mean - right.mean > self._allowance(1 / left.count + 1 / right.count, level)

    def fall(self) -> tuple[int, int] | None:
        """The widest fall through the target: d that reaches it, a larger d that does not; None if there is none.

        A fall counts when the two means differ by more than noise explains at confidence FALL, shared out
        over all pairs of dimensions (Bonferroni).
        """
        cells = self.cells()
        pairs = [(a, b) for k, a in enumerate(cells) for b in cells[k + 1 :]]
        tau, level = self.target.value, 1 - (1 - FALL) / max(1, len(pairs))
        falls = [(a, b) for a, b in pairs if a.mean >= tau > b.mean and self._above(a, b, level)]
        widest = max(falls, key=lambda pair: pair[0].mean - pair[1].mean, default=None)
        return None if widest is None else (widest[0].d, widest[1].d)

    def _allowance(self, variance: float, level: float) -> float:
        noise, df = self.noise()
        return math.inf if df == 0 else float(student_t.ppf(level, df)) * noise * math.sqrt(variance)

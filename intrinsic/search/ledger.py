"""The ledger of a search: its asks, answers, budget and noise. The only place that calls `evaluate`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from scipy.stats import t as student_t

from intrinsic.errors import SpecError
from intrinsic.records import Point
from intrinsic.search.fit import Cell
from intrinsic.search.target import Target
from intrinsic.search.words import Words, measurement_words
from intrinsic.spec import SearchSpec

CLEAR = 0.99
"""Confidence (one-sided) at which a verdict over one dimension needs no further seed."""
BETTER = 0.9
"""Confidence (one-sided) at which another rate counts as better than the one in use. Low, as few seeds must tell;
fresh seeds must also reach the target, so that false switches stay rare (coverage with indifferent rates holds)."""
FALL = 0.99
"""Confidence, over all pairs of dimensions together, at which a fall through the target is believed."""
FUTILE = 6
"""Number of trials after which a search ends if all were lost: then the fault lies in no single one of them."""


@dataclass(frozen=True)
class Ask:
    """One trial that the search wants."""

    d: int
    """Dimension of the subspace."""
    seed: int
    """Index of the seed, from 0."""
    rate_factor: float = 1.0
    """Factor on the subspace's learning rate."""
    first_look: bool = False
    """Whether this is a guard's first look at another rate: see :class:`intrinsic.records.Point`."""


Evaluate = Callable[[Sequence[Ask]], Sequence[float | None]]
"""A function that answers a batch of asks, in order, and may run them in parallel.

An answer is the score; -inf (or any number that is not finite) where training diverged; None where the trial was lost,
that is gave no score for a reason outside of training."""


class Ledger:
    """Everything asked so far, and the rate in use at every dimension.

    With k = spec.seeds, the seeds 0 .. k-1 are a dimension's own, k+1 .. 2k are fresh ones for comparing two rates,
    and either kind stands in for the other where more are needed. Seed k is kept for a guard's first look, which
    enters no mean.

    A diverged trial says that the setting is no good: it counts as `floor`. A lost one says nothing: it is
    left out, and another seed is asked in its place.
    """

    def __init__(self, evaluate: Evaluate, target: Target, spec: SearchSpec, words: Words | None = None) -> None:
        self.target, self.spec, self.words = target, spec, words or measurement_words(spec)
        self.points: list[Point] = []
        """Everything asked, in order, with its answer."""
        self.exhausted = False
        """Whether more was asked than max_trials allows."""
        self._evaluate = evaluate
        self._scores: dict[tuple[int, float], dict[int, float | None]] = {}
        """Answers by (d, factor on the rate), then by seed; all but those of first looks."""
        self._looks: dict[tuple[int, float], float | None] = {}
        """Answers of first looks, by (d, factor on the rate)."""
        self.switches: list[tuple[int, float]] = []
        """(d, factor on the rate) wherever the search went over to another rate, in order."""
        self._exceptions: dict[int, float] = {}

    def ask(self, asks: Sequence[Ask]) -> None:
        """Ask what is not known yet, as far as max_trials allows; `exhausted` says that it did not."""
        if self.over:
            return
        new = [a for a in asks if not self._asked(a)]
        room = self.spec.max_trials - len(self.points)
        self.exhausted = self.exhausted or len(new) > room
        batch = new[:room]
        answers = self._evaluate(batch) if batch else ()
        if len(answers) != len(batch):
            raise SpecError(f"evaluate must give one answer per ask, expected {len(batch)}, got {len(answers)}")
        for a, answer in zip(batch, answers, strict=True):
            self._record(a, answer if answer is None or math.isfinite(answer) else -math.inf)

    def _record(self, a: Ask, answer: float | None) -> None:
        if a.first_look:
            self._looks[a.d, a.rate_factor] = answer
        else:
            self._scores.setdefault((a.d, a.rate_factor), {})[a.seed] = answer
        score = None if answer is None or answer == -math.inf else float(answer)
        self.points.append(Point(**asdict(a), score=score, lost=answer is None))

    def _asked(self, a: Ask) -> bool:
        at = (a.d, a.rate_factor)
        return at in self._looks if a.first_look else a.seed in self._scores.get(at, {})

    @property
    def over(self) -> bool:
        """Whether nothing more will be asked: the budget is spent, or the first FUTILE trials were all lost."""
        return self.exhausted or (len(self.points) >= FUTILE and all(point.lost for point in self.points))

    def fill(self, d: int, count: int, rate: float | None = None, first: int = 0) -> None:
        """Ask until `count` trials at d enter the fit, with unused seeds from `first` on and round to the start.

        A lost trial is replaced by the next seed, as long as there is one.
        """
        rate = self.rate(d) if rate is None else rate
        while (short := count - self.seeds(d, rate)) > 0 and not self.over:
            unused = sorted(self._unused(d, rate), key=lambda seed: (seed < first, seed))
            if not unused:
                return
            self.ask([Ask(d, seed, rate) for seed in unused[:short]])

    def _unused(self, d: int, rate: float) -> set[int]:
        return set(range(2 * self.spec.seeds + 1)) - {self.look_seed} - self._scores.get((d, rate), {}).keys()

    @property
    def look_seed(self) -> int:
        """Index of the seed of every first look; no other trial has it."""
        return self.spec.seeds

    def incomplete(self, d: int) -> bool:
        """Whether d has fewer trials than the spec wants, and seeds left to ask."""
        return self.seeds(d) < self.spec.seeds and bool(self._unused(d, self.rate(d)))

    def rate(self, d: int) -> float:
        """Factor on the learning rate in use at d."""
        return self._exceptions.get(d, self.switches[-1][1] if self.switches else 1.0)

    def switch(self, d: int, rate: float) -> None:
        """Go over to `rate`, which did better at d: scores at the old one, too low now, leave the fit."""
        self.switches.append((d, rate))

    def make_exception(self, d: int, rate: float) -> None:
        """Let the scores at `rate` stand for d from now on, and for no other dimension."""
        self._exceptions[d] = rate

    def tried(self, d: int, rate: float) -> bool:
        """Whether anything has been asked at this dimension and rate."""
        return (d, rate) in self._scores or (d, rate) in self._looks

    def score(self, ask: Ask) -> float | None:
        """The answer to an ask, -inf for a diverged trial; None if it was lost, or not asked."""
        at = (ask.d, ask.rate_factor)
        return self._looks.get(at) if ask.first_look else self._scores.get(at, {}).get(ask.seed)

    def seeds(self, d: int, rate: float | None = None) -> int:
        """Number of trials at d that enter the fit: diverged ones do, lost ones and first looks do not."""
        return len(self._entering(d, self.rate(d) if rate is None else rate))

    def _entering(self, d: int, rate: float) -> list[float]:
        known = self._scores.get((d, rate), {})
        return [score for _, score in sorted(known.items()) if score is not None]

    def floor(self) -> float | None:
        """Score that a diverged trial counts as: chance, or the lowest score seen if that is lower.

        f(d) then is the score to expect at d when a diverged run is worth no more than guessing.
        """
        scores = [p.score for p in self.points if p.score is not None]
        return min(scores + ([] if self.target.chance is None else [self.target.chance]), default=None)

    def cell(self, d: int, rate: float | None = None) -> Cell | None:
        """The scores at d summed up; None if there are none, or none that has a number."""
        entering = self._entering(d, self.rate(d) if rate is None else rate)
        floor = self.floor()
        if not entering or floor is None:
            return None
        scores = [floor if score == -math.inf else score for score in entering]
        if max(entering) == -math.inf:
            scores = scores[:1]  # all diverged: that says nothing about the noise
        mean = math.fsum(scores) / len(scores)
        return Cell(d, mean, len(scores), math.fsum((score - mean) ** 2 for score in scores))

    def dims(self) -> list[int]:
        """All dimensions tried at the rate in use there, ascending, those whose trials were lost among them."""
        return sorted(d for d, rate in self._scores if rate == self.rate(d))

    def cells(self) -> list[Cell]:
        """The scores at all dimensions tried, ascending, each at the rate in use there."""
        return [cell for cell in map(self.cell, self.dims()) if cell is not None]

    def noise(self) -> tuple[float, int]:
        """Standard deviation of a trial in a subspace, pooled over every repeated setting; its degrees of freedom.

        The baseline has no say: full fine-tuning is often several times quieter than random subspaces are.
        """
        cells = [cell for d, rate in self._scores if (cell := self.cell(d, rate)) is not None]
        df = sum(cell.count - 1 for cell in cells)
        return (math.sqrt(math.fsum(cell.squares for cell in cells) / df) if df else math.inf), df

    def reached(self, d: int, rate: float | None = None) -> bool:
        """Whether the mean at d (at the rate in use, or at another one) reaches the target's value."""
        cell = self.cell(d, rate)
        return cell is not None and cell.mean >= self.target.value

    def clear(self, d: int) -> bool:
        """Whether the mean at d is farther from the target than noise explains, the baseline's noise included.

        |mean - tau| > t sqrt(s^2 / n + weight^2 max(s, s_B)^2 / n_B), t Student's quantile at CLEAR with the df of s.
        """
        cell = self.cell(d)
        if cell is None or -math.inf in self._entering(d, self.rate(d)):
            return False
        return abs(cell.mean - self.target.value) > self._margin(cell.count)

    def clearly_below(self, score: float) -> bool:
        """Whether a single score is farther below the target than noise explains, in the same sense."""
        return self.target.value - score > self._margin(1)

    def _margin(self, count: int) -> float:
        target, (noise, df) = self.target, self.noise()
        variance = noise**2 / count
        if target.weight:
            own = target.squares / target.df if target.df else 0.0
            variance += target.weight**2 * max(noise**2, own) / len(target.baseline)
        return _quantile(CLEAR, df) * math.sqrt(variance)

    def better(self, d: int, rate: float) -> bool:
        """Whether `rate` is better at d than the rate in use, by more than noise explains."""
        other, own = self.cell(d, rate), self.cell(d)
        return other is not None and (own is None or self._above(other, own, BETTER))

    def _above(self, left: Cell, right: Cell, level: float) -> bool:
        return left.mean - right.mean > self._allowance(1 / left.count + 1 / right.count, level)

    def clearly_worse(self, cell: Cell, other: Cell) -> bool:
        """Whether the mean of a cell is below another one by more than noise explains."""
        return self._above(other, cell, FALL)

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
        return _quantile(level, df) * noise * math.sqrt(variance)


def _quantile(level: float, df: int) -> float:
    return float(student_t.ppf(level, df)) if df else math.inf

"""Response curves whose d90 is known, to test the search against.

Three shapes in x = log2 d, each rising by 20 to 40 points from a floor of 30 to 55 to a plateau, which is
also the baseline's expected score; so tau = 0.9 * plateau lies at 62 to 83 % of the rise.

    logistic   floor + rise / (1 + exp(-(x - x0) / s)),               s in [0.5, 1.5] octaves
    power      floor + rise * max(0, 1 - 2^(-a (x - x0))),            a in [0.3, 1]; a kink at x0, a long shoulder
    stairs     two linear ramps with a flat landing between them, then flat: four kinks
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from intrinsic.records import SearchResult
from intrinsic.search import search
from intrinsic.search.ledger import Ask
from intrinsic.search.target import make_target
from intrinsic.spec import SearchSpec, TargetSpec

SHAPES = ("logistic", "power", "stairs")


@dataclass(frozen=True)
class Curve:
    """Expected score against d."""

    shape: str
    floor: float
    rise: float
    stretch: float
    """Width of the rise in octaves: s of logistic, 1/a of power, one ramp of stairs."""
    landing: tuple[float, float] = (0.4, 1.0)
    """Share of the rise at which the landing of stairs lies, and its octaves."""
    d90: float = 100.0
    """Dimension at which the curve meets the target."""

    @property
    def plateau(self) -> float:
        """Expected score at large d, and of the baseline."""
        return self.floor + self.rise

    @property
    def target(self) -> float:
        """Score that counts as reached: 0.9 of the plateau."""
        return 0.9 * self.plateau

    def mean(self, d: float) -> float:
        """Expected score at d; `target` exactly at d90."""
        share = (self.target - self.floor) / self.rise
        return self.floor + self.rise * self._share(np.log2(d / self.d90) + self._inverse(share))

    def _share(self, x: float) -> float:
        if self.shape == "logistic":
            return float(1 / (1 + np.exp(-x / self.stretch)))
        if self.shape == "power":
            return float(1 - 2 ** (-max(x, 0.0) / self.stretch))
        return float(np.interp(x, *self._stairs()))

    def _inverse(self, share: float) -> float:
        if self.shape == "logistic":
            return float(self.stretch * np.log(share / (1 - share)))
        if self.shape == "power":
            return float(-self.stretch * np.log2(1 - share))
        x, y = self._stairs()
        return float(np.interp(share, y, x))

    def _stairs(self) -> tuple[list[float], list[float]]:
        level, width = self.landing
        ends = [0.0, self.stretch, self.stretch + width, 2 * self.stretch + width]
        return ends, [0.0, level, level + 1e-9, 1.0]


def draw_curve(shape: str, rng: np.random.Generator, d90: tuple[float, float]) -> Curve:
    """A curve of the family, its d90 log-uniform in the range."""
    low, high = {"logistic": (0.5, 1.5), "power": (1.0, 3.3), "stairs": (1.0, 3.5)}[shape]
    return Curve(
        shape=shape,
        floor=rng.uniform(30, 55),
        rise=rng.uniform(20, 40),
        stretch=rng.uniform(low, high),
        landing=(rng.uniform(0.2, 0.55), rng.uniform(0.5, 2.0)),
        d90=float(np.exp(rng.uniform(*np.log(d90)))),
    )


@dataclass
class Responder:
    """Answers asks with the curve, less a penalty off the best rate, plus noise."""

    curve: Curve
    noise: float
    rng: np.random.Generator
    penalty: float = 0.0
    """Points lost for every factor of two between the rate and the best one."""
    best_rate: float = 1.0
    tails: float | None = None
    """Degrees of freedom of Student noise, scaled to the same standard deviation; None: normal."""
    baseline_noise: float = 1.0
    """The baseline's noise in units of the trials'."""

    def baseline(self, seeds: int) -> list[float]:
        """Scores of full fine-tuning."""
        return [self.curve.plateau + self.baseline_noise * self._noise() for _ in range(seeds)]

    def __call__(self, asks: Sequence[Ask]) -> list[float | None]:
        """Scores of the asks, in order."""
        return [self._score(ask) for ask in asks]

    def _score(self, ask: Ask) -> float:
        lost = self.penalty * abs(float(np.log2(ask.rate_factor / self.best_rate)))
        expected = max(self.curve.mean(ask.d) - lost, self.curve.floor)
        return expected + self._noise()

    def _noise(self) -> float:
        if self.tails is None:
            return self.noise * float(self.rng.standard_normal())
        return self.noise * float(self.rng.standard_t(self.tails)) * math.sqrt((self.tails - 2) / self.tails)


@dataclass(frozen=True)
class Scenario:
    """A setting to simulate, over all shapes and noise levels. The defaults are the standard test."""

    name: str = "standard"
    spec: SearchSpec = field(default_factory=SearchSpec)
    noises: tuple[float, ...] = (0.3, 1.0, 2.5)
    """Standard deviations of a trial's noise, in points."""
    baseline_noise: float = 1.0
    """The baseline's noise in units of the trials'."""
    baseline_seeds: tuple[int, ...] = (3, 4, 5)
    """Numbers of baseline scores; each curve gets one of them at random."""
    d90: tuple[float, float] = (12.0, 1400.0)
    """Range of the curves' d90."""
    penalty: tuple[float, float] = (0.0, 3.0)
    """Range of the points lost for every factor of two off the best rate."""
    best_rate: float = 1.0
    """Factor on the learning rate at which no points are lost."""
    tails: float | None = None
    """Degrees of freedom of Student noise; None: normal noise."""


@dataclass(frozen=True)
class Tally:
    """Counts over the curves of one shape and one noise level."""

    scenario: str
    shape: str
    noise: float
    curves: int
    below: int
    """Number of curves whose d90 lies below the interval (or that got none)."""
    above: int
    """Number of curves whose d90 lies above the interval."""
    found: int
    """Number of searches that ended with the status `found`."""
    trials_median: float
    """Median number of trials of a search."""
    trials_max: int
    """Largest number of trials of a search."""
    ratio_median: float
    """Median of the interval's upper over its lower end; an open end counts as the bracket's end."""

    @property
    def coverage(self) -> float:
        """Share of the curves whose d90 lies in the interval."""
        return 1 - (self.below + self.above) / self.curves


def tally(scenario: Scenario, shape: str, noise: float, curves: int, seed: int) -> Tally:
    """Search `curves` curves, each with a random stream of its own, derived from seed, shape, noise and number."""
    place = [seed, SHAPES.index(shape), scenario.noises.index(noise)]
    runs = [_run(scenario, shape, noise, np.random.default_rng([*place, number])) for number in range(curves)]
    trials = [len(result.points) for _, result in runs]
    ends = [_ends(result) for _, result in runs]
    ratios = [min(high, scenario.spec.high) / max(low, scenario.spec.low) for low, high in ends]
    return Tally(
        scenario=scenario.name,
        shape=shape,
        noise=noise,
        curves=curves,
        below=sum(curve.d90 < low for (curve, _), (low, _) in zip(runs, ends, strict=True)),
        above=sum(low <= curve.d90 and curve.d90 > high for (curve, _), (low, high) in zip(runs, ends, strict=True)),
        found=sum(result.status == "found" for _, result in runs),
        trials_median=float(np.median(trials)),
        trials_max=max(trials),
        ratio_median=float(np.median(ratios)),
    )


def _run(scenario: Scenario, shape: str, noise: float, rng: np.random.Generator) -> tuple[Curve, SearchResult]:
    curve = draw_curve(shape, rng, scenario.d90)
    penalty = rng.uniform(*scenario.penalty)
    responder = Responder(curve, noise, rng, penalty, scenario.best_rate, scenario.tails, scenario.baseline_noise)
    baseline = responder.baseline(int(rng.choice(scenario.baseline_seeds)))
    return curve, search(responder, make_target(TargetSpec(), baseline, None), scenario.spec)


def _ends(result: SearchResult) -> tuple[float, float]:
    """The interval with its open ends at 0 and infinity; an empty one where the search claims none."""
    if result.status == "not-monotone":
        return np.inf, np.inf
    low, high = result.interval
    return 0.0 if low is None else low, np.inf if high is None else high

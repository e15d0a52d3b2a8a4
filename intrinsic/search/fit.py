"""The curve behind noisy scores: a Gaussian-process posterior, made monotone, and where it meets the target.

Model, with x = log2 d and R the range of all scores seen:

    score at d  =  f(x) + eps,                 eps ~ N(0, sigma^2)
    baseline    =  mu_B + eps_B,               eps_B ~ N(0, (rho sigma)^2)
    f(x)        =  a + b (x - x_mid) + g(x),   a ~ N(middle, (2R)^2), b ~ N(R/8, (R/4)^2)
    g           ~  GP(0, s^2 Matern-3/2 with length l octaves)
    tau         =  offset + weight * mu_B,     mu_B under a flat prior

sigma, s, l and rho are not chosen but averaged over, on grids. Those of sigma, s and l have equal prior weights
(log-spaced: a log-uniform prior), so that few trials give Student-like tails; log rho ~ N(0, RATIO_SD^2), wide, for
full fine-tuning is often several times quieter than random subspaces are, and may be noisier. Draws of the whole
path given the data come from Matheron's rule (a prior path plus its kriged residual), each with its own sigma, s, l
and tau.

A draw need not rise, the true curve (nearly) does: each draw is projected on the rising curves
(Lin and Dunson, Biometrika 2014), in least squares weighted by the number of trials at each d. For the
crossing the projection need not be carried out: an isotonic regression lies below tau exactly up to the
minimiser of the running sum of weight * (path - tau).

Everything is deterministic: the normal deviates come from Philox under a fixed key and are cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from intrinsic.records import FitPoint
from intrinsic.search.target import Target

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SIGMAS = np.geomspace(0.003, 0.8, 14)
"""Grid of sigma, the noise, in units of the range R."""
AMPLITUDES = np.array([0.04, 0.12, 0.36])
"""Grid of s, the amplitude of g, in units of R."""
LENGTHS = np.array([1.5, 3.0, 8.0])
"""Grid of l, the length of g, in octaves of d."""
RATIOS = np.exp(np.linspace(-3.0, 2.4, 19))
"""Grid of rho, the baseline's noise over that of the search's trials."""
RATIO_SD, LEVEL_SD, SLOPE_MEAN, SLOPE_SD = 0.5, 2.0, 0.125, 0.25
"""Priors of log rho (sd), a (sd, in units of R) and b (mean and sd, in units of R an octave)."""
PER_CELL = 4
"""Steps of the fine axis from one dimension of the grid to the next."""
UNSEEN_WEIGHT = 1e-3
"""Weight, in trials per octave, of the fine axis where nothing was tried: it only breaks ties."""
KEY = 0x1D90
"""Key of the random generator behind all draws."""


@dataclass(frozen=True)
class Cell:
    """All scores at one dimension that enter the fit, summed up."""

    d: int
    mean: float
    count: int
    squares: float
    """Sum of squared deviations from the mean."""


@dataclass(frozen=True)
class Posterior:
    """M draws of the curve on the G points of the fine axis, in the score's unit."""

    x: Array
    """Fine axis [G], log2 d."""
    paths: Array
    """Draws of the curve [M, G], not yet projected on the rising curves."""
    weights: Array
    """Weights of the projection [G]: the number of trials, and next to nothing where there are none."""
    targets: Array
    """Draws of the target [M]."""
    crossings: Array
    """Draws of log2 of the crossing [M]; -inf where the target is met below the axis, inf where above."""

    def quantile(self, level: float) -> float:
        """Quantile of `crossings`; it is one of them, so that infinite ones never mix with finite ones."""
        return float(np.quantile(self.crossings, level, method="inverted_cdf"))


@dataclass(frozen=True)
class _Seen:
    """The n cells as the model sees them: scores about their middle, in units of R."""

    x: Array
    """log2 d [n]."""
    where: Indices
    """Places of x on the fine axis [n]."""
    means: Array
    """Mean scores [n]."""
    counts: Array
    """Numbers of scores [n]."""
    squares: float
    """Pooled sum of squares within cells."""
    df: int
    """Degrees of freedom of `squares`."""

    @property
    def x_mid(self) -> float:
        return float(self.x.mean())


@dataclass(frozen=True)
class _Settings:
    """Settings of the model for each of M draws, which take the place of one fitted value."""

    sigmas: Array
    amplitudes: Array
    lengths: Indices
    """Indices into LENGTHS [M]."""
    inverses: Array
    """Inverse covariances of the cells' means [M, n, n]."""


def posterior(cells: Sequence[Cell], target: Target, dims: tuple[int, ...], draws: int) -> Posterior:
    """The posterior given the scores in `cells`: at least one cell, all at dimensions of the grid `dims`."""
    x = fine_axis(dims)
    unit, middle = _scale(cells, target)
    seen = _seen(cells, dims, unit, middle)
    ratios = _ratio_weights(target, unit)
    settings = _choose(seen, np.log(ratios.sum(axis=1)), draws)
    paths = _paths(seen, settings, dims) * unit + middle
    targets = _targets(target, _baseline_noise(settings.sigmas, ratios) * unit)
    weights = UNSEEN_WEIGHT * np.gradient(x)
    weights[seen.where] += seen.counts
    return Posterior(x, paths, weights, targets, _crossings(x, paths - targets[:, None], weights))


def curve(post: Posterior, confidence: float) -> tuple[FitPoint, ...]:
    """Mean and pointwise band, on the fine axis, of the draws projected on the rising curves."""
    tail = (1 - confidence) / 2
    rising = np.stack([isotonic_regression(path, weights=post.weights).x for path in post.paths])
    lines = (rising.mean(axis=0), *np.quantile(rising, [tail, 1 - tail], axis=0))
    return tuple(
        FitPoint(d=float(2**x), mean=float(mean), low=float(lo), high=float(hi))
        for x, mean, lo, hi in zip(post.x, *lines, strict=True)
    )


@lru_cache(maxsize=32)
def fine_axis(dims: tuple[int, ...]) -> Array:
    """The fine axis [G], log2 d: from each of the grid's dimensions to the next in PER_CELL steps."""
    knots = np.log2(np.array(dims, dtype=float))
    steps = np.arange(PER_CELL * (len(dims) - 1) + 1) / PER_CELL
    return np.asarray(np.interp(steps, np.arange(len(dims)), knots))


def _scale(cells: Sequence[Cell], target: Target) -> tuple[float, float]:
    """The unit R and the middle of the scores: the fit is the same whatever unit the metric has."""
    seen = [cell.mean for cell in cells] + [target.value, *target.baseline]
    if target.chance is not None:
        seen.append(target.chance)
    low, high = min(seen), max(seen)
    return (high - low) or max(abs(high), 1.0) * 1e-6, (high + low) / 2


def _seen(cells: Sequence[Cell], dims: tuple[int, ...], unit: float, middle: float) -> _Seen:
    where = np.array([dims.index(cell.d) * PER_CELL for cell in cells])
    return _Seen(
        x=fine_axis(dims)[where],
        where=where,
        means=(np.array([cell.mean for cell in cells]) - middle) / unit,
        counts=np.array([cell.count for cell in cells], dtype=float),
        squares=sum(cell.squares for cell in cells) / unit**2,
        df=sum(cell.count - 1 for cell in cells),
    )


def _ratio_weights(target: Target, unit: float) -> Array:
    """[sigmas, ratios] prior of rho times the likelihood of the baseline's spread, up to a common factor."""
    sigmas = SIGMAS[:, None] * RATIOS
    log = -((np.log(RATIOS) / RATIO_SD) ** 2) / 2 - target.df * np.log(sigmas)
    log = log - target.squares / unit**2 / (2 * sigmas**2)
    return np.asarray(np.exp(np.maximum(log - log.max(), -600)))


def _baseline_noise(sigmas: Array, ratios: Array) -> Array:
    """[M] rho sigma for each draw's sigma, rho drawn given sigma."""
    given = np.cumsum(ratios, axis=1)[np.searchsorted(SIGMAS, sigmas)]
    level = _uniforms(len(sigmas))[:, None] * given[:, -1:]
    return np.asarray(sigmas * RATIOS[(given < level).sum(axis=1)])


@lru_cache(maxsize=1)
def _combinations() -> tuple[Array, Array, Indices]:
    """sigma, s and index of l for every combination, sorted by l."""
    ells, amps, sigmas = np.meshgrid(np.arange(len(LENGTHS)), AMPLITUDES, SIGMAS, indexing="ij")
    return sigmas.ravel(), amps.ravel(), ells.ravel()


def _repeats() -> int:
    """Number of times that the noise grid is repeated in the combinations."""
    return len(AMPLITUDES) * len(LENGTHS)


def _matern(left: Array, right: Array, length: float) -> Array:
    scaled = np.sqrt(3.0) * np.abs(left[:, None] - right[None, :]) / length
    return np.asarray((1 + scaled) * np.exp(-scaled))


def _linear(left: Array, right: Array, middle: float) -> Array:
    """Covariance of a + b (x - x_mid), in units of R^2."""
    return LEVEL_SD**2 + SLOPE_SD**2 * np.outer(left - middle, right - middle)


def _covariances(seen: _Seen) -> Array:
    """[C, n, n] of the cells' means, for every combination of sigma, s, l."""
    sigmas, amps, ells = _combinations()
    materns = np.stack([_matern(seen.x, seen.x, length) for length in LENGTHS])[ells]
    noise = sigmas[:, None, None] ** 2 * np.diag(1 / seen.counts)
    return np.asarray(amps[:, None, None] ** 2 * materns + _linear(seen.x, seen.x, seen.x_mid) + noise)


def _log_weights(seen: _Seen, covariances: Array) -> Array:
    """[C] log posterior weight of every combination by the cells alone."""
    sigmas, _, _ = _combinations()
    factor = np.linalg.cholesky(covariances)
    resid = seen.means - SLOPE_MEAN * (seen.x - seen.x_mid)
    white = np.linalg.solve(factor, np.broadcast_to(resid, (len(sigmas), len(seen.x)))[..., None])[..., 0]
    log_det = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    within = -seen.df * np.log(sigmas) - seen.squares / (2 * sigmas**2)
    return np.asarray(-log_det - (white**2).sum(axis=1) / 2 + within)


def _choose(seen: _Seen, by_baseline: Array, draws: int) -> _Settings:
    """Systematic resampling of the combinations; by_baseline: log weight of each sigma by the baseline's spread."""
    covariances = _covariances(seen)
    log_weights = _log_weights(seen, covariances) + np.tile(by_baseline, _repeats())
    weights = np.exp(log_weights - log_weights.max())
    levels = (np.arange(draws) + 0.5) / draws * weights.sum()
    picked = np.minimum(np.searchsorted(np.cumsum(weights), levels), len(weights) - 1)
    used, back = np.unique(picked, return_inverse=True)
    sigmas, amps, ells = _combinations()
    return _Settings(sigmas[picked], amps[picked], ells[picked], np.linalg.inv(covariances[used])[back])


@lru_cache(maxsize=16)
def _normals(draws: int, columns: int, stream: int) -> Array:
    generator = np.random.Generator(np.random.Philox(key=[KEY, stream]))
    return generator.standard_normal((draws, columns))


@lru_cache(maxsize=4)
def _uniforms(draws: int) -> Array:
    return np.random.Generator(np.random.Philox(key=[KEY, 4])).random(draws)


@lru_cache(maxsize=8)
def _prior_paths(dims: tuple[int, ...], draws: int) -> Array:
    """[L, M, G] paths of g with s = 1, for every length."""
    x = fine_axis(dims)
    jitter = 1e-9 * np.eye(len(x))
    normals = _normals(draws, len(x), 0)
    return np.stack([normals @ np.linalg.cholesky(_matern(x, x, ell) + jitter).T for ell in LENGTHS])


def _paths(seen: _Seen, settings: _Settings, dims: tuple[int, ...]) -> Array:
    """[M, G] draws given the cells' means, in units of R about the middle (Matheron's rule)."""
    draws, x = len(settings.sigmas), fine_axis(dims)
    line = _normals(draws, 2, 1)
    slope = SLOPE_MEAN + SLOPE_SD * line[:, 1:]
    paths = LEVEL_SD * line[:, :1] + slope * (x - seen.x_mid)
    paths += settings.amplitudes[:, None] * _prior_paths(dims, draws)[settings.lengths, np.arange(draws)]
    normals = _normals(draws, len(dims), 2)[:, seen.where // PER_CELL]
    noise = settings.sigmas[:, None] * normals / np.sqrt(seen.counts)
    alpha = np.einsum("mij,mj->mi", settings.inverses, seen.means - paths[:, seen.where] - noise)
    paths += alpha @ _linear(seen.x, x, seen.x_mid)
    for index, length in enumerate(LENGTHS):
        mine = settings.lengths == index
        paths[mine] += (settings.amplitudes[mine, None] ** 2 * alpha[mine]) @ _matern(seen.x, x, length)
    return np.asarray(paths)


def _targets(target: Target, noise: Array) -> Array:
    if target.weight == 0:
        return np.full(len(noise), target.value)
    spread = target.weight * noise / np.sqrt(len(target.baseline))
    return np.asarray(target.value + spread * _normals(len(noise), 1, 3)[:, 0])


def _crossings(x: Array, above: Array, weights: Array) -> Array:
    """[M] where the rising projection of each path in `above` = path - tau changes sign."""
    sums = np.concatenate([np.zeros((len(above), 1)), np.cumsum(above * weights, axis=1)], axis=1)
    first = np.argmin(sums, axis=1)  # points below the target
    rows = np.arange(len(above))
    right = np.clip(first, 1, len(x) - 1)
    before, after = above[rows, right - 1], above[rows, right]
    share = np.clip(-before / np.where(after > before, after - before, 1.0), 0, 1)
    inside = x[right - 1] + share * (x[right] - x[right - 1])
    return np.where(first == 0, -np.inf, np.where(first == len(x), np.inf, inside))

"""The posterior against independent answers: dense Gaussian formulas, scipy's isotonic regression."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from intrinsic.search import fit
from intrinsic.search.fit import Cell, curve, fine_axis, posterior
from intrinsic.search.target import Target

DIMS = (4, 8, 16, 32, 64, 128)
CELLS = [Cell(4, 52.0, 3, 2.0), Cell(16, 60.0, 2, 1.0), Cell(32, 70.0, 3, 3.0), Cell(128, 79.0, 1, 0.0)]
TARGET = Target(72.0, 0.9, (79.0, 80.0, 81.0), 50.0)


def _one_setting(monkeypatch, sigma, amplitude, length):
    monkeypatch.setattr(fit, "SIGMAS", np.array([sigma]))
    monkeypatch.setattr(fit, "RATIOS", np.array([1.0]))
    monkeypatch.setattr(fit, "AMPLITUDES", np.array([amplitude]))
    monkeypatch.setattr(fit, "LENGTHS", np.array([length]))
    fit._combinations.cache_clear()
    fit._prior_paths.cache_clear()


@pytest.fixture(autouse=True)
def _fresh_caches():
    yield
    fit._combinations.cache_clear()
    fit._prior_paths.cache_clear()


def test_paths_have_the_moments_of_a_gaussian_process(monkeypatch):
    _one_setting(monkeypatch, 0.05, 0.3, 2.0)
    post = posterior(CELLS, TARGET, DIMS, 40_000)
    unit, middle = 81.0 - 50.0, (81.0 + 50.0) / 2

    def kernel(a, b):
        r = np.sqrt(3) * abs(a[:, None] - b[None]) / 2.0
        line = 4 + np.outer(a - mid, b - mid) / 16
        return 0.3**2 * (1 + r) * np.exp(-r) + line

    seen, axis = np.log2([c.d for c in CELLS]), fine_axis(DIMS)
    mid = seen.mean()
    gain = np.linalg.solve(kernel(seen, seen) + np.diag([0.05**2 / c.count for c in CELLS]), kernel(seen, axis)).T
    scores = (np.array([c.mean for c in CELLS]) - middle) / unit
    mean = (axis - mid) / 8 + gain @ (scores - (seen - mid) / 8)
    var = np.diag(kernel(axis, axis) - gain @ kernel(seen, axis))
    assert np.allclose(post.paths.mean(axis=0), mean * unit + middle, atol=0.15)
    assert np.allclose(post.paths.std(axis=0), np.sqrt(var) * unit, rtol=0.03)
    assert post.targets.mean() == pytest.approx(72.0, abs=0.05)
    assert post.targets.std() == pytest.approx(0.9 * 0.05 * unit / np.sqrt(3), rel=0.02)


def test_crossing_is_that_of_the_isotonic_projection():
    rng = np.random.default_rng(5)
    x = fine_axis(DIMS)
    where = np.array([0, 8, 12, 20])
    counts = np.array([3.0, 1.0, 2.0, 3.0])
    weights = fit.UNSEEN_WEIGHT * np.gradient(x)
    weights[where] += counts
    paths = np.cumsum(rng.normal(0.1, 1.0, (200, len(x))), axis=1) - 1.0
    for path, crossing in zip(paths, fit._crossings(x, paths, weights), strict=True):
        rising = isotonic_regression(path, weights=weights).x
        below = int((rising < 0).sum())
        if below in (0, len(x)):
            assert crossing == (-np.inf if below == 0 else np.inf)
        else:
            assert x[below - 1] <= crossing <= x[below]


def test_the_unit_of_the_score_does_not_matter():
    scaled = [Cell(c.d, c.mean / 100, c.count, c.squares / 1e4) for c in CELLS]
    target = Target(0.72, 0.9, (0.79, 0.80, 0.81), 0.5)
    percent, share = posterior(CELLS, TARGET, DIMS, 500), posterior(scaled, target, DIMS, 500)
    assert np.allclose(percent.crossings, share.crossings)


def test_noise_of_the_search_says_something_of_the_baselines_but_not_all():
    """Scores 4.5 times noisier at the dimensions: the target, known by three quiet scores, gets wider by less."""
    known = [Cell(c.d, c.mean, c.count, c.squares * 20) for c in CELLS]
    quiet, noisy = posterior(CELLS, TARGET, DIMS, 1000), posterior(known, TARGET, DIMS, 1000)
    wide, narrow = (np.ptp(np.quantile(post.targets, [0.025, 0.975])) for post in (noisy, quiet))
    assert 1.5 * narrow < wide < 3 * narrow


def test_curve_rises_and_lies_in_its_band():
    points = curve(posterior(CELLS, TARGET, DIMS, 500), 0.95)
    assert [p.d for p in points][:: fit.PER_CELL] == pytest.approx(DIMS)
    assert all(p.low <= p.mean <= p.high for p in points)
    means = [p.mean for p in points]
    assert means == sorted(means)
    assert means[0] == pytest.approx(52, abs=2)
    assert means[-1] == pytest.approx(79, abs=3)


@pytest.mark.parametrize("value", [0.0, 0.75])
def test_scores_that_are_all_equal_give_a_finite_posterior(value):
    target = Target(0.9 * value, 0.9, (value,), None)
    post = posterior([Cell(4, value, 1, 0.0), Cell(64, value, 3, 0.0)], target, DIMS, 200)
    assert np.isfinite(post.paths).all()

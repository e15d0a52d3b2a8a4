"""Measurements' results, made up but complete: what `measure` would have returned, without training."""

from __future__ import annotations

import math
import random

from intrinsic.records import (
    Baseline,
    Cost,
    FitPoint,
    MeasureOutcome,
    MeasureResult,
    MeasureRun,
    Meta,
    Point,
    SearchResult,
    SearchStatus,
    TrialRow,
)
from intrinsic.spec import PRESETS, MeasureSpec, TargetSpec

RATE = 4e-3
FULL_DIM = 12_345_678


def measured(
    status: SearchStatus = "found",
    *,
    spec: MeasureSpec | None = None,
    noise: float = 0.006,
    seeds: int = 3,
    lower_is_better: bool = False,
    open_end: bool = False,
    fraction: float = 0.9,
) -> MeasureResult:
    """A measurement with the given search status on a saturating curve from d=4 to 4096."""
    spec = (spec or PRESETS["demo"]).model_copy(update={"target": TargetSpec(fraction=fraction)})
    chance, top = (1.0, 0.3) if lower_is_better else (0.5, 0.775)
    sign = -1.0 if lower_is_better else 1.0
    rng = random.Random(7)
    middle = {"met-at-lowest": 0.02, "never-met": 6e4}.get(status, 150.0)

    def curve(d: float) -> float:
        return chance + (top - chance) * d / (d + middle)

    base = [round(top + rng.gauss(0, noise / 2), 4) for _ in range(seeds)]
    mean = sum(base) / len(base)
    target = mean / fraction if lower_is_better else fraction * mean
    dims = [4, 16, 64, 256, 362, 512, 724, 1024, 4096]
    rows = _rows(base, dims, curve, rng, noise, (seeds, spec.search.seeds), lambda s: sign * s < sign * target)
    reached = [d for d in dims if sign * curve(d) >= sign * target]
    found = {"found": min(reached, default=None), "met-at-lowest": dims[0]}.get(status)
    interval = (None, None)
    if found is not None:
        interval = (None if status == "met-at-lowest" else found // 2, None if open_end else found * 2)
    fit = tuple(
        FitPoint(d=d, mean=curve(d), low=curve(d) - 2 * noise, high=curve(d) + 2 * noise)
        for d in (4 * 2 ** (k / 2) for k in range(21))
    )
    none = status == "no-baseline"
    search = SearchResult(
        status=status,
        d=found,
        interval=interval,
        confidence=0.95,
        target=None if none else target,
        points=() if none else _points(rows),
        fit=() if none else fit,
        message=f"a canned search that ended as {status}",
    )
    if none:
        rows = [r.model_copy(update={"status": "diverged", "score": None}) for r in rows[:seeds]]
    return MeasureResult(
        run=MeasureRun(measure_id=spec.id, spec=spec, command="intrinsic measure", started="2025-01-01T00:00:00Z"),
        result=MeasureOutcome(
            metric="mse" if lower_is_better else "accuracy",
            higher_is_better=not lower_is_better,
            chance=chance,
            num_train=6000,
            num_eval=1066,
            full_dim=FULL_DIM,
            baseline=None if none else Baseline(learning_rate=5e-4, scores=tuple(base), mean=mean, std=_std(base)),
            target=None if none else target,
            subspace_learning_rate=None if none else RATE,
            search=search,
            d90=found,
            share=None if found is None else found / FULL_DIM,
            artefact_bytes=None if found is None else 4 * found + 900,
            warnings=("the target 0.5500 lies within 2 points of the chance level 0.5400",) if open_end else (),
            cost=Cost(trials=len(rows), steps=100 * len(rows), seconds=28.0 * len(rows), reused=2),
            trials=tuple(rows),
        ),
        meta=Meta(versions={"python": "3.11.2", "torch": "2.13.0"}, hashes={"data": "ab" * 32}),
    )


def row(role: str, d: int | None, seed: int, rate: float, score: float | None, **changes: object) -> TrialRow:
    """One row of a list of trials; without a score it counts as diverged."""
    values = {
        "trial_id": f"{role[0]}{d or 0:07x}{seed:03x}{int(rate * 1e6) % 0x10000:05x}"[:16],
        "role": role,
        "d": d,
        "seed": seed,
        "learning_rate": rate,
        "status": "diverged" if score is None else "ok",
        "score": score,
        "steps": 100,
        "seconds": 28.0,
    }
    return TrialRow.model_validate(values | changes)


def _rows(base, dims, curve, rng, noise, counts, fails) -> list[TrialRow]:
    """The trials of a measurement. counts: seeds at a dimension, and the seed's index of a guard's first look."""
    seeds, look = counts
    rows = [row("baseline-rate", None, 0, rate, base[0] - gap) for rate, gap in ((2.5e-4, 0.02), (1e-3, 0.01))]
    rows += [row("baseline", None, seed, 5e-4, score) for seed, score in enumerate(base)]
    rows += [
        row("subspace-rate", 512, 0, rate, round(curve(512) - gap, 4)) for rate, gap in ((2e-3, 0.03), (8e-3, 0.01))
    ]
    for d in dims:
        scores = [round(curve(d) + rng.gauss(0, noise), 4) for _ in range(seeds)]
        rows += [row("search", d, seed, RATE, score) for seed, score in enumerate(scores)]
        if fails(max(scores)):
            lower, higher = round(curve(d) - 0.02, 4), None if d == 256 else round(curve(d) - 0.01, 4)
            rows.append(row("guard", d, look, RATE / 2, lower, first_look=True))
            rows.append(row("guard", d, look, RATE * 2, higher, first_look=True))
    return rows


def _points(rows: list[TrialRow]) -> tuple[Point, ...]:
    return tuple(
        Point(d=r.d, seed=r.seed, rate_factor=r.learning_rate / RATE, score=r.score, first_look=r.first_look)
        for r in rows
        if r.role in ("search", "guard") and r.d is not None
    )


def _std(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))

"""A stand-in for training: the score is a known curve of the spec, plus noise drawn from its seeds.

Pure but for an append-only log: where the environment variable SYNTHETIC_LOG names a file, every run appends
"start <id> <pid>" and "end <id> <pid>" to it. SYNTHETIC_SLEEP is the duration of a run in seconds.
"""

from __future__ import annotations

import math
import os
import random
import time

from intrinsic.records import Meta, TrialResult, TrialRun, TrialTrain
from intrinsic.spec import MeasureSpec, ModelSpec, OptimSpec, SearchSpec, SeedSpec, TaskSpec, TrialSpec

CHANCE, TOP, MIDDLE, NOISE = 0.5, 0.9, 40.0, 0.004
BEST = {"full": 5e-4, "subspace": 4e-3}
"""Best learning rate of each method; a rate off by a factor 2 costs about .04."""
FULL_DIM = 50_000


def spec(d: int | None = None, *, seed: int = 0, rate: float | None = None, steps: int = 100) -> TrialSpec:
    """A trial of full fine-tuning, or at dimension d."""
    method = {"name": "full"}
    if d is not None:
        method = {
            "name": "subspace",
            "subspace_dim": d,
            "projection": "fastfood",
            "structure_aware": True,
            "lambdas": "layer",
            "head": "in-subspace",
            "parameters": "all",
        }
    rate = BEST[str(method["name"])] if rate is None else rate
    return TrialSpec(
        method=method,
        optim=OptimSpec(steps=steps, learning_rate=rate),
        seeds=SeedSpec(projection=seed, initialisation=seed, data_order=seed),
    )


def measure_spec(**changes: object) -> MeasureSpec:
    """A measurement small enough to run a hundred times."""
    values: dict[str, object] = {
        "task": TaskSpec(name="synthetic"),
        "model": ModelSpec(name="synthetic"),
        "optim": OptimSpec(steps=10),
        "search": SearchSpec(low=8, high=512, resolution=2.0, seeds=2, guard_rates=(), max_trials=24),
    }
    return MeasureSpec.model_validate(values | changes)


def curve(spec: TrialSpec) -> float:
    """The noise-free score: saturating in d, parabolic in the log of the learning rate."""
    d = spec.method.subspace_dim
    reach = 1.0 if d is None else d / (d + MIDDLE)
    miss = math.log2(spec.optim.learning_rate / BEST[spec.method.name])
    return CHANCE + (TOP - CHANCE) * reach - 0.04 * miss**2


def result(spec: TrialSpec, *, status: str = "ok", data: str = "d" * 64, **train: object) -> TrialResult:
    """The record that run_trial would make."""
    noise = random.Random(spec.id).gauss(0, NOISE)
    values: dict[str, object] = {
        "metric": "accuracy",
        "score": round(curve(spec) + noise, 6) if status == "ok" else None,
        "chance": CHANCE,
        "num_train": 6000,
        "num_eval": 1000,
        "num_labels": 2,
        "steps": spec.optim.steps or 0,
        "seconds_per_step": 0.01,
        "full_dim": FULL_DIM,
        "artefact_bytes": 4 * (spec.method.subspace_dim or FULL_DIM),
    }
    return TrialResult(
        run=TrialRun(
            trial_id=spec.id,
            spec=spec,
            status=status,
            error=None if status == "ok" else f"made to end as {status}",
            started="2025-01-01T00:00:00Z",
            seconds=1.5,
        ),
        train=TrialTrain.model_validate(values | train),
        meta=Meta(hashes={"data": data, "weights": "w" * 64}),
    )


def run(spec: TrialSpec, *, progress=None, threads=None) -> TrialResult:
    """Run a trial, as the runner of a measurement does."""
    log(f"start {spec.id} {os.getpid()}")
    time.sleep(float(os.environ.get("SYNTHETIC_SLEEP", "0")))
    if progress is not None:
        progress(1, 2, 0.5)
    done = result(spec)
    log(f"end {spec.id} {os.getpid()}")
    return done


def log(line: str) -> None:
    """Append a line to the log in one write, so that it is there whole or not at all."""
    path = os.environ.get("SYNTHETIC_LOG")
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)

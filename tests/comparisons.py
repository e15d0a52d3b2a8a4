"""Comparisons without training: a score is a known curve of the method's size and rate, plus noise from its seeds."""

from __future__ import annotations

import math

import synthetic

from intrinsic.comparison import compare, parse_contenders
from intrinsic.records import CompareResult, Latency, Profile, TrialResult
from intrinsic.spec import CompareSpec, TrialSpec

BASE = synthetic.measure_spec(baseline_rates=(5e-4,), subspace_rates=(4e-3,))
BEST = {"full": 5e-4, "vera": 1e-3, "lora": 1e-3, "probe": 4e-3, "subspace": 4e-3}
TOP = {"full": 0.9, "vera": 0.7, "lora": 0.89, "probe": 0.7, "subspace": 0.88}
HALF = {"lora": 2.0, "vera": 2.0, "subspace": 40.0}
"""Size at which a method has gained half of its rise."""


def size_of(spec: TrialSpec) -> int | None:
    return spec.method.subspace_dim or dict(spec.method.options).get("rank")


def expected(spec: TrialSpec) -> float:
    name, size = spec.method.name, size_of(spec)
    share = 1.0 if size is None else size / (size + HALF[name])
    return 0.5 + (TOP[name] - 0.5) * share - 0.04 * math.log2(spec.optim.learning_rate / BEST[name]) ** 2


def runner(spec: TrialSpec, *, progress=None, threads=None) -> TrialResult:
    made = synthetic.result(spec.model_copy(update={"method": synthetic.spec(None).method}))
    noise = 0.004 * ((spec.seeds.data_order % 1000) / 500 - 1)
    train = made.train.model_copy(
        update={
            "score": expected(spec) + noise,
            "train_loss": 1 - expected(spec),
            "parameters_trained": 10 * (size_of(spec) or 1000),
            "artefact_bytes": 100,
        }
    )
    return made.model_copy(
        update={"run": made.run.model_copy(update={"trial_id": spec.id, "spec": spec}), "train": train}
    )


def profiler(spec: TrialSpec) -> Profile:
    return Profile(peak_bytes=10**6, latencies=(Latency(batch_size=1, full=2.0, unmerged=3.0, merged=None),))


def spec(methods: str, at: float | None = None) -> CompareSpec:
    return CompareSpec(base=BASE, contenders=parse_contenders(methods, BASE, search=at is not None), at=at)


def compared(methods: str, folder, at: float | None = None, **more) -> CompareResult:
    return compare(spec(methods, at), folder, runner=runner, profiler=profiler, **more)

"""Memory and latency of a method: against what must be there at the least, and against counts by hand."""

from __future__ import annotations

import gc

import pytest
import torch

from intrinsic.spec import MethodSpec, ModelSpec, OptimSpec, TaskSpec, TrialSpec
from intrinsic.trial.profile import BATCH_SIZES, LiveBytes, profile_trial

SUBSPACE = {
    "name": "subspace",
    "subspace_dim": 100,
    "projection": "fastfood",
    "structure_aware": False,
    "lambdas": "layer",
    "head": "in-subspace",
    "parameters": "all",
}


def test_live_bytes_counts_each_storage_once_and_forgets_the_dead():
    held = torch.zeros(100)
    with LiveBytes([held]) as live:
        assert live.now == 400
        first = held + 1
        view = first[:50]
        assert live.now == 800
        big = torch.zeros(1000)
        del big
        gc.collect()
        assert (live.now, live.peak) == (800, 4800)
        del first
        assert live.now == 800, "a view keeps the storage"
        del view
        assert live.now == 400


def profiled(method: MethodSpec):
    spec = TrialSpec(
        task=TaskSpec(name="digits"),
        model=ModelSpec(name="mlp"),
        method=method,
        optim=OptimSpec(steps=2, batch_size=32),
    )
    return profile_trial(spec)


@pytest.mark.parametrize("method", [MethodSpec(name="full"), MethodSpec.model_validate(SUBSPACE)], ids=lambda m: m.name)
def test_a_profile_holds_what_must_be_there(method):
    profile, weights = profiled(method), 4 * 55_210
    copies = 4 if method.name == "full" else 2  # theta, gradient, two moments; theta_0 and theta
    assert copies * weights <= profile.peak_bytes <= (copies + 2) * weights
    assert [latency.batch_size for latency in profile.latencies] == list(BATCH_SIZES)
    assert all(latency.full > 0 and latency.unmerged > 0 for latency in profile.latencies)
    assert all((latency.merged is None) == (method.name == "full") for latency in profile.latencies)

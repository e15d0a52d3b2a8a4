"""Memory and latency of a method: against what must be there at the least, and against counts by hand."""

from __future__ import annotations

import gc

import pytest
import torch
from method_models import fresh

from intrinsic.methods import attach
from intrinsic.spec import MethodSpec, ModelSpec, OptimSpec, SeedSpec, TaskSpec, TrialSpec
from intrinsic.trial.profile import BATCH_SIZES, LiveBytes, profile_trial, standing

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


SMALL = {**SUBSPACE, "subspace_dim": 20}
METHODS = [
    {"name": "full"},
    SMALL,
    {**SMALL, "structure_aware": True, "projection": "dense"},
    {**SMALL, "of": "lora"},
    {"name": "houlsby"},
    {"name": "prefix", "options": {"mlp_width": 8}},
    {"name": "prompt"},
    *({"name": name} for name in ("lora", "adalora", "ia3")),
    {"name": "vera", "options": {"rank": 4}},
    {"name": "unilora", "options": {"rank": 2, "size": 8}},
    {"name": "fourierft", "options": {"frequencies": 5}},
    {"name": "randlora", "options": {"rank": 2}},
]


def alive() -> dict[int, int]:
    """Bytes of every storage that Python's collector knows of, by address."""
    gc.collect()
    found = [held.untyped_storage() for held in gc.get_objects() if type(held) in (torch.Tensor, torch.nn.Parameter)]
    return {storage.data_ptr(): storage.nbytes() for storage in found if storage.nbytes()}


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m["name"] + ("-of" if "of" in m else ""))
def test_what_stands_before_a_step_is_all_that_the_collector_finds(method):
    attach(fresh("bert"), MethodSpec.model_validate(method), SeedSpec())  # tables and originals that serve all models
    before = alive()
    loaded = fresh("bert")
    trainable = attach(loaded, MethodSpec.model_validate(method), SeedSpec())
    after = alive()
    with LiveBytes(standing(trainable.model)) as live:
        counted = live.now
    assert counted == sum(size for address, size in after.items() if address not in before)


@pytest.mark.parametrize("method", [MethodSpec(name="full"), MethodSpec.model_validate(SUBSPACE)], ids=lambda m: m.name)
def test_a_profile_holds_what_must_be_there(method):
    profile, weights = profiled(method), 4 * 55_210
    copies = 4 if method.name == "full" else 3  # theta, gradient, two moments; theta_0, theta and one gradient at least
    assert copies * weights <= profile.peak_bytes <= (copies + 2) * weights
    assert [latency.batch_size for latency in profile.latencies] == list(BATCH_SIZES)
    assert all(latency.full > 0 and latency.unmerged > 0 for latency in profile.latencies)
    assert all((latency.merged is None) == (method.name == "full") for latency in profile.latencies)

"""Memory that dead weights leave to the next ones."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from intrinsic import Subspace
from intrinsic.kernels import library, memory
from intrinsic.kernels.memory import empty, recycled


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "FRESH_FLOATS", 64)


def test_a_dead_tensor_leaves_its_memory_to_one_of_its_size() -> None:
    with recycled():
        first = empty(1000)
        place = first.data_ptr()
        other = empty(1000)
        assert place % 64 == other.data_ptr() % 64 == 0
        assert other.data_ptr() != place
        del first
        assert empty(999).data_ptr() != place
        assert empty(1000).data_ptr() == place


def test_what_is_still_seen_is_not_given_away() -> None:
    with recycled():
        first = empty(1000).fill_(1.0)
        view = first[10:20].detach()
        del first
        empty(1000).fill_(2.0)
        assert view.tolist() == [1.0] * 10


def test_nothing_is_kept_outside_and_after() -> None:
    made = empty(1000)
    del made
    assert not memory._spare
    with recycled():
        made = empty(1000)
        with recycled():
            del made
        assert len(memory._spare) == 1, "an inner block ends, the outer one keeps"
    assert not memory._spare


def test_threads_never_share_memory() -> None:
    """Several sizes made and dropped by four threads at once: nobody's numbers are written over."""

    def work(thread: int) -> bool:
        held: list[torch.Tensor] = []
        for turn in range(3000):
            made = empty(1000 + (turn + thread) % 3).fill_(thread)
            held = [*held[-3:], made]
            if any(bool((kept != thread).any()) for kept in held):
                return False
        return True

    with recycled(), ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert not memory._spare


def test_new_weights_take_the_place_of_the_old_and_gradients_stay_those_of_their_own_forward_pass() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 50), nn.Tanh(), nn.Linear(50, 3))
    subspace, x = Subspace(model, 200), torch.randn(4, 40)
    before = model(x)
    expected = torch.autograd.grad(before.sum(), subspace.theta, retain_graph=True)[0]
    with torch.no_grad():
        subspace.theta.add_(0.1)
    after = model(x)  # makes W again while `before` still needs the old one
    assert torch.equal(torch.autograd.grad(before.sum(), subspace.theta)[0], expected)
    assert not torch.equal(before, after)
    if not library.available():
        return  # other kernels take their memory from torch
    del before, after
    gc.collect()
    place = model[0].weight.data_ptr()
    with torch.no_grad():
        subspace.theta.add_(0.1)
    model(x)
    assert model[0].weight.data_ptr() == place

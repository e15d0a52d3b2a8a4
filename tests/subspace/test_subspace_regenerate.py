"""Subspace(regenerate=True): the same numbers as keeping the weights, and no weight kept."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import pytest
import torch
from models_tiny import TINY, batch_of, logits, loss_of, tiny
from test_subspace_gradients import MODES, assert_close, attach, expected, somewhere
from torch import Tensor, nn

from intrinsic.errors import SpecError
from intrinsic.subspace import Subspace
from intrinsic.subspace.regenerate import Absent


def weights_in(model: nn.Module) -> list[str]:
    """The attributes that stand where a parameter was."""
    return [
        f"{path}.{name}"
        for path, module in model.named_modules()
        for name, value in module.__dict__.items()
        if isinstance(value, Tensor) and not isinstance(value, Absent)
    ]


def step(name: str, subspace: Subspace, model: nn.Module, **more: Any) -> Tensor:
    out = logits(model, {**batch_of(name, torch.float64), **more})
    loss_of(out).backward()
    return out.detach()


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
@pytest.mark.parametrize("name", TINY)
def test_logits_and_gradients_equal_plain_autograd(name: str, mode: str | None) -> None:
    model = tiny(name, torch.float64)
    subspace = attach(model, mode, regenerate=True)
    somewhere(subspace)
    out = step(name, subspace, model)
    want, d_theta, d_lambdas = expected(name, subspace, mode)
    assert_close(out, want, 1e-12)
    assert_close(subspace.theta.grad, d_theta, 1e-10)
    assert_close(None if subspace.lambdas is None else subspace.lambdas.grad, d_lambdas, 1e-10)
    assert weights_in(model) == []


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
@pytest.mark.parametrize("reentrant", [False, True], ids=["non-reentrant", "reentrant"])
@pytest.mark.parametrize("name", [name for name in TINY if name != "deberta"])
def test_gradient_checkpointing_changes_nothing(name: str, reentrant: bool) -> None:
    model = tiny(name, torch.float64)
    subspace = attach(model, "layer", regenerate=True)
    somewhere(subspace)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    step(name, subspace, model, **({"use_cache": False} if name in ("gpt2", "llama", "t5") else {}))
    _, d_theta, d_lambdas = expected(name, subspace, "layer")
    assert_close(subspace.theta.grad, d_theta, 1e-10)
    assert_close(subspace.lambdas.grad, d_lambdas, 1e-10)
    assert weights_in(model) == []


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_float32_gradients_are_those_of_kept_weights(name: str) -> None:
    """But for the order in which the layers' gradients are added."""
    grads, made = [], []
    for regenerate in (False, True):
        model = tiny(name)
        subspace = attach(model, "layer", regenerate=regenerate)
        somewhere(subspace)
        out = logits(model, batch_of(name))
        loss_of(out).backward()
        made.append(out.detach())
        grads.append((subspace.theta.grad, subspace.lambdas.grad))
    assert torch.equal(*made)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-5)


class Deep(nn.Module):
    """Layers whose weights are far larger than what flows through them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def test_no_weight_outlives_its_part() -> None:
    """Not in the modules, not in autograd's graph, neither after the forward pass nor in the backward pass."""
    model = Deep()
    Subspace(model, 20, regenerate=True)
    seen: list[weakref.ref[Any]] = []

    def watch(module: nn.Module, *_: object) -> None:
        assert [ref() for ref in seen if ref() is not None] == []
        seen.append(weakref.ref(module.weight.untyped_storage()))

    for layer in model.layers:
        layer[0].register_forward_pre_hook(watch)
    loss = model(torch.randn(2, 64)).sum()
    assert len(seen) == 6
    saved = saved_shapes(loss)
    assert (64, 64) not in saved
    loss.backward()


def saved_shapes(loss: Tensor) -> set[tuple[int, ...]]:
    """Shapes of the tensors that lie in the graph itself: a note is none."""
    found: set[tuple[int, ...]] = set()
    waiting, done = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in done:
            continue
        done.add(node)
        for name in dir(node):
            raw = getattr(node, name, None) if name.startswith("_raw_saved") else None
            data = getattr(raw, "data", None)
            if isinstance(data, Tensor):
                found.add(tuple(data.shape))
        waiting += [each for each, _ in node.next_functions]
    return found


def test_micro_batches_add_up() -> None:
    model, batch = tiny("bert", torch.float64), batch_of("bert", torch.float64)
    subspace = attach(model, "layer", regenerate=True)
    somewhere(subspace)
    losses = [
        logits(model, {k: v[part] for k, v in batch.items()}).double().pow(2).sum()
        for part in (slice(0, 1), slice(1, 3))
    ]
    for loss in losses:
        loss.backward()
    apart = subspace.theta.grad.clone()
    subspace.theta.grad = None
    logits(model, batch).double().pow(2).sum().backward()
    assert_close(apart, subspace.theta.grad, 1e-10)


@pytest.mark.parametrize("merge", [True, False])
def test_taking_it_off_leaves_a_plain_model(merge: bool) -> None:
    model, batch = tiny("bert", torch.float64), batch_of("bert", torch.float64)
    names = [name for name, _ in model.named_parameters()]
    before = logits(model, batch).detach()
    subspace = attach(model, "layer", regenerate=True)
    somewhere(subspace)
    moved = logits(model, batch).detach()
    assert not torch.equal(moved, before)
    plain = subspace.merge() if merge else subspace.detach()
    assert torch.equal(logits(plain, batch).detach(), moved if merge else before)
    assert [name for name, _ in plain.named_parameters()] == names
    assert not plain.bert._forward_hooks


def test_copies_and_pickles_live_on_their_own() -> None:
    model, batch = tiny("bert", torch.float64), batch_of("bert", torch.float64)
    subspace = attach(model, "layer", regenerate=True)
    somewhere(subspace)
    want = logits(model, batch).detach()
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    with torch.no_grad():
        subspace.theta.zero_()
    for twin in twins:
        assert torch.equal(logits(twin, batch).detach(), want)
    assert not torch.equal(logits(model, batch).detach(), want)


def test_a_forward_pass_that_fails_leaves_nothing_behind() -> None:
    model = Deep()
    subspace = Subspace(model, 20, regenerate=True)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model(torch.randn(2, 63))
    assert weights_in(model) == []
    assert torch._C._autograd._top_saved_tensors_default_hooks(False) is None
    model(torch.randn(2, 64)).sum().backward()
    assert subspace.theta.grad is not None


def test_without_gradients_and_part_by_part() -> None:
    model = Deep()
    subspace = Subspace(model, 20, regenerate=True)
    somewhere(subspace)
    x = torch.randn(2, 64)
    kept = copy.deepcopy(model)
    with torch.no_grad():
        want = model(x)
    with torch.inference_mode():
        assert torch.equal(model(x), want)
    for layer in kept.layers:
        x = layer(x)
    assert torch.equal(x.detach(), want)
    assert weights_in(model) == []


def test_an_artefact_comes_back_regenerated(tmp_path: Any) -> None:
    model = Deep()
    subspace = Subspace(model, 20, regenerate=True)
    somewhere(subspace)
    x = torch.randn(2, 64)
    want = model(x).detach()
    subspace.save_pretrained(tmp_path)
    base = subspace.detach()
    assert torch.equal(Subspace.from_pretrained(tmp_path, base, regenerate=True).model(x).detach(), want)


def test_a_weight_that_is_not_there_says_so() -> None:
    model = Deep()
    Subspace(model, 20, regenerate=True)
    weight = model.layers[0][0].weight
    assert (weight.shape, weight.dtype, weight.device.type) == ((64, 64), torch.float32, "cpu")
    assert repr(weight) == "Absent(shape=(64, 64), dtype=torch.float32, device=cpu)"
    with pytest.raises(SpecError, match="a weight is there only while the part of the model that holds it computes"):
        weight + 1
    model.double()
    assert model.layers[0][0].weight.dtype == torch.float64
    model(torch.randn(2, 64).double()).sum().backward()

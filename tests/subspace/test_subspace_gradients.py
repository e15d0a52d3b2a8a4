"""theta_d's and the lambdas' gradients against plain autograd, for every family and every way to run it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from models_tiny import TINY, batch_of, logits, loss_of, tiny
from subspace_oracle import names_of, reference, scale_index
from torch import Tensor, nn

from intrinsic.subspace import Subspace

D, SEED = 29, 7
MODES = {"DID": None, "SAID layer": "layer", "SAID tensor": "tensor"}


def attach(model: nn.Module, mode: str | None, projection: str = "fastfood", **more: Any) -> Subspace:
    lambdas = scale_index(model, mode, sorted(names_of(model)))[1]
    return Subspace(
        model, D + lambdas, projection, structure_aware=mode is not None, lambdas=mode or "layer", seed=SEED, **more
    )


def somewhere(subspace: Subspace) -> None:
    """A point that is no special one: theta is not 0, the lambdas are not 1."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        subspace.theta.copy_(0.1 * torch.randn(subspace.theta.shape, generator=generator))
        if subspace.lambdas is not None:
            subspace.lambdas.copy_(1 + 0.3 * torch.randn(subspace.lambdas.shape, generator=generator))


def expected(
    name: str,
    subspace: Subspace,
    mode: str | None,
    projection: str = "fastfood",
    plain: nn.Module | None = None,
) -> Any:
    plain, batch = plain or tiny(name, torch.float64), batch_of(name, torch.float64)
    return reference(plain, batch, subspace.theta, subspace.lambdas, projection=projection, seed=SEED, mode=mode)


def assert_close(got: Tensor | None, want: Tensor | None, tolerance: float) -> None:
    if want is None or got is None:
        assert got is None
        assert want is None
        return
    error = (got.double() - want).norm() / want.norm()
    assert error < tolerance, f"relative error {error:.2e}"


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
@pytest.mark.parametrize("name", TINY)
def test_logits_and_gradients_equal_plain_autograd(name: str, mode: str | None) -> None:
    model = tiny(name, torch.float64)
    subspace = attach(model, mode)
    somewhere(subspace)
    out = logits(model, batch_of(name, torch.float64))
    loss_of(out).backward()
    want, d_theta, d_lambdas = expected(name, subspace, mode)
    assert_close(out, want, 1e-12)
    assert_close(subspace.theta.grad, d_theta, 1e-10)
    assert_close(None if subspace.lambdas is None else subspace.lambdas.grad, d_lambdas, 1e-10)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
@pytest.mark.parametrize("reentrant", [False, True], ids=["non-reentrant", "reentrant"])
@pytest.mark.parametrize("name", TINY)
def test_gradient_checkpointing_changes_nothing(name: str, reentrant: bool) -> None:
    model, plain = tiny(name, torch.float64), tiny(name, torch.float64)
    if name == "deberta" and reentrant:  # its layer norm lies outside the checkpoints and inside their graph:
        for each in (model, plain):  # torch refuses that with or without a subspace
            each.deberta.encoder.norm_rel_ebd = ["none"]
    subspace = attach(model, "layer")
    somewhere(subspace)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    batch = batch_of(name, torch.float64)
    if name in ("gpt2", "llama", "t5"):
        batch["use_cache"] = False
    loss_of(logits(model, batch)).backward()
    _, d_theta, d_lambdas = expected(name, subspace, "layer", plain=plain)
    assert_close(subspace.theta.grad, d_theta, 1e-10)
    assert_close(subspace.lambdas.grad, d_lambdas, 1e-10)


@pytest.mark.parametrize("name", TINY)
def test_autocast_reaches_the_model_and_not_the_projection(name: str) -> None:
    """bf16 has 8 bits: the gradient is that of float64 to a few per cent, theta and its gradient are float32."""
    model = tiny(name)
    subspace = attach(model, "layer", "dense")
    somewhere(subspace)
    with torch.autocast("cpu", torch.bfloat16):
        out = logits(model, batch_of(name))
        loss_of(out).backward()
    _, d_theta, d_lambdas = expected(name, subspace, "layer", "dense")
    assert subspace.theta.grad.dtype == torch.float32
    assert_close(subspace.theta.grad, d_theta, 0.1)
    assert_close(subspace.lambdas.grad, d_lambdas, 0.1)


@pytest.mark.parametrize("name", TINY)
def test_float32_is_good_to_its_own_precision(name: str) -> None:
    model = tiny(name)
    subspace = attach(model, "layer")
    somewhere(subspace)
    loss_of(logits(model, batch_of(name))).backward()
    _, d_theta, d_lambdas = expected(name, subspace, "layer")
    assert_close(subspace.theta.grad, d_theta, 2e-4)
    assert_close(subspace.lambdas.grad, d_lambdas, 2e-4)


@pytest.mark.parametrize("name", TINY)
def test_micro_batches_add_up_through_one_materialisation(name: str) -> None:
    model, batch = tiny(name, torch.float64), batch_of(name, torch.float64)
    if name == "convnet":
        model.eval()  # batch statistics are no sum over micro-batches
    subspace = attach(model, "layer")
    somewhere(subspace)
    halves = [{k: v[part] for k, v in batch.items()} for part in (slice(0, 1), slice(1, 3))]
    made = subspace.materialisations
    for half in halves:
        logits(model, half).double().pow(2).sum().backward()
    assert subspace.materialisations == made + 1
    twice = subspace.theta.grad.clone(), subspace.lambdas.grad.clone()
    subspace.theta.grad = subspace.lambdas.grad = None
    logits(model, batch).double().pow(2).sum().backward()
    assert subspace.materialisations == made + 1
    assert_close(twice[0], subspace.theta.grad, 1e-10)
    assert_close(twice[1], subspace.lambdas.grad, 1e-10)


@pytest.mark.parametrize("projection", ["dense", "sparse", "hashed", "kronecker"])
def test_every_projection_gives_the_gradient_of_its_own_matrix(projection: str) -> None:
    model = tiny("convnet", torch.float64)
    subspace = attach(model, "layer", projection)
    somewhere(subspace)
    out = logits(model, batch_of("convnet", torch.float64))
    loss_of(out).backward()
    want, d_theta, d_lambdas = expected("convnet", subspace, "layer", projection)
    assert_close(out, want, 1e-12)
    assert_close(subspace.theta.grad, d_theta, 1e-10)
    assert_close(subspace.lambdas.grad, d_lambdas, 1e-10)


def test_a_selection_leaves_the_rest_at_theta_0() -> None:
    model = tiny("bert", torch.float64)
    chosen = sorted(name for name in names_of(model) if "attention" in name)
    subspace = Subspace(model, D + 2, parameters=["*attention*"], seed=SEED)
    somewhere(subspace)
    loss_of(logits(model, batch_of("bert", torch.float64))).backward()
    plain, batch = tiny("bert", torch.float64), batch_of("bert", torch.float64)
    _, d_theta, d_lambdas = reference(
        plain, batch, subspace.theta, subspace.lambdas, projection="fastfood", seed=SEED, mode="layer", chosen=chosen
    )
    assert subspace.tensor_names == tuple(chosen)
    assert_close(subspace.theta.grad, d_theta, 1e-10)
    assert_close(subspace.lambdas.grad, d_lambdas, 1e-10)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_behind_frozen_embeddings_still_get_their_gradient(reentrant: bool) -> None:
    grads = []
    for checkpointed in (False, True):
        model = tiny("bert", torch.float64)
        subspace = Subspace(model, D, parameters=lambda name: "embeddings" not in name)
        somewhere(subspace)
        if checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        loss_of(logits(model, batch_of("bert", torch.float64))).backward()
        grads.append(subspace.theta.grad)
    assert_close(*grads, 1e-10)


@pytest.mark.parametrize("regenerate", [False, True])
def test_the_gradient_belongs_to_the_point_of_the_forward_pass(regenerate: bool) -> None:
    """A backward pass after theta_d has moved still sees the values its forward was made with."""
    model = tiny("bert", torch.float64)
    subspace = attach(model, "layer", regenerate=regenerate)
    somewhere(subspace)
    loss = loss_of(logits(model, batch_of("bert", torch.float64)))
    _, d_theta, d_lambdas = expected("bert", subspace, "layer")
    with torch.no_grad():
        subspace.theta.mul_(2), subspace.lambdas.mul_(3)
    loss.backward()
    assert_close(subspace.theta.grad, d_theta, 1e-10)
    assert_close(subspace.lambdas.grad, d_lambdas, 1e-10)


def test_sparse_embedding_gradients_are_taken() -> None:
    grads = []
    for sparse in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(9, 4, sparse=sparse), nn.Linear(4, 2))
        subspace = Subspace(model, 6)
        model(torch.tensor([[1, 2, 2]])).pow(2).sum().backward()
        grads.append(subspace.theta.grad)
    assert torch.allclose(*grads)

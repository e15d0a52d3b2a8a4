"""The parts of certify: coarse subspaces, features, counting."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from intrinsic.certificate.build import lay_out, sizes
from intrinsic.certificate.codes import arrangement_bits
from intrinsic.certificate.count import MARGIN, count_errors
from intrinsic.certificate.gabor import gabor_features
from intrinsic.certificate.networks import FeatureDataset, FeaturePrepared, Network, NetworkBuilder, Perceptron, stack
from intrinsic.certificate.quantise import Coarse, CoarseSubspace, lloyd
from intrinsic.certificate.spec import Grid, Setting
from intrinsic.errors import SpecError
from intrinsic.models.loaded import LoadedModel
from intrinsic.spec import TaskSpec


def network_of(model: nn.Module, features: torch.Tensor, labels: torch.Tensor) -> Network:
    split = FeatureDataset(features, labels)
    prepared = FeaturePrepared(split, split, stack)
    loaded = LoadedModel(model, None, ("classifier",), (), None, "", "")
    return Network(loaded, (prepared, prepared), "")


def coarse_of(kinds: int = 3, bit_weight: float = 0.0, structure_aware: bool = False) -> CoarseSubspace:
    torch.manual_seed(0)
    network = network_of(Perceptron(6, 5, 3), torch.randn(8, 6), torch.zeros(8, dtype=torch.int64))
    inner = lay_out(network, Setting(network="gabor", structure_aware=structure_aware), 20, Grid(), 0)
    return CoarseSubspace(inner, Coarse(kinds, bit_weight, 0.5, 3), structure_aware=structure_aware)


def step(trainable: CoarseSubspace, number: int) -> None:
    torch.manual_seed(number)
    logits = trainable.model(features=torch.randn(16, 6)).logits
    loss = nn.functional.cross_entropy(logits, torch.arange(16) % 3) + trainable.penalty()
    loss.backward()
    with torch.no_grad():
        for parameter in (p for p in trainable.parameters() if p.grad is not None):
            parameter -= 0.1 * parameter.grad
            parameter.grad = None
    trainable.after_step(number, 10)


@pytest.mark.parametrize("structure_aware", [False, True])
def test_theta_moves_freely_then_takes_the_coded_values_and_no_others(structure_aware):
    trainable = coarse_of(kinds=3, bit_weight=1e-3, structure_aware=structure_aware)
    core = trainable.model.intrinsic_subspace
    for number in range(1, 11):
        step(trainable, number)
        assert trainable.is_coarse == (number >= 5)
        distinct = set(core.theta.tolist())
        assert len(distinct) <= 3 if trainable.is_coarse else len(distinct) > 3
    values, levels = trainable.values(), trainable.levels()
    assert values[1] == 0.0
    assert core.theta.tolist() == [values[level] for level in levels]
    assert len(trainable.factors()) == (4 if structure_aware else 0)
    factors = trainable.factors() or (1.0,) * 4
    assert torch.allclose(core.lambdas, trainable._scales * torch.tensor(factors))
    assert all(float(f * 2**12).is_integer() for f in (*values, *factors))


def test_the_straight_through_gradient_is_that_of_the_coarse_point():
    """theta's gradient at q(theta) passes to the latents; a value's is the sum over the coordinates that took it."""
    trainable = coarse_of()
    for number in range(1, 8):
        step(trainable, number)
    levels, anchors = trainable.levels(), trainable._anchors.clone()
    inputs, labels = torch.randn(16, 6), torch.arange(16) % 3
    nn.functional.cross_entropy(trainable.model(features=inputs).logits, labels).backward()
    got = trainable.latents.theta.grad
    eps, core = 1e-2, trainable.model.intrinsic_subspace
    for i in (0, 7, 19):
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                core.theta[i] += sign * eps
            losses.append(nn.functional.cross_entropy(trainable.model(features=inputs).logits, labels).item())
            with torch.no_grad():
                core.theta[i] -= sign * eps
        assert got[i].item() == pytest.approx((losses[0] - losses[1]) / (2 * eps), abs=2e-4)
    for kind in range(3):
        expected = float(got[levels == kind].sum() * anchors[kind] / 4)
        assert trainable.latents.values.grad[kind].item() == pytest.approx(expected, abs=1e-6)


def test_the_penalty_is_about_what_the_levels_cost():
    trainable = coarse_of(bit_weight=1.0)
    trainable.is_coarse = True
    with torch.no_grad():
        trainable._anchors = torch.tensor([-1.0, 0.0, 1.0])
        trainable.latents.theta.copy_(torch.tensor([-1.0] * 2 + [0.0] * 15 + [1.0] * 3))
    entropy = -20 * sum(p * np.log2(p) for p in (0.1, 0.75, 0.15))
    told = trainable.penalty().item()
    assert told == pytest.approx(entropy, rel=1e-3)
    assert arrangement_bits([2, 15, 3]) < told


def test_the_state_comes_back():
    trainable = coarse_of()
    for number in range(1, 8):
        step(trainable, number)
    kept = {name: tensor.clone() for name, tensor in trainable.state_dict().items()}
    step(trainable, 8)
    trainable.load_state_dict(kept)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in trainable.state_dict().items())


def test_the_artefact_and_the_merged_model_compute_the_coarse_point(tmp_path):
    trainable, other = coarse_of(), coarse_of()
    for number in range(1, 8):
        step(trainable, number)
    inputs = torch.randn(4, 6)
    expected = trainable.model(features=inputs).logits
    trainable.save(tmp_path)
    other.load(tmp_path)
    assert torch.equal(other.model(features=inputs).logits, expected)
    assert torch.equal(trainable.merge()(features=inputs).logits, expected)


def test_lloyd_finds_three_heaps_and_keeps_zero():
    theta = torch.cat([torch.full((5,), -0.9), torch.full((9,), 0.02), torch.full((5,), 1.1)])
    assert lloyd(theta, 3).tolist() == pytest.approx([-0.9, 0.0, 1.1], abs=1e-6)
    assert torch.isfinite(lloyd(torch.zeros(7), 4)).all()


def test_gabor_features_are_of_one_example_alone_and_know_orientation():
    stripes = torch.zeros(2, 1, 28, 28)
    stripes[0, :, :, ::3] = 1.0
    stripes[1, :, ::3, :] = 1.0
    made = gabor_features(stripes)
    assert made.shape == (2, 833)
    assert torch.allclose(made[:1], gabor_features(stripes[:1]), atol=1e-5)
    assert made.mean(dim=1).abs().max() < 1e-5
    maps = made.reshape(2, 17, 7, 7).mean(dim=(2, 3))
    assert maps[0, 1] > maps[0, 5]
    assert maps[1, 1] < maps[1, 5]
    assert torch.allclose(gabor_features(3 * stripes - 1), made, atol=1e-4)


class Fixed(nn.Module):
    """Answers with its input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, features):
        return SimpleNamespace(logits=features)


def test_narrow_wrong_and_infinite_answers_are_errors():
    logits = torch.tensor(
        [[1.0, 0.0], [0.0, 1.0], [MARGIN / 2, 0.0], [2 * MARGIN, 0.0], [0.0, 0.0], [np.inf, 0.0], [np.nan, 0.0]]
    )
    counts = count_errors(network_of(Fixed(), logits, torch.zeros(7, dtype=torch.int64)), "train")
    assert (counts.errors, counts.narrow, counts.samples) == (5, 1, 7)


class Moody(Fixed):
    """Right in small batches only."""

    def forward(self, features):
        return SimpleNamespace(logits=features if len(features) <= 250 else -features)


def test_an_example_must_be_right_in_both_passes():
    logits = torch.tensor([[1.0, 0.0]]).repeat(1100, 1)
    counts = count_errors(network_of(Moody(), logits, torch.zeros(1100, dtype=torch.int64)), "train")
    assert counts.errors == 1100 - 100  # the second pass ends with 100


def test_a_network_of_another_kind_is_refused():
    builder = NetworkBuilder.open(Grid(), TaskSpec(name="digits"))
    with pytest.raises(SpecError, match="is for text tasks, 'digits' is a vision task"):
        builder.network(Setting(network="embedding"), 0)


def test_another_seed_is_another_start_and_the_same_seed_the_same():
    builder = NetworkBuilder.open(Grid(), TaskSpec(name="digits"))
    first, again, other = (builder.network(Setting(), seed).weights_sha256 for seed in (0, 0, 1))
    assert first == again != other


def test_a_dimension_beyond_the_network_is_refused():
    network = network_of(Perceptron(6, 0, 3), torch.randn(2, 6), torch.zeros(2, dtype=torch.int64))
    assert sizes(network) == (2, 21)
    with pytest.raises(SpecError, match="expected 1 to 19 coordinates"):
        lay_out(network, Setting(network="gabor"), 20, Grid(), 0)

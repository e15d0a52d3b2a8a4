"""Reference nets: the published parameter counts, shapes, initialisation, seeds; and the registry."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from intrinsic.errors import ModelError, SpecError
from intrinsic.models import MODELS, load_model
from intrinsic.models.loaded import LoadedModel, count, hash_weights
from intrinsic.models.nets import he_normal
from intrinsic.spec import ModelSpec

NETS = sorted(name for name, info in MODELS.items() if info.sized_by_images)
MNIST, CIFAR, DIGITS = (1, 28, 28), (3, 32, 32), (1, 8, 8)


def load(name: str, shape: Any = MNIST, *, seed: int = 0, num_labels: int = 10, **settings: Any) -> LoadedModel:
    problem: Any = "regression" if num_labels == 1 else "classification"
    spec = ModelSpec(name=name, **settings)
    return load_model(spec, num_labels=num_labels, problem=problem, kind="vision", input_shape=shape, seed=seed)


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [("mlp", MNIST, 199_210), ("mlp", CIFAR, 656_810), ("lenet", MNIST, 44_426), ("lenet", CIFAR, 62_006)],
)
def test_the_counts_of_li_et_al(name: str, shape: tuple[int, int, int], parameters: int) -> None:
    assert count(load(name, shape).model) == parameters


@pytest.mark.parametrize("num_labels", [1, 7])
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name in NETS
        for shape in (MNIST, CIFAR, DIGITS, (2, 17, 23))
        if (name, shape) != ("lenet", DIGITS)
    ],
)
def test_logits_and_gradients(name: str, shape: tuple[int, int, int], num_labels: int) -> None:
    loaded = load(name, shape, num_labels=num_labels)
    assert loaded.preprocessor is None
    assert not loaded.model.training
    logits = loaded.model(pixel_values=torch.randn(3, *shape)).logits
    assert logits.shape == (3, num_labels)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.model.parameters())


def test_lenet_on_small_images() -> None:
    assert load("lenet", (1, 16, 16)).model(pixel_values=torch.randn(1, 1, 16, 16)).logits.shape == (1, 10)
    with pytest.raises(ModelError, match="lenet needs images of at least 16x16, got 8x8: use --model mlp"):
        load("lenet", DIGITS)


@pytest.mark.parametrize("name", NETS)
def test_the_seed_draws_the_whole_net_and_nothing_global(name: str) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    one, again, other = load(name, seed=1), load(name, seed=1), load(name, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.weights_sha256 == again.weights_sha256 != other.weights_sha256
    for (key, a), b in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        if key.endswith("weight") and a.ndim > 1:
            assert not torch.equal(a, b), key


@pytest.mark.parametrize("name", NETS)
def test_the_head_is_the_last_layer(name: str) -> None:
    model = load(name).model
    head = {key for key, _ in model.named_parameters() if key.startswith(load(name).head_names)}
    assert head == {"classifier.weight", "classifier.bias"}
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    assert last.out_features == 10


def test_he_normal_is_a_normal_cut_off_at_two_deviations() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 64, 5)
    he_normal(layer)
    std = math.sqrt(2 / (32 * 25))
    weight = layer.weight.detach()
    assert float(weight.abs().max()) <= 2 * std
    # The variance of a standard normal given |z| <= 2 is 1 - 4 phi(2) / (2 Phi(2) - 1).
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    kept = math.sqrt(1 - 4 * density / math.erf(math.sqrt(2)))
    assert float(weight.std()) == pytest.approx(kept * std, rel=0.02)
    assert not layer.bias.detach().any()


def test_every_layer_of_the_plain_nets_starts_so() -> None:
    for name in ("mlp", "lenet"):
        for key, parameter in load(name).model.named_parameters():
            if key.endswith("bias"):
                assert not parameter.detach().any()
            else:
                std = 0.88 * math.sqrt(2 / parameter[0].numel())
                assert float(parameter.detach().std()) == pytest.approx(std, rel=6 / math.sqrt(parameter.numel()))


@pytest.mark.parametrize(("shape", "patches"), [(MNIST, 49), (CIFAR, 64), (DIGITS, 64), ((1, 14, 28), 98)])
def test_vit_cuts_images_finely_enough(shape: tuple[int, int, int], patches: int) -> None:
    model: Any = load("vit-tiny", shape).model
    assert model.vit.embeddings.patch_embeddings.num_patches == patches


def test_vit_takes_layers_and_pooling() -> None:
    whole, cut = load("vit-tiny"), load("vit-tiny", layers=2)
    assert count(cut.model) < count(whole.model)
    mean = load("vit-tiny", pooling="mean")
    images = torch.randn(2, *MNIST)
    hidden = mean.model.backbone(pixel_values=images).last_hidden_state  # type: ignore[union-attr, operator]
    expected = mean.model.classifier(hidden.mean(dim=1))  # type: ignore[operator]
    torch.testing.assert_close(mean.model(pixel_values=images).logits, expected)
    with pytest.raises(ModelError, match="--layers 5 is more than the 4 layers"):
        load("vit-tiny", layers=5)
    assert whole.embedding_names == ("vit.embeddings.cls_token", "vit.embeddings.position_embeddings")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("mlp", {"layers": 2}, r"'mlp' takes no layers \(got 2, expected None\): leave it out"),
        ("lenet", {"pooling": "mean"}, r"'lenet' takes no pooling \(got 'mean', expected 'auto'\)"),
        ("vit-tiny", {"revision": "main"}, r"'vit-tiny' takes no revision \(got 'main'"),
        ("mlp", {"trust_remote_code": True}, r"'mlp' takes no trust_remote_code \(got True, expected False\)"),
        ("mlp", {"layers": 2, "pooling": "cls"}, r"takes no layers \(got 2, .*\), pooling \(got 'cls', .*\): leave"),
        ("mlp", {"shape": None}, r"'mlp' needs input_shape \(channels, height, width\), got None"),
        ("mlp", {"shape": (1, 0, 8)}, r"needs input_shape .* got \(1, 0, 8\)"),
    ],
)
def test_what_a_net_does_not_take(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load(name, **settings)


@pytest.mark.parametrize("name", NETS)
def test_the_outline_has_the_same_tensors_and_no_values(name: str) -> None:
    spec, facts = ModelSpec(name=name), {"num_labels": 10, "problem": "classification", "kind": "vision", "seed": 0}
    outline = load_model(spec, **facts, input_shape=MNIST, weights=False)  # type: ignore[arg-type]
    whole = load(name)
    shapes = [{key: tensor.shape for key, tensor in loaded.model.state_dict().items()} for loaded in (outline, whole)]
    assert shapes[0] == shapes[1]
    assert all(parameter.is_meta for parameter in outline.model.parameters())
    assert (outline.head_names, outline.embedding_names) == (whole.head_names, whole.embedding_names)
    assert outline.weights_sha256 == ""


def test_a_model_of_the_other_kind() -> None:
    with pytest.raises(ModelError, match="'mlp' is for vision and the task is text; try minilm"):
        load_model(ModelSpec(name="mlp"), num_labels=2, problem="classification", kind="text", seed=0)
    with pytest.raises(ModelError, match=r"'minilm' is for text and the task is vision; try mlp, lenet, .*vit-tiny"):
        load("minilm")


def test_the_hash_depends_on_names_values_and_shapes_but_not_on_order() -> None:
    class Two(nn.Module):
        def __init__(self, *order: str) -> None:
            super().__init__()
            for name in order:
                self.register_parameter(name, nn.Parameter(torch.arange(6.0) + len(name)))

    assert hash_weights(Two("a", "bb")) == hash_weights(Two("bb", "a"))
    assert hash_weights(Two("a", "bb")) != hash_weights(Two("a", "cc"))
    reshaped = Two("a", "bb")
    reshaped.a = nn.Parameter(reshaped.a.detach().reshape(2, 3))
    assert hash_weights(reshaped) != hash_weights(Two("a", "bb"))
    assert hash_weights(Two("a", "bb"), without=("bb",)) == hash_weights(Two("a"))
    empty = nn.Module()
    empty.register_buffer("nothing", torch.empty(0))
    assert hash_weights(empty) != hash_weights(nn.Module())


def test_the_registry_is_known_without_torch() -> None:
    code = (
        "import sys; from intrinsic.models import MODELS, load_model\n"
        "import intrinsic.models.hub, intrinsic.models.folder\n"
        "heavy = {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy; print(*MODELS)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr, done.stdout.split()) == ("", list(MODELS))
    assert all(info.description for info in MODELS.values())

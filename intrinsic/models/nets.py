"""Small reference nets for images, whose weights are drawn from a seed; nothing is downloaded.

mlp     Li et al. 2018: C*H*W - 200 - 200 - labels, ReLU. 199,210 parameters on MNIST, 656,810 on CIFAR-10.
lenet   Li et al. 2018: conv 6@5x5, max-pool 2, conv 16@5x5, max-pool 2, 120, 84, labels; no padding, ReLU.
        44,426 parameters on MNIST, 62,006 on CIFAR-10. Images of 16x16 at least.
        Both start as in the code behind that paper: biases 0, weights by the he_normal of Keras 2.1, a normal with
        standard deviation sqrt(2 / fan_in) cut off at two standard deviations (and not rescaled after the cut).
vit-tiny  a ViT: width 64, 4 layers of 4 heads, MLP 128, no dropout; the largest patch that leaves at least
        7 x 7 patches (MNIST: 49 of 4x4; CIFAR-10: 64 of 4x4; digits: 64 of 1x1). Starts as transformers does:
        weights N(0, 0.02^2) cut off, biases 0. Takes --layers and --pooling like a pretrained one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification, ViTModel
from transformers.modeling_outputs import ImageClassifierOutput

from intrinsic.errors import ModelError, SpecError
from intrinsic.models.layers import truncate
from intrinsic.models.loaded import LoadedModel, count, embedding_names, hash_weights
from intrinsic.models.pooling import MeanPooled
from intrinsic.models.quiet import built, quiet, seeded
from intrinsic.problems import Problem
from intrinsic.spec import Inputs, ModelSpec

Shape = tuple[int, int, int]
"""Shape (channels, height, width) of an image."""
HIDDEN = 200
"""Width of mlp's hidden layers."""
LENET_SIDE = 16
"""Smallest height and width that lenet takes."""
PATCHES_A_SIDE = 7
"""Square root of the smallest number of patches of vit-tiny."""


class Net(nn.Module):
    """Network with a linear head: pixel_values [B, C, H, W] -> features [B, F] -> .logits [B, num_labels]."""

    def __init__(self, features: nn.Sequential, width: int, num_labels: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(width, num_labels)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                he_normal(module)

    def forward(self, pixel_values: Tensor) -> ImageClassifierOutput:
        return ImageClassifierOutput(logits=self.classifier(self.features(pixel_values)))


def he_normal(module: nn.Linear | nn.Conv2d) -> None:
    """Draw the weights from N(0, 2 / fan_in), cut off at two standard deviations, and set the biases to 0."""
    std = math.sqrt(2 / module.weight[0].numel())
    nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def mlp(shape: Shape, num_labels: int) -> nn.Module:
    """The net `mlp` for images of this shape, freshly drawn."""
    layers = (nn.Linear(math.prod(shape), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
    return Net(nn.Sequential(nn.Flatten(), *layers), HIDDEN, num_labels)


def lenet(shape: Shape, num_labels: int) -> nn.Module:
    """The net `lenet` for images of this shape, freshly drawn. Raises ModelError for images that are too small."""
    channels, height, width = shape
    if min(height, width) < LENET_SIDE:
        raise ModelError(
            f"lenet needs images of at least {LENET_SIDE}x{LENET_SIDE}, got {height}x{width}: use --model mlp"
        )
    convolutions = (nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU())
    flat = 16 * _after_convolutions(height) * _after_convolutions(width)
    dense = (nn.Linear(flat, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())
    return Net(nn.Sequential(*convolutions, nn.MaxPool2d(2), nn.Flatten(), *dense), 84, num_labels)


def _after_convolutions(side: int) -> int:
    return ((side - 4) // 2 - 4) // 2


def vit_config(shape: Shape, num_labels: int) -> ViTConfig:
    """The configuration of `vit-tiny` for images of this shape."""
    channels, height, width = shape
    config = ViTConfig(
        image_size=(height, width),
        patch_size=_patch(height, width),
        num_channels=channels,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config.num_labels = num_labels
    return config


def _patch(height: int, width: int) -> int:
    """The side of the largest square patch that tiles the image into at least PATCHES_A_SIDE^2; 1 if there is none."""
    sides = range(1, min(height, width) + 1)
    tiling = [p for p in sides if height % p == 0 and width % p == 0]
    fine = [p for p in tiling if (height // p) * (width // p) >= PATCHES_A_SIDE**2]
    return max(fine, default=1)


def vit_tiny(shape: Shape, num_labels: int, spec: ModelSpec) -> nn.Module:
    """The net `vit-tiny` for images of this shape, with the spec's layers and pooling, freshly drawn."""
    config = vit_config(shape, num_labels)
    if spec.layers is not None:
        truncate(config, spec.layers)
    if spec.pooling == "mean":
        return MeanPooled(ViTModel(config, add_pooling_layer=False), num_labels)
    return ViTForImageClassification(config)


PLAIN: dict[str, Callable[[Shape, int], nn.Module]] = {"mlp": mlp, "lenet": lenet}
"""Functions that make a net which has no settings, by its name."""


def load(
    spec: ModelSpec,
    *,
    num_labels: int,
    problem: Problem,
    kind: Inputs,
    input_shape: Shape | None,
    seed: int,
    weights: bool,
) -> LoadedModel:
    """Make a reference net for images of `input_shape`; see :func:`intrinsic.models.load_model`.

    head_names is the last linear layer. weights_sha256 covers the whole net, because all of it comes from the seed.
    Raises SpecError without an input_shape of three positive sizes.
    """
    shape = _checked(spec, input_shape)
    with quiet(), seeded(seed), built(weights):
        plain = PLAIN.get(spec.name)
        model = plain(shape, num_labels) if plain else vit_tiny(shape, num_labels, spec)
    model.eval()
    size = "x".join(str(side) for side in shape)
    return LoadedModel(
        model=model,
        preprocessor=None,
        head_names=("classifier",),
        embedding_names=embedding_names(model),
        revision=None,
        weights_sha256=hash_weights(model) if weights else "",
        description=f"{spec.name} on {size} images, {count(model):,} parameters, from scratch",
    )


def _checked(spec: ModelSpec, shape: Shape | None) -> Shape:
    if shape is None or len(shape) != 3 or min(shape) < 1:
        raise SpecError(f"model {spec.name!r} needs input_shape (channels, height, width), got {shape!r}")
    return shape

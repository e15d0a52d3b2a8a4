"""The models `outsider-small` and `outsider-wide`: fully connected nets for images of any size, drawn from a seed."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from transformers.modeling_outputs import ImageClassifierOutput

from intrinsic.errors import SpecError
from intrinsic.models.loaded import LoadedModel, count, hash_weights
from intrinsic.models.quiet import built, seeded
from intrinsic.problems import Problem
from intrinsic.spec import Inputs, ModelSpec

Shape = tuple[int, int, int]
NARROW, WIDE = 16, 48


class Net(nn.Module):
    """pixel_values [B, C, H, W] -> .logits [B, labels]."""

    def __init__(self, features: nn.Sequential, width: int, num_labels: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(width, num_labels)

    def forward(self, pixel_values: Tensor) -> ImageClassifierOutput:
        return ImageClassifierOutput(logits=self.classifier(self.features(pixel_values)))


def small(shape: Shape, num_labels: int) -> Net:
    return Net(nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), NARROW), nn.Tanh()), NARROW, num_labels)


def wide(shape: Shape, num_labels: int, layers: int) -> Net:
    widths = [math.prod(shape), *[WIDE] * layers]
    parts: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(widths):
        parts += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.Tanh()]
    return Net(nn.Sequential(*parts), WIDE, num_labels)


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
    """The net that the spec names. See :func:`intrinsic.models.load_model`."""
    if input_shape is None:
        raise SpecError(f"model {spec.name!r} needs input_shape (channels, height, width), got None")
    with seeded(seed), built(weights):
        narrow = spec.name == "outsider-small"
        model = small(input_shape, num_labels) if narrow else wide(input_shape, num_labels, spec.layers or 1)
    model.eval()
    return LoadedModel(
        model=model,
        preprocessor=None,
        head_names=("classifier",),
        embedding_names=(),
        revision=None,
        weights_sha256=hash_weights(model) if weights else "",
        description=f"{spec.name}, {count(model):,} parameters, from scratch",
    )

"""The models by name: what each is, how it is loaded, which settings it takes.

A folder in the Hub's layout, and a name on the Hub, can be loaded too; the catalogue lists the models with names of
their own. Neither torch nor transformers is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

from intrinsic.plugins import Registry, is_a
from intrinsic.spec import Inputs, ModelSpec

PRETRAINED = ".pretrained:load"
"""Loader of pretrained transformers; it also loads every model that is not in the catalogue."""


@dataclass(frozen=True)
class ModelInfo:
    """Entry of a model in the catalogue."""

    kind: Inputs
    description: str
    load: str = PRETRAINED
    """Module and function, `package.module:load`, that loads the model: it takes the arguments of
    :func:`intrinsic.models.load_model`, the problem as an object, and returns an intrinsic.models.loaded.LoadedModel. A
    module with a leading dot lies in intrinsic.models."""
    takes: tuple[str, ...] = ()
    """Settings of ModelSpec that the model uses, besides the name."""
    pretrained: bool = False
    """Whether theta_0 was learned from data; False: it is drawn from the seed."""
    folder: str | None = None
    """Module and function without arguments that returns the model's folder, in the Hub's layout; needed if `load` is
    :data:`PRETRAINED`, None otherwise."""
    sized_by_images: bool = False
    """Whether the number of weights depends on the images' size, so that it is unknown until the data are read."""


MODELS: Registry[ModelInfo] = Registry(
    "model",
    {
        "minilm": ModelInfo(
            "text",
            "MiniLM-L6 (22.6 M parameters, 6 layers of width 384), offline: intrinsic[offline]",
            takes=("layers", "pooling"),
            pretrained=True,
            folder=".hub:minilm_folder",
        ),
        "mlp": ModelInfo(
            "vision", "fully connected, two hidden layers of 200 (Li et al. 2018)", ".nets:load", sized_by_images=True
        ),
        "lenet": ModelInfo(
            "vision", "LeNet, 44,426 parameters on MNIST (Li et al. 2018)", ".nets:load", sized_by_images=True
        ),
        "vit-tiny": ModelInfo(
            "vision",
            "vision transformer of 4 layers, width 64, from scratch",
            ".nets:load",
            ("layers", "pooling"),
            sized_by_images=True,
        ),
    },
    lambda name, made: is_a(ModelInfo)(name, made) or _wrong(made),
)
"""The models by name. Other packages add to them through the entry point group `intrinsic.models`."""


def _wrong(made: object) -> str | None:
    assert isinstance(made, ModelInfo)
    unknown = [name for name in made.takes if name not in ModelSpec.model_fields]
    if unknown:
        return f"takes the setting {unknown[0]!r}, which no model has"
    if made.load == PRETRAINED and made.folder is None:
        return "says neither how it is loaded (`load`) nor where its folder is (`folder`)"
    return None

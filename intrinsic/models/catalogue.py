"""The models by name: what each is, how it is loaded, what it takes. No torch or transformers here.

Any folder that the Hub's layout fits, and any name on the Hub, is a model too; these are the ones with names of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from intrinsic.plugins import Registry, is_a
from intrinsic.spec import Inputs, ModelSpec

PRETRAINED = ".pretrained:load"


@dataclass(frozen=True)
class ModelInfo:
    """A model known by name, or one of a family that a package brings."""

    kind: Inputs
    description: str
    load: str = PRETRAINED
    """Module and function, `package.module:load`, called as intrinsic.models.load_model calls those of this package, with
    the problem as an object; it returns an intrinsic.models.loaded.LoadedModel. A module with a leading dot lies in
    intrinsic.models."""
    takes: tuple[str, ...] = ()
    """The settings of ModelSpec, besides the name, that change something in it."""
    pretrained: bool = False
    """Whether theta_0 was learned from data, and not drawn from the seed."""
    folder: str | None = None
    """For :data:`PRETRAINED`: module and function without arguments that gives the folder, laid out as the Hub lays models
    out."""
    sized_by_images: bool = False
    """Whether its number of weights follows from the images, so that nothing is known of it without the data."""


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

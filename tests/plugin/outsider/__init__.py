"""What this package adds to intrinsic, as its catalogues hold it. No torch here: `intrinsic ls` reads this module."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from intrinsic.executor import ExecutorInfo
from intrinsic.methods import Method, Size
from intrinsic.models import ModelInfo
from intrinsic.spec import Frozen, PositiveInt
from intrinsic.tasks import TaskInfo
from intrinsic.tasks.catalogue import Pixels

Kind = Literal["linear", "norm", "conv"]


class ShiftOptions(Frozen):
    """The options of the method `shift`."""

    groups: PositiveInt = 4
    """How many numbers a layer's output units share."""
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("linear",)
    """The kinds of layers whose outputs are shifted."""
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Factor on every number."""


SHIFT = Method(
    "a few shared numbers added to the outputs of layers",
    "outsider.shift",
    ShiftOptions,
    preset={"scale": 2.0},
    size=Size("groups", "g", grid=(1, 2, 4, 8, 16), compared=(1, 4)),
    rates=(3e-3, 1e-2, 3e-2),
    check="outsider.shift:check",
    aliases={"wide-shift": {"kinds": ("linear", "norm")}},
)
CENTRED = Method("the head, its answers less their mean over the batch", "outsider.centred", rates=(1e-2,))
SQUARES = TaskInfo(
    "squares",
    "how long is the side of the bright square? (drawn from a seed)",
    "outsider.squares:load",
    ("sides_off", "accuracy"),
    label_names=("none", "one", "two", "three", "four"),
    splits=("train", "test"),
    kind="vision",
    problem="grades",
    pixels=Pixels(255.0, 0.2, 0.25),
    takes=(),
)
SMALL = ModelInfo("vision", "one hidden layer of 16", "outsider.nets:load", sized_by_images=True)
WIDE = ModelInfo(
    "vision", "normalised hidden layers of 48, as many as --layers says", "outsider.nets:load", ("layers",),
    sized_by_images=True,
)  # fmt: skip
TALLIED = ExecutorInfo("the usual executor, its trials counted", "outsider.tallied:Tallied")

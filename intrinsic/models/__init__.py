"""Models: a pretrained network for a task, or a small reference net. Importable without torch or transformers.

>>> from intrinsic.models import MODELS, load_model
>>> from intrinsic.spec import ModelSpec
>>> loaded = load_model(ModelSpec(), num_labels=2, problem="classification", kind="text", seed=0)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, get_args

from intrinsic.errors import ModelError, SpecError, UnknownName
from intrinsic.spec import ModelSpec

if TYPE_CHECKING:
    from intrinsic.models.loaded import LoadedModel

__all__ = ["MODELS", "ModelInfo", "check_model", "is_here", "load_model"]

Kind = Literal["text", "vision"]
Problem = Literal["classification", "regression"]


@dataclass(frozen=True)
class ModelInfo:
    """A model known by name."""

    kind: Kind
    loader: Literal["pretrained", "nets"]
    """The module of this package that loads it."""
    description: str
    takes: tuple[str, ...] = ()
    """The settings of ModelSpec that change something in it."""


MODELS: dict[str, ModelInfo] = {
    "minilm": ModelInfo(
        "text",
        "pretrained",
        "MiniLM-L6 (22.6 M parameters, 6 layers of width 384), offline: intrinsic[offline]",
        ("layers", "pooling"),
    ),
    "mlp": ModelInfo("vision", "nets", "fully connected, two hidden layers of 200 (Li et al. 2018)"),
    "lenet": ModelInfo("vision", "nets", "LeNet, 44,426 parameters on MNIST (Li et al. 2018)"),
    "vit-tiny": ModelInfo(
        "vision", "nets", "vision transformer of 4 layers, width 64, from scratch", ("layers", "pooling")
    ),
}
"""What `--model` knows by name. It also takes a folder and the name of a model on the Hub."""


def check_model(spec: ModelSpec, kind: Kind) -> None:
    """Refuse what the settings alone show to be wrong; nothing is read.

    Raises ModelError for a model of another kind than the task, SpecError for a setting that would change nothing.
    """
    if kind not in get_args(Kind):
        raise UnknownName("kind of task", kind, get_args(Kind))
    info = MODELS.get(spec.name)
    if info is None:
        return
    if info.kind != kind:
        fitting = ", ".join(name for name, other in MODELS.items() if other.kind == kind)
        raise ModelError(f"model {spec.name!r} is for {info.kind} and the task is {kind}; try {fitting}")
    own = ModelSpec(name=spec.name)
    idle = [name for name, value in spec if name not in info.takes and value != getattr(own, name)]
    if idle:
        given = ", ".join(f"{name} (got {getattr(spec, name)!r}, expected {getattr(own, name)!r})" for name in idle)
        raise SpecError(f"model {spec.name!r} takes no {given}: leave it out")


def is_here(spec: ModelSpec, kind: Kind) -> bool:
    """Whether the model can be had without asking the Hub; what lies here is checked as far as needs no weights.

    Raises what load_model raises.
    """
    check_model(spec, kind)
    info = MODELS.get(spec.name)
    if info is not None and info.loader == "nets":
        return True
    with _readable():
        source = import_module("intrinsic.models.hub").find_here(spec, kind)
        if source is not None:
            import_module("intrinsic.models.folder").check_folder(source.folder, kind)
    return source is not None


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or "the model"
        raise ModelError(f"cannot read {where} ({error.strerror or error}): check its rights and the disk") from error


def load_model(
    spec: ModelSpec,
    *,
    num_labels: int,
    problem: Problem,
    kind: Kind,
    input_shape: tuple[int, int, int] | None = None,
    seed: int,
    weights: bool = True,
) -> LoadedModel:
    """The network `spec` names, in float32, in eval mode, with a fresh head for the task.

    spec.name is looked up in this order: MODELS, a local folder (as the Hub lays models out, or a
    `models--*` folder of the Hub's cache), the Hub's cache on this machine, the Hub.

    seed governs what is newly initialised (the head, or all of a reference net) and nothing else: the
    backbone is the same for every seed, and the global random state is left as it was. Nothing is printed.

    num_labels: width of the logits [batch, num_labels]; 1 for regression.
    input_shape: (channels, height, width); for reference nets only.
    weights: False gives the architecture alone, on the meta device, without weights_sha256; no weight is read.

    Raises SpecError for settings that contradict each other, ModelError for a model that is absent,
    unreachable (within seconds), damaged, or of another kind than the task.
    """
    if problem not in get_args(Problem):
        raise UnknownName("problem", problem, get_args(Problem))
    if (problem == "regression") != (num_labels == 1) or num_labels < 1:
        raise SpecError(f"regression has 1 label and classification 2 or more, got {num_labels} for {problem}")
    check_model(spec, kind)
    info = MODELS.get(spec.name)
    loader = import_module(f"intrinsic.models.{info.loader if info else 'pretrained'}")
    with _readable():
        loaded: LoadedModel = loader.load(
            spec,
            num_labels=num_labels,
            problem=problem,
            kind=kind,
            input_shape=input_shape,
            seed=seed,
            weights=weights,
        )
    return loaded

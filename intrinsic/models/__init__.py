"""Models: pretrained networks and small reference nets. Importing this package imports no torch or transformers.

>>> from intrinsic.models import MODELS, load_model
>>> from intrinsic.spec import ModelSpec
>>> loaded = load_model(ModelSpec(), num_labels=2, problem="classification", kind="text", seed=0)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from intrinsic.errors import ModelError, SpecError, UnknownName
from intrinsic.models.catalogue import MODELS, PRETRAINED, ModelInfo
from intrinsic.plugins import REPAIR, check_call, named, printed, titled
from intrinsic.problems import Problem, problem_named
from intrinsic.spec import Inputs, ModelSpec

if TYPE_CHECKING:
    from intrinsic.models.loaded import LoadedModel

__all__ = ["MODELS", "ModelInfo", "check_model", "is_here", "load_model"]


def check_model(spec: ModelSpec, kind: Inputs) -> None:
    """Check the settings of a model by themselves; no file is read.

    Raises UnknownName for an unknown kind of task, ModelError for a model of another kind than the task, SpecError for
    a setting that the model does not use.
    """
    if kind not in get_args(Inputs):
        raise UnknownName("kind of task", kind, get_args(Inputs))
    info = MODELS.get(spec.name)
    if info is None:
        return
    if info.kind != kind:
        fitting = ", ".join(name for name, other in MODELS.offered()[0].items() if other.kind == kind)
        raise ModelError(f"model {spec.name!r} is for {info.kind} and the task is {kind}; try {fitting}")
    own = ModelSpec(name=spec.name)
    idle = [name for name, value in spec if name not in info.takes and value != getattr(own, name)]
    if idle:
        given = ", ".join(f"{name} (got {getattr(spec, name)!r}, expected {getattr(own, name)!r})" for name in idle)
        raise SpecError(f"model {spec.name!r} takes no {given}: leave it out")


def is_here(spec: ModelSpec, kind: Inputs) -> bool:
    """Whether the model can be loaded without asking the Hub; files that are here are checked, no weights are loaded.

    Raises what :func:`load_model` raises.
    """
    check_model(spec, kind)
    info = MODELS.get(spec.name)
    if info is not None and info.load != PRETRAINED:
        return True
    with _readable():
        source = named(".hub:find_here", __name__)(spec, kind)
        if source is not None:
            named(".folder:check_folder", __name__)(source.folder, kind)
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
    problem: str | Problem,
    kind: Inputs,
    input_shape: tuple[int, int, int] | None = None,
    seed: int,
    weights: bool = True,
) -> LoadedModel:
    """Load the network that `spec` names, in float32 and in eval mode, with a fresh head for the task.

    spec.name is looked up in this order: MODELS, a local folder (as the Hub lays models out, or a
    `models--*` folder of the Hub's cache), the Hub's cache on this machine, the Hub.

    Nothing is printed, and the global random state is left as it was.

    num_labels: width of the logits [batch, num_labels]; 1 for regression.
    problem: what is asked of the model, or its name in intrinsic.problems.PROBLEMS.
    kind: the kind of the task's inputs, `text` or `vision`.
    input_shape: (channels, height, width) of the images; for reference nets only.
    seed: seed of what is newly initialised (the head, or all of a reference net); the backbone does not depend on it.
    weights: False gives the architecture alone, on the meta device, with an empty weights_sha256; no weight is read.

    Raises SpecError for settings that contradict each other and for another package's loader that takes or gives other
    things than a loader does, UnknownName for an unknown problem, kind or model
    name, ModelError for a model that is absent, unreachable (reported within seconds), damaged, or of another kind than
    the task.
    """
    asked = problem_named(problem)
    asked.check_outputs(num_labels)
    check_model(spec, kind)
    info = MODELS.get(spec.name)
    given = {
        "num_labels": num_labels,
        "problem": asked,
        "kind": kind,
        "input_shape": input_shape,
        "seed": seed,
        "weights": weights,
    }
    with _readable():
        return _load(PRETRAINED if info is None else info.load, spec, given)


def _load(home: str, spec: ModelSpec, given: dict[str, Any]) -> LoadedModel:
    """The model by the loader at `home`. Raises SpecError for a package's loader that breaks its contract."""
    load = named(home, __name__)
    if spec.name not in MODELS or MODELS.is_own(spec.name):
        own: LoadedModel = load(spec, **given)
        return own
    what = titled("model", spec.name)
    check_call(what, f"load(spec, *, {', '.join(given)})", load, spec, **given)
    loaded = load(spec, **given)
    expected: type[LoadedModel] = named(".loaded:LoadedModel", __name__)
    if not isinstance(loaded, expected):
        raise SpecError(f"{what} must load an intrinsic.models.loaded.LoadedModel, got {printed(loaded)}: {REPAIR}")
    return loaded

"""Checks of whether a trial can run, before the first one is paid for."""

from __future__ import annotations

from intrinsic.errors import SpecError
from intrinsic.methods import attach, check_fit
from intrinsic.models import MODELS, is_here, load_model
from intrinsic.models.loaded import LoadedModel
from intrinsic.problems import PROBLEMS
from intrinsic.projections import projection_named
from intrinsic.spec import TrialSpec
from intrinsic.tasks import TaskInfo, check_task, comes_from_hub
from intrinsic.tasks.base import Task
from intrinsic.training.runtime import check_precision
from intrinsic.trial.ingredients import model_of, task_of


def check_trial(spec: TrialSpec) -> None:
    """Load the task and the model and attach the method, without training.

    Raises what run_trial would: SpecError (say, a dimension that the model cannot meet), DataError, ModelError.
    """
    is_here(spec.model, check_task(spec.task).kind)  # before the data: that may take long, and this does not
    check_precision(spec.optim.precision)
    task, _ = task_of(spec.task)
    loaded = model_of(spec, task)
    _check_inputs(task, loaded)
    check_fit(loaded, spec.method)
    attach(loaded, spec.method, spec.seeds)


def outline_trial(spec: TrialSpec) -> tuple[str, ...]:
    """Check what `check_trial` checks, without reading a weight, asking the Hub, or needing the run's device.

    Returns phrases for what therefore stays unchecked. Raises what check_trial raises.
    """
    info = check_task(spec.task)
    if spec.method.subspace is not None:
        projection_named(spec.method.subspace.projection)
    model_here = is_here(spec.model, info.kind)
    task = None if comes_from_hub(spec.task) else task_of(spec.task)[0]
    unchecked = [] if task else [f"the data of {info.name!r}, which come from the Hub"]
    try:
        check_precision(spec.optim.precision)
    except SpecError as error:  # a run may be prepared on another machine than its own
        unchecked.append(f"whether the machine it will run on has what it asks for: {error}")
    if not model_here:
        unchecked.append(f"the model {spec.model.name!r}, which comes from the Hub, and whether the dimensions suit it")
    elif task is None and _needs_images(spec):
        unchecked.append(f"whether the dimensions suit {spec.model.name!r}, whose size follows from the images")
    else:
        loaded = _outline(spec, info, task)
        if task is not None:
            _check_inputs(task, loaded)
        check_fit(loaded, spec.method)
    return tuple(unchecked)


def _needs_images(spec: TrialSpec) -> bool:
    return spec.model.name in MODELS and MODELS[spec.model.name].sized_by_images


def _outline(spec: TrialSpec, info: TaskInfo, task: Task | None) -> LoadedModel:
    """The model's architecture, for the task or for what the catalogue knows of it."""
    problem = PROBLEMS[info.problem]
    return load_model(
        spec.model,
        num_labels=task.num_labels if task else problem.num_outputs(info.label_names),
        problem=problem,
        kind=info.kind,
        input_shape=task.input_shape if task else None,
        seed=spec.seeds.initialisation,
        weights=False,
    )


def _check_inputs(task: Task, loaded: LoadedModel) -> None:
    """Prepare one example of each split, enough to see whether the inputs suit the model's preprocessor."""
    task.first(1).prepare(loaded.preprocessor)

"""Measure the intrinsic dimension of fine-tuning: random subspaces, d90, and what follows from it.

Names are loaded on first use, so that `import intrinsic` costs nothing and the command line starts without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intrinsic.comparison import compare
    from intrinsic.errors import IntrinsicError
    from intrinsic.measurement import measure
    from intrinsic.methods import METHODS
    from intrinsic.models import MODELS, load_model
    from intrinsic.projections import PROJECTIONS, Projection, make_projection
    from intrinsic.records import MeasureResult, SearchResult, TrialResult
    from intrinsic.spec import (
        MeasureSpec,
        MethodSpec,
        ModelSpec,
        OptimSpec,
        SearchSpec,
        SeedSpec,
        TargetSpec,
        TaskSpec,
        TrialSpec,
    )
    from intrinsic.subspace import Subspace
    from intrinsic.tasks import TASKS, load_task
    from intrinsic.trial import run_trial

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "MODELS",
    "PROJECTIONS",
    "TASKS",
    "IntrinsicError",
    "MeasureResult",
    "MeasureSpec",
    "MethodSpec",
    "ModelSpec",
    "OptimSpec",
    "Projection",
    "SearchResult",
    "SearchSpec",
    "SeedSpec",
    "Subspace",
    "TargetSpec",
    "TaskSpec",
    "TrialResult",
    "TrialSpec",
    "compare",
    "load_model",
    "load_task",
    "make_projection",
    "measure",
    "run_trial",
]

_HOME = {
    "METHODS": "methods",
    "MODELS": "models",
    "PROJECTIONS": "projections",
    "Projection": "projections",
    "Subspace": "subspace",
    "TASKS": "tasks",
    "IntrinsicError": "errors",
    "MeasureResult": "records",
    "SearchResult": "records",
    "TrialResult": "records",
    "compare": "comparison",
    "load_model": "models",
    "load_task": "tasks",
    "make_projection": "projections",
    "measure": "measurement",
    "run_trial": "trial",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'intrinsic' has no attribute {name!r}; it offers {', '.join(__all__)}")
    value: object = getattr(import_module(f"intrinsic.{_HOME.get(name, 'spec')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

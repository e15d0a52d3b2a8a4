"""Measure the intrinsic dimension of fine-tuning: random subspaces, d90, and what follows from it.

Names are loaded on first use, so that `import intrinsic` costs nothing and the command line starts without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intrinsic.bounding import bound
    from intrinsic.certificate.certify import certify
    from intrinsic.certificate.spec import CertifySpec
    from intrinsic.certificate.verify import verify
    from intrinsic.comparison import compare, parse_contenders
    from intrinsic.errors import IntrinsicError
    from intrinsic.measurement import measure
    from intrinsic.methods import METHODS
    from intrinsic.models import MODELS, load_model
    from intrinsic.projections import PROJECTIONS, Projection, make_projection
    from intrinsic.records import CompareResult, MeasureResult, SearchResult, TrialResult
    from intrinsic.report import write_report
    from intrinsic.spec import (
        CompareSpec,
        Contender,
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
    from intrinsic.store import read_measurement
    from intrinsic.subspace import Subspace
    from intrinsic.tasks import TASKS, load_task
    from intrinsic.trial import run_trial

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "MODELS",
    "PROJECTIONS",
    "TASKS",
    "CertifySpec",
    "CompareResult",
    "CompareSpec",
    "Contender",
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
    "bound",
    "certify",
    "compare",
    "load_model",
    "load_task",
    "make_projection",
    "measure",
    "parse_contenders",
    "read_measurement",
    "run_trial",
    "verify",
    "write_report",
]

_HOME = {
    "METHODS": "methods",
    "MODELS": "models",
    "PROJECTIONS": "projections",
    "Projection": "projections",
    "Subspace": "subspace",
    "TASKS": "tasks",
    "CertifySpec": "certificate.spec",
    "CompareResult": "records",
    "IntrinsicError": "errors",
    "MeasureResult": "records",
    "SearchResult": "records",
    "TrialResult": "records",
    "bound": "bounding",
    "certify": "certificate.certify",
    "compare": "comparison",
    "load_model": "models",
    "load_task": "tasks",
    "make_projection": "projections",
    "measure": "measurement",
    "parse_contenders": "comparison",
    "read_measurement": "store",
    "run_trial": "trial",
    "verify": "certificate.verify",
    "write_report": "report",
}
"""The module of each name; those that are not listed lie in `spec`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'intrinsic' has no attribute {name!r}; it offers {', '.join(__all__)}")
    value: object = getattr(import_module(f"intrinsic.{_HOME.get(name, 'spec')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

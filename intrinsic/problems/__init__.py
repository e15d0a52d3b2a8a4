"""Problems: the kinds of question that a task asks a model, by name. Importing this package does not import torch.

>>> from intrinsic.problems import PROBLEMS
>>> PROBLEMS["classification"].metrics
('accuracy', 'macro_f1')
"""

from __future__ import annotations

from intrinsic.errors import UnknownName
from intrinsic.plugins import Registry, printed
from intrinsic.problems.base import Array, Groups, Item, Problem, Targets
from intrinsic.problems.classification import Classification
from intrinsic.problems.metrics import COMBINED, METRICS, Metric
from intrinsic.problems.regression import Regression

__all__ = ["METRICS", "PROBLEMS", "Array", "Groups", "Item", "Metric", "Problem", "Targets", "problem_named"]


def _wrong_problem(name: str, made: object) -> str | None:
    if not isinstance(made, Problem):
        return f"must be an object of an intrinsic.problems.Problem, got {printed(made)}"
    fields = ("name", "description", "metrics", "auto_classes")
    lacking = [field for field in fields if not hasattr(made, field)]
    if lacking:
        return f"lacks the field {lacking[0]!r}"
    texts = [field for field in ("name", "description") if not isinstance(getattr(made, field), str)]
    if texts:
        return f"must have a text as its field {texts[0]!r}, got {printed(getattr(made, texts[0]))}"
    if not isinstance(made.metrics, tuple) or not all(isinstance(metric, str) for metric in made.metrics):
        return f"must have a tuple of texts as its field 'metrics', got {printed(made.metrics)}"
    if made.name != name:
        return f"calls itself {made.name!r}: name and entry point must agree"
    unknown = unknown_metrics(made.metrics)
    return f"names the metric {unknown[0]!r}, which does not exist" if unknown else None


def unknown_metrics(names: tuple[str, ...]) -> list[str]:
    """The names that belong to no metric; `combined` is accepted after another name, as it is a mean of metrics."""
    return [name for i, name in enumerate(names) if name not in METRICS and not (i and name == COMBINED)]


PROBLEMS: Registry[Problem] = Registry(
    "problem", {problem.name: problem for problem in (Classification(), Regression())}, _wrong_problem
)
"""The problems by name. Other packages add to them through the entry point group `intrinsic.problems`."""


def problem_named(problem: str | Problem) -> Problem:
    """The problem with this name; a Problem object is returned unchanged. Raises UnknownName for an unknown name."""
    if isinstance(problem, Problem):
        return problem
    if problem not in PROBLEMS:
        raise UnknownName("problem", problem, PROBLEMS)
    return PROBLEMS[problem]

"""The words of a certificate: what it claims, and what it takes for granted.

`verify` compares these words, so other words make certificates that exist invalid: that is another version of the file.
"""

from __future__ import annotations

from decimal import Decimal

from intrinsic.certificate.spec import Grid, Setting
from intrinsic.models import MODELS
from intrinsic.tasks.base import Task

SHARED_SOURCES = {
    "sst2": "the phrases are parts of some 6,900 sentences and share their words; the test sentences are whole ones",
    "imdb-offline": "several are reviews of one film",
    "multirc": "several are answers to one question",
}
"""Tasks whose examples are dependent, and the reason in words."""
CLASSES_OF_LABELS = ("files",)
"""Tasks whose classes are read from the labels."""
SMALL_DELTA = 1e-6
"""The delta below which the statement gives 1 - delta as a difference."""


def statement(bound: float, delta: float, task: Task) -> str:
    """The claim, in one sentence; conditional where it is known that its examples are dependent."""
    least = f"1 - {delta!r}" if delta < SMALL_DELTA else str(1 - Decimal(repr(delta)))
    dependent = task.name in SHARED_SOURCES
    start = "Were the training examples independent draws, then with" if dependent else "With"
    return (
        f"{start} probability at least {least} over the draw of its {task.num_train} training examples of "
        f"{task.name}, the decoded classifier errs on a new example with probability at most {bound!r}."
    )


def assumptions_of(grid: Grid, task: Task, setting: Setting) -> tuple[str, ...]:
    """The assumptions of the statement; nothing here can check the draws, the grid's age or a pretraining."""
    told = [
        _draws(task),
        "The grid (its hash stands in the certificate) was fixed before the training examples were looked at.",
        "The loss is 0 or 1; an example whose margin is below 1e-4 in either of two passes counts as an error.",
        "Only the first bound is certified, at the delta of the ledger; each other one holds at that delta by itself.",
    ]
    if task.name in CLASSES_OF_LABELS:
        told.append("The classes and their order, which are read from the labels here, were known beforehand.")
    if setting.network == "gabor":
        told.append("The frozen features are filters by formula, chosen without a look at these examples.")
    if setting.network == "embedding" or (setting.network == "plain" and _is_pretrained(grid.model.name)):
        told.append(f"What the model was pretrained on did not hold these {task.kind} examples; nobody can check that.")
    if grid.random_labels:
        told.append("The labels were drawn at random: nothing can be learned, and no bound may say otherwise.")
    return tuple(told)


def _draws(task: Task) -> str:
    if task.name not in SHARED_SOURCES:
        return f"The {task.num_train} training examples are independent draws from the distribution spoken about."
    return (
        f"The {task.num_train} training examples are taken for independent draws, which they are not "
        f"({SHARED_SOURCES[task.name]}): the effective number of examples is smaller, and a bound that asks for no "
        "independence is larger."
    )


def _is_pretrained(model: str) -> bool:
    """A model that is known by no name is a folder or lies on the Hub, and has weights of its own."""
    return model not in MODELS or MODELS[model].pretrained

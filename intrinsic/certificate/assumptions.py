"""What a certificate says in words, and what it takes for granted.

`verify` compares these words, so other words make certificates that exist invalid: that is another decoder version.
"""

from __future__ import annotations

from intrinsic.certificate.spec import Grid, Setting
from intrinsic.tasks.base import Task

PARTS_OF_SENTENCES = ("sst2",)
SHARED_SOURCES = {"imdb-offline": "reviews of one film", "multirc": "answers to one question"}


def statement(bound: float, delta: float, task: Task) -> str:
    """The claim, in one sentence."""
    return (
        f"With probability at least {1 - delta:g} over the draw of its {task.num_train} training examples of "
        f"{task.name}, the decoded classifier errs on a new example with probability at most {bound!r}."
    )


def assumptions_of(grid: Grid, task: Task, setting: Setting) -> tuple[str, ...]:
    """What must hold for the statement to hold; of the second and third kind nothing here can check."""
    told = [
        f"The {task.num_train} training examples are independent draws from the distribution spoken about.",
        "The grid (its hash stands in the certificate) was fixed before the training examples were looked at.",
        "The loss is 0 or 1; an example whose margin is below 1e-4 in either of two passes counts as an error.",
        "Only the first bound is certified, at the delta of the ledger; each other one holds at that delta by itself.",
    ]
    if task.name in PARTS_OF_SENTENCES:
        told.append(
            "SST-2's training phrases are parts of some 6,900 sentences and share their words: they are not "
            "independent, and the effective number of examples is smaller. The test sentences are whole sentences."
        )
    if task.name in SHARED_SOURCES:
        told.append(f"Examples share a source ({SHARED_SOURCES[task.name]}) and are not independent.")
    if task.kind == "text":
        told.append("The text the encoder was pretrained on did not hold these examples; nobody can check that here.")
    if setting.network != "plain":
        told.append("The frozen features owe nothing to these examples: filters by formula, or a pretrained encoder.")
    if grid.random_labels:
        told.append("The labels were drawn at random: nothing can be learned, and no bound may say otherwise.")
    return tuple(told)

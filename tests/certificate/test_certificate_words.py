"""What a certificate says in words: the statement, and what it takes for granted."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from intrinsic.certificate.assumptions import assumptions_of, statement
from intrinsic.certificate.record import Certificate
from intrinsic.certificate.spec import Grid, Setting
from intrinsic.certificate.verify import Check, Verdict
from intrinsic.spec import ModelSpec, TaskSpec
from intrinsic.tasks import load_task

DIGITS = load_task(TaskSpec(name="digits"))


@pytest.mark.parametrize(
    ("delta", "said"),
    [
        (0.05, "0.95"),
        (0.5, "0.5"),
        (0.123456789, "0.876543211"),
        (1e-6, "0.999999"),
        (1e-7, "1 - 1e-07"),
        (5e-324, "1 - 5e-324"),
        (1 - 2**-53, "1E-16"),
    ],
)
def test_the_probability_is_said_to_the_last_digit_and_never_rounded_to_one(delta, said):
    told = statement(0.25, delta, DIGITS)
    assert told.startswith(f"With probability at least {said} over the draw of its 1438 training examples of digits")


def words(name: str = "digits", kind: str = "vision", model: str = "mlp", setting: Setting | None = None) -> str:
    task = replace(DIGITS, name=name, kind=kind)
    return "\n".join(assumptions_of(Grid(model=ModelSpec(name=model)), task, setting or Setting()))


@pytest.mark.parametrize("name", ["sst2", "imdb-offline", "multirc"])
def test_dependent_examples_are_never_called_independent(name):
    told = words(name, "text", "minilm")
    assert "are independent draws" not in told
    assert "taken for independent draws, which they are not" in told
    assert statement(0.2, 0.05, replace(DIGITS, name=name)).startswith("Were the training examples independent draws, ")


def test_examples_are_taken_for_independent_where_nothing_is_known():
    assert "The 1438 training examples are independent draws from the distribution" in words()


@pytest.mark.parametrize(
    ("kind", "model", "network", "pretrained"),
    [
        ("vision", "mlp", "plain", False),
        ("vision", "lenet", "plain", False),
        ("vision", "vit-tiny", "plain", False),
        ("vision", "google/vit-base-patch16-224", "plain", True),
        ("vision", "./vit", "plain", True),
        ("vision", "./vit", "gabor", False),
        ("text", "minilm", "plain", True),
        ("text", "minilm", "embedding", True),
        ("text", "roberta-base", "plain", True),
    ],
)
def test_a_pretraining_is_named_wherever_there_was_one(kind, model, network, pretrained):
    told = words(kind=kind, model=model, setting=Setting(network=network))
    assert (f"What the model was pretrained on did not hold these {kind} examples" in told) == pretrained


def test_classes_that_are_read_from_labels_are_said_to_have_been_known():
    assert "were known beforehand" in words("files", "text", "minilm")
    assert "were known beforehand" not in words()


def test_a_verdict_shows_its_checks_in_a_notebook() -> None:
    checks = (Check("grid", True, "as announced"), Check("<bits>", False, "got 3 & 4"))
    verdict = Verdict(cast("Certificate", None), checks)
    shown = verdict._repr_html_()
    assert "Certificate: refused" in shown
    assert "as announced" in shown
    assert "&lt;bits&gt;" in shown
    assert "3 &amp; 4" in shown

"""The target's formulas, its error, and the inputs it refuses."""

from __future__ import annotations

import math

import pytest

from intrinsic.errors import SpecError
from intrinsic.search import make_target
from intrinsic.spec import TargetSpec

SCORES = (0.80, 0.82, 0.84)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (TargetSpec(), 0.9 * 0.82),
        (TargetSpec(kind="global", value=1.0), 0.9),
        (TargetSpec(kind="global", value=0.6, fraction=0.5), 0.3),
        (TargetSpec(kind="chance-corrected"), 0.5 + 0.9 * 0.32),
    ],
)
def test_value(spec, value):
    assert make_target(spec, SCORES, 0.5).value == pytest.approx(value)


def test_what_the_fit_learns_of_the_baselines_noise():
    own = make_target(TargetSpec(fraction=0.5), SCORES)
    assert own.df == len(SCORES) - 1
    assert math.sqrt(own.squares / own.df) == pytest.approx(0.02)
    assert make_target(TargetSpec(), (0.8,)).df == 0


@pytest.mark.parametrize(
    ("kind", "scores", "chance", "message"),
    [
        ("own", (), None, "needs a baseline score, got none: run the baseline first"),
        ("own", (0.8, math.nan), None, "must be finite numbers, .* leave failed baseline trials out"),
        ("own", (-0.5,), None, "needs it positive, got -0.5: use --target chance-corrected"),
        ("chance-corrected", SCORES, None, "needs the task's chance level, got none"),
        ("chance-corrected", SCORES, 0.9, "above the chance level, got 0.82 against 0.9: train the baseline"),
    ],
)
def test_refusals(kind, scores, chance, message):
    with pytest.raises(SpecError, match=message):
        make_target(TargetSpec(kind=kind), scores, chance)

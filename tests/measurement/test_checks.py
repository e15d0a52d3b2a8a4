"""What is refused before a measurement: settings that contradict each other, or that would change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from intrinsic.errors import IntrinsicError, ModelError, SpecError, UnknownName
from intrinsic.measurement.checks import check_bracket, check_settings
from intrinsic.records import MeasureResult
from intrinsic.spec import PRESETS, MeasureSpec

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "experiments").glob("*.yaml"))
VISION, TEXT = PRESETS["vision"], PRESETS["text"]


def changed(start: MeasureSpec, **changes: dict[str, Any] | Any) -> MeasureSpec:
    tree = start.model_dump()
    for name, value in changes.items():
        tree[name] = {**tree[name], **value} if isinstance(value, dict) else value
    return MeasureSpec.model_validate(tree)


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_are_sound(name: str) -> None:
    check_settings(PRESETS[name])


MEASURED = [page for page in PAGES if "measure_id" in yaml.safe_load(page.read_text()).get("result", {})]


@pytest.mark.parametrize("page", MEASURED, ids=lambda page: page.stem)
def test_recorded_settings_are_sound_and_keep_their_names(page: Path) -> None:
    record = json.loads((ROOT / "experiments" / "results" / f"{page.stem}.json").read_text())
    told = yaml.safe_load(page.read_text())
    spec = MeasureResult.model_validate(record).run.spec
    check_settings(spec)
    check_settings(MeasureSpec.model_validate(told["spec"]))
    assert spec.id == told["result"]["measure_id"]


IDLE = [
    (VISION, {"task": {"max_length": 64}}, "'digits' has images and takes no max_length .got 64."),
    (VISION, {"task": {"text_columns": ["a"]}}, "'digits' has its own data and takes no text_columns"),
    (TEXT, {"task": {"label_column": "y"}}, "'rotten-tomatoes' has its own data and takes no label_column"),
    (TEXT, {"task": {"name": "mrpc", "regression": True}}, "'mrpc' has its own data and takes no regression"),
    (TEXT, {"task": {"splits": ["a", "b"]}}, "takes no splits .got"),
    (VISION, {"model": {"layers": 2}}, "'mlp' takes no layers .got 2, expected None."),
    (VISION, {"model": {"pooling": "mean"}}, "'mlp' takes no pooling"),
    (VISION, {"model": {"name": "lenet", "revision": "v1"}}, "'lenet' takes no revision"),
    (TEXT, {"model": {"trust_remote_code": True}}, "'minilm' takes no trust_remote_code"),
    (VISION, {"lambdas": "tensor"}, "lambdas are the scales of SAID, .* got 'tensor'; leave --lambdas out, or use --s"),
    (
        VISION,
        {"search": {"kind": "grid", "guard_rates": [0.25, 4]}},
        r"guards none: got guard_rates .0.25, 4.0.; leave",
    ),
    (VISION, {"search": {"guard_rates": [1.0, 2.0]}}, "1 guards nothing: leave it out"),
]


@pytest.mark.parametrize(("start", "changes", "message"), IDLE)
def test_a_setting_that_would_change_nothing_is_refused(
    start: MeasureSpec, changes: dict[str, Any], message: str
) -> None:
    check_settings(start)
    with pytest.raises(SpecError, match=message):
        check_settings(changed(start, **changes))


@pytest.mark.parametrize(
    ("start", "changes"),
    [
        (TEXT, {"lambdas": "tensor"}),
        (TEXT, {"task": {"name": "mrpc", "splits": ["train", "test"]}}),
        (TEXT, {"task": {"name": "files", "text_columns": ["a"], "label_column": "b", "regression": True}}),
        (TEXT, {"model": {"name": "org/name", "revision": "v1", "layers": 2, "trust_remote_code": True}}),
        (VISION, {"model": {"name": "vit-tiny", "layers": 2, "pooling": "mean"}}),
        (VISION, {"search": {"kind": "grid", "guard_rates": []}}),
        (VISION, {"search": {"kind": "grid", "grid": [5, 9], "low": 3}}),
    ],
)
def test_a_setting_that_changes_something_is_taken(start: MeasureSpec, changes: dict[str, Any]) -> None:
    check_settings(changed(start, **changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task": {"name": "digitz"}}, UnknownName, "unknown task 'digitz'.*did you mean 'digits'"),
        ({"model": {"name": "minilm"}}, ModelError, "'minilm' is for text and the task is vision; try mlp, lenet"),
        ({"task": {"name": "mrpc"}}, ModelError, "'mlp' is for vision and the task is text; try minilm"),
        ({"search": {"resolution": 1 + 1e-9}}, SpecError, "resolution must be 1.001 or more, got 1"),
        ({"search": {"resolution": 1.001}}, SpecError, "the bracket holds 2,...? dimensions, 300 are the most"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], error: type[IntrinsicError], message: str) -> None:
    with pytest.raises(error, match=message):
        check_settings(changed(VISION, **changes))


def target(task: str, value: float, fraction: float = 0.9, regression: bool = False) -> MeasureSpec:
    goal = {"kind": "global", "value": value, "fraction": fraction}
    return changed(TEXT, task={"name": task, "regression": regression}, target=goal)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (target("mrpc", 90), "0.9 x 90 = 81, which no training can reach: .* accuracy's range, 0 to 1; give a share"),
        (target("mrpc", 1.2), "0.9 x 1.2 = 1.08, which no training can reach"),
        (target("mrpc", -1), "0.9 x -1 = -0.9, which every training reaches: .* accuracy's range"),
        (target("cola", 2), "matthews's range, -1 to 1"),
        (target("files", 2, regression=True), "pearson's range, -1 to 1"),
    ],
)
def test_a_target_outside_the_metrics_range_is_refused(spec: MeasureSpec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_settings(spec)


@pytest.mark.parametrize("spec", [target("mrpc", 1.0), target("mrpc", 1.0, 1.0), target("cola", -0.5)])
def test_a_target_inside_the_metrics_range_is_taken(spec: MeasureSpec) -> None:
    check_settings(spec)


def test_only_the_brackets_own_errors_are_said_to_be_the_brackets() -> None:
    seen: list[int | None] = []

    def misfit(trial: Any) -> None:
        seen.append(trial.method.subspace_dim)
        if trial.method.subspace_dim == VISION.search.high:
            raise SpecError("too many")

    with pytest.raises(SpecError, match=r"^the bracket from d=8 to d=4096 \(--low and --high, or --grid\): too many$"):
        check_bracket(VISION, misfit)
    assert seen == [None, 8, 4096]

    def no_gpu(trial: Any) -> None:
        raise SpecError("no GPU")

    with pytest.raises(SpecError, match=r"^no GPU$"):
        check_bracket(VISION, no_gpu)

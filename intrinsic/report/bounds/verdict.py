"""Sentences beside the numbers of a bound: which are vacuous, and what has to be true for the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from intrinsic.records import MeasureResult
from intrinsic.report import words
from intrinsic.report.bounds.price import FLOAT32, bits_words
from intrinsic.report.bounds.rows import TEST_SET, BoundRow, Material, function_of, representatives


def majority_error(result: MeasureResult) -> float | None:
    """The error of the best constant answer; None where the metric is not accuracy."""
    return 1 - result.result.chance if result.result.metric == "accuracy" else None


def verdict(row: BoundRow, majority: float | None) -> str:
    """The verdict on a row: vacuous (1 and more), worse than the majority class, not a bound, or empty."""
    if row.kind == "not a bound":
        return "not a bound"
    if row.kind == "observed":
        return ""
    if row.value >= 1:
        return "vacuous"
    return "worse than the majority class" if majority is not None and row.value >= majority else ""


def best(rows: Sequence[BoundRow]) -> BoundRow | None:
    """The least bound from training data; None where there is none."""
    return min((r for r in rows if r.kind == "bound" and r.name != TEST_SET), key=lambda r: r.value, default=None)


def findings(material: Material, rows: Sequence[BoundRow]) -> list[str]:
    """The outcome in sentences, the most important ones first."""
    result, majority = material.result, majority_error(material.result)
    told = [*_trained(rows, majority), *_stored(rows, majority), *_tested(rows), *_shuffled(rows, majority)]
    told += [
        f"{claim.name} claims {claim.value:.4f} at delta {claim.delta:g} with {claim.bits:,.0f} bits (d = {claim.d}); "
        "`intrinsic verify` checks it, nothing here did."
        for claim in material.claims
    ]
    if any(row.kind == "floor" for row in rows):
        told.append(
            "Training errors were not counted at every d: where they were not, the least that a bound could be is "
            "shown (≥), as if training had left no error. `intrinsic bound --count` trains one trial a dimension again "
            "and counts them."
        )
    buffered = [counted for counted in material.errors.values() if counted.learned_buffers]
    if buffered:
        told.append(
            f"Training changed {len(buffered[0].learned_buffers)} buffers besides the coordinates (such as "
            f"{buffered[0].learned_buffers[0]}), which the code does not hold: no bound from training data is given."
        )
    if any(function_of(material, trial) is None for trial in representatives(result)):
        told.append(
            "The head was trained freely and the trials' records are absent: how much was trained is not known."
        )
    return told


def _trained(rows: Sequence[BoundRow], majority: float | None) -> Iterator[str]:
    least = best(rows)
    if least is None:
        return
    what = f"the least bound from training data is {least.value:.4f} ({least.name}, {_place(least)})"
    said = verdict(least, majority)
    yield f"With every choice paid {what}{': ' + said if said else ''}."


def _stored(rows: Sequence[BoundRow], majority: float | None) -> Iterator[str]:
    mine = [r for r in rows if r.width == FLOAT32 and r.kind in ("bound", "floor") and r.name != TEST_SET]
    least = min(mine, key=lambda r: r.value, default=None)
    if least is not None and verdict(least, majority):
        yield (
            "As stored, in float32, the training data certify nothing at any d: the least bound "
            f"{'is' if least.kind == 'bound' else 'could be'} {least.value:.4f} ({verdict(least, majority)})."
        )
    elif least is not None and least.kind == "bound":
        yield f"As stored, in float32, the least bound from training data is {least.value:.4f} (d = {least.d})."


def _tested(rows: Sequence[BoundRow]) -> Iterator[str]:
    tested = [r for r in rows if r.name == TEST_SET]
    if tested:
        least = min(tested, key=lambda r: r.value)
        yield f"For reference, the evaluation split alone bounds the error by {least.value:.4f} (d = {least.d})."


def _shuffled(rows: Sequence[BoundRow], majority: float | None) -> Iterator[str]:
    mine = [r for r in rows if r.kind == "shuffled"]
    if not mine or majority is None:
        return
    least = min(mine, key=lambda r: r.value)
    held = "as it must" if least.value >= majority else "which no sound bound does but with probability delta"
    above = "not below" if least.value >= majority else "below"
    yield (
        f"On shuffled labels the least bound is {least.value:.4f} ({_place(least)}), {above} the "
        f"majority class's error {majority:.4f}, {held}."
    )


def _place(row: BoundRow) -> str:
    return f"d = {row.d}, {bits_words(row.width or 0)} a coordinate"


def assumptions(material: Material) -> list[str]:
    """Sentences that say what has to be true for the bounds; a record alone can prove none of them."""
    result = material.result
    spec, outcome = result.run.spec, result.result
    return [
        f"Each bound by itself holds with probability {1 - material.delta:g} over the draw of its sample. A bound from "
        "training data and one from the evaluation split hold together except with probability 2 delta.",
        f"The {words.count(outcome.num_train)} training examples are independent draws from the distribution that the "
        "bound speaks of. Examples that share sentences, authors or images are not independent.",
        f"The {words.count(outcome.num_eval)} evaluation examples are independent draws too, and took part in nothing "
        "but the choices that are paid for.",
        _origin(spec.model.name),
        "The settings of the run (task, model, method, training, grid, root seed) were fixed before the data were "
        "seen; d, the seed's index and the bits a coordinate are paid for. Whoever tried k runs must add log2 k bits.",
        "At 1, 4 and 16 bits the bounds are on the network with its coordinates rounded to that many bits after "
        "training; the trained network itself is stored in float32 and costs 32 bits a coordinate.",
        "sqrt(d/m) is how Theorem 1 is usually quoted. It leaves out constants, bits and delta, and bounds nothing.",
    ]


def _origin(model: str) -> str:
    return (
        f"theta_0 ({words.short_name(model)}: pretrained weights, or a random draw from the root seed) and the "
        "projection are independent of these examples. If pretraining saw them, or text that gives them away, every "
        "bound from training data is void."
    )

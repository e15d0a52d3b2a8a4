"""What a reader of a comparison's tables must know besides: warnings, and what its searches found."""

from __future__ import annotations

from intrinsic.methods.catalogue import is_head_only
from intrinsic.problems.metrics import signed
from intrinsic.records import CompareResult, CompareRow, SmallestSize
from intrinsic.report import words
from intrinsic.spec import FULL

STEADY = 1.3
"""The factor between the full model's own latencies from which on none of a comparison is worth reading."""


def reaches(result: CompareResult, score: float) -> bool:
    """Whether a score is at least as good as the target; False where there is no target."""
    target, higher = result.result.target, result.result.higher_is_better
    return target is not None and signed(score, higher) >= signed(target, higher)


def one_size(result: CompareResult) -> list[tuple[CompareRow, bool]]:
    """The methods of one size besides full fine-tuning that have a score, and whether it reaches the target."""
    rows = [row for row in result.result.rows if row.size_name is None and row.label != FULL]
    if result.result.target is None:
        return []
    return [(row, reaches(result, row.mean)) for row in rows if row.mean is not None]


def count(value: int | None) -> str:
    """A count in words: 12,345,678; a dash where it is not known."""
    return words.DASH if value is None else words.count(value)


def notes(result: CompareResult) -> list[str]:
    """Warnings, and what the searches say of themselves."""
    searches = [_search_note(result, found) for found in result.result.smallest]
    return [*result.result.warnings, *_probe_note(result), *searches, *_latency_note(result)]


def _search_note(result: CompareResult, found: SmallestSize) -> str:
    """The search's message, and whether the row of its size, which has trials of its own, contradicts it."""
    told = f"{found.label}: {found.search.message}"
    size = (found.label, found.search.d)
    row = next((row for row in result.result.rows if (row.label, row.size) == size), None)
    if row is None or row.mean is None or reaches(result, row.mean):
        return told
    seeds = f"{len(row.scores)} seed{'s' * (len(row.scores) != 1)}"
    return f"{told} In the table of scores its mean, {words.score(row.mean)} over {seeds}, does not reach the target."


def _probe_note(result: CompareResult) -> list[str]:
    """A note where training the head alone is enough: the methods' own parameters are then not needed."""
    probes = [row for row, reached in one_size(result) if reached and is_head_only(row.method.name)]
    return [
        f"the head alone ({count(row.parameters_trained)} parameters) reaches the target: the smallest sizes of "
        "methods that train it too say nothing about them"
        for row in probes[:1]
    ]


def _latency_note(result: CompareResult) -> list[str]:
    """A note where the full model's latencies, taken beside every method's, are too far apart to compare."""
    profiles = [row.profile for row in result.result.rows if row.profile is not None]
    told = []
    for size in sorted({x.batch_size for p in profiles for x in p.latencies}):
        times = [x.full for p in profiles for x in p.latencies if x.batch_size == size]
        if max(times) > STEADY * min(times):
            told.append(f"{min(times):.3g} to {max(times):.3g} ms at batch {size}")
    if not told:
        return []
    return [
        f"the full model itself took {', '.join(told)}, from one method's turn to the next: the machine was busy with "
        "other work, so read no latencies there"
    ]

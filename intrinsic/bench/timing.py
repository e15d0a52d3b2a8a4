"""Times of calls on a machine that others use too: the least of many, all candidates in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch

LEAST, MOST = 3, 500
"""The least and the most runs of a call, whatever its budget."""


@dataclass(frozen=True)
class Timing:
    """The time of a call in seconds, over `runs` runs.

    Other programs only ever add to it, so `best`, the least, is the nearest to the call's own time.
    """

    best: float
    median: float
    runs: int


def in_turn(calls: Mapping[str, Callable[[], object]], seconds: float, device: torch.device) -> dict[str, Timing]:
    """Time calls: each once to warm up, then one after the other, round by round, so that all meet the same load.

    A call leaves when it has used up `seconds`, after LEAST runs at the earliest.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    waiting = dict(calls)
    while waiting:
        for name, call in list(waiting.items()):
            took = taken[name]
            took.append(_seconds(call, device))
            if len(took) >= LEAST and (sum(took) >= seconds or len(took) >= MOST):
                del waiting[name]
    return {name: Timing(min(took), median(took), len(took)) for name, took in taken.items()}


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    before.record()
    call()
    after.record()
    torch.cuda.synchronize(device)
    return float(before.elapsed_time(after)) / 1000

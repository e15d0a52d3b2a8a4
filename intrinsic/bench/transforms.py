"""The Walsh-Hadamard transform against one pass that reads and writes the same floats, and against other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from intrinsic import kernels
from intrinsic.bench.peers import Peer
from intrinsic.bench.timing import Timing, in_turn

OURS, PASS = "intrinsic", "pass"


@dataclass(frozen=True)
class TransformRow:
    """`rows` transforms of p floats, in place, in float32. times: library -> seconds; `pass` is the floor."""

    device: str
    threads: int
    rows: int
    p: int
    times: dict[str, Timing]


def measure_transform(
    shape: tuple[int, int], threads: int, device: torch.device, peers: Mapping[str, Peer], seconds: float
) -> TransformRow:
    """One row. Zeros stay zeros however often they are transformed; what is in x does not change the time."""
    x = torch.empty(shape, device=device).fill_(0)
    calls: dict[str, Callable[[], object]] = {OURS: lambda: kernels.fwht_(x), PASS: lambda: x.add_(0.0)}
    for name, peer in peers.items():
        call = peer(x) if name != "FFHT" or threads == 1 else None
        if call is not None:
            calls[name] = call
    with using_threads(threads):
        return TransformRow(device.type, threads, *shape, in_turn(calls, seconds, device))


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

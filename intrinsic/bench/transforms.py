"""Times of the Walsh-Hadamard transform against one pass over the same floats, and against other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from intrinsic import kernels
from intrinsic.bench.peers import Peer
from intrinsic.bench.timing import Timing, in_turn

OURS, PASS = "intrinsic", "pass"
"""The names of our own transform and of the pass over the floats among the times."""


@dataclass(frozen=True)
class TransformRow:
    """The times of `rows` transforms of p floats, in place, in float32."""

    device: str
    threads: int
    rows: int
    p: int
    times: dict[str, Timing]
    """Time of each library by name; that of `pass` is the floor."""


def measure_transform(
    shape: tuple[int, int], threads: int, device: torch.device, peers: Mapping[str, Peer], seconds: float
) -> TransformRow:
    """The times at one shape (rows, p), each call measured for about so many seconds.

    The floats are zeros, which stay zeros however often they are transformed; the time does not depend on them.
    """
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
    """Let torch use so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

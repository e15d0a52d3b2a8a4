"""The machine that the measurements were taken on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime

import torch

from intrinsic.kernels import library
from intrinsic.kernels.processor import processor


@dataclass(frozen=True)
class Machine:
    """The facts on which times depend."""

    processor: str
    cores: int
    """Cores that this process may use."""
    instruction_sets: tuple[str, ...]
    """Instruction sets that the C kernels know here, the one in use first; empty where they were not built."""
    system: str
    python: str
    torch: str
    devices: tuple[str, ...]
    """Names of the GPUs."""
    load: float | None
    """Processes that wanted a core in the minute before the start; None where the system does not tell."""
    started: str
    """Time of the start, in UTC."""


def this_machine() -> Machine:
    """The machine that this process runs on, now."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return Machine(
        processor=processor(),
        cores=_cores(),
        instruction_sets=tuple(sorted(library.available(), key=lambda name: name != library.fastest())),
        system=platform.platform(terse=True),
        python=platform.python_version(),
        torch=torch.__version__,
        devices=tuple(torch.cuda.get_device_name(i) for i in gpus),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        started=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

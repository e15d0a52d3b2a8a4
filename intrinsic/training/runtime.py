"""The surroundings of a training run, which are as before at its end: processes, device, random generators."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from intrinsic.errors import SpecError
from intrinsic.kernels.processor import processor


@contextmanager
def own_accelerator(precision: str) -> Iterator[Accelerator]:
    """Yield an Accelerator with this precision, whatever other ones the process has.

    Accelerate keeps one state per process and refuses a second precision; so the present state is set aside and put
    back at the end. The processes and the device (PartialState) are shared, as they must be.

    Raises SpecError for fp16 without a GPU.
    """
    check_precision(precision)
    states: list[Any] = [AcceleratorState._shared_state, GradientState._shared_state]
    kept = [dict(state) for state in states]
    _replace(states, [{}, {}])
    try:
        accelerator = Accelerator(mixed_precision=precision)
        accelerator.gradient_accumulation_steps = 1  # the spec says how to accumulate, not the environment
        yield accelerator
    finally:
        _replace(states, kept)


def check_precision(precision: str) -> None:
    """Raise SpecError for a precision that this machine does not have."""
    if precision == "fp16" and _processes().device.type == "cpu":
        raise SpecError("precision 'fp16' needs a GPU and there is none; use 'bf16' or 'no'")


def _replace(states: list[Any], contents: list[dict[str, Any]]) -> None:
    for state, content in zip(states, contents, strict=True):
        state.clear()
        state.update(content)


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators (torch on the CPU and on this device, numpy, random); restore them at the end."""
    module = None if device.type == "cpu" else torch.get_device_module(device)
    kept = (
        torch.get_rng_state(),
        module and module.get_rng_state(),
        np.random.get_state(),
        random.getstate(),
    )
    torch.default_generator.manual_seed(seed)
    if module is not None:
        module.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        if module is not None:
            module.set_rng_state(kept[1])
        np.random.set_state(kept[2])
        random.setstate(kept[3])


def device_name() -> str:
    """The name of the device that this process trains on: `cpu (AMD EPYC)`, or `cuda:0 (NVIDIA H100)`."""
    device = _processes().device
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({processor()})" if device.type == "cpu" else device.type


def is_main_process() -> bool:
    """Whether this process is the main one of those that train together; true if it is alone."""
    return bool(_processes().is_main_process)


def _processes() -> PartialState:
    """The state that accelerate shares within a process. The first call makes it, with what Accelerator would pass."""
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


class Logits(nn.Module):
    """The model as a module from a batch to its logits: DDP needs a plain tensor to find what was used."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Tensor) -> Tensor:
        """The logits of a batch, given by the names of the model's inputs."""
        logits: Tensor = self.model(**batch).logits
        return logits


def distribute(model: Logits, accelerator: Accelerator, unused: bool) -> nn.Module:
    """The model itself, or wrapped so that its gradients are averaged if there are several processes.

    unused: whether some trained parameter takes no part in the forward pass.
    """
    if accelerator.num_processes == 1:
        return model
    device = accelerator.device
    return DistributedDataParallel(
        model, device_ids=None if device.type == "cpu" else [device], find_unused_parameters=unused
    )


def same_buffers(model: nn.Module, accelerator: Accelerator) -> None:
    """Copy the main process's buffers to every process: each has batch norm statistics of its own."""
    if accelerator.num_processes > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)

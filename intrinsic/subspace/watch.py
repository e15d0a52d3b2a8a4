"""A guard against a combination that would train on wrong gradients without an error: see :class:`ReentrantWatch`."""

from __future__ import annotations

import torch
from torch.nn.parallel import DistributedDataParallel

from intrinsic.errors import SpecError


class ReentrantWatch:
    """A guard that refuses reentrant gradient checkpointing under DDP without static_graph.

    A reentrant checkpoint runs a backward pass of its own for each block, and each brings theta_d a part of
    its gradient. DDP sends theta_d's gradient off after the first part and never adds the others, so the
    processes drift apart; it does not notice. With static_graph=True it counts the parts.

    Such a checkpoint shows in two signs: the block is called with gradients off inside a forward pass with
    gradients on, and once more, with gradients on, inside the backward pass.
    """

    def __init__(self) -> None:
        self._exposed = False
        self._hidden = False

    def whole(self) -> None:
        """Note that the whole model is called."""
        wrapper = DistributedDataParallel._get_active_ddp_module()  # type: ignore[no-untyped-call]
        self._exposed = torch.is_grad_enabled() and wrapper is not None and not wrapper.static_graph
        self._hidden = False

    def part(self) -> None:
        """Note that a part of it is called. Raises SpecError on the second sign."""
        if not self._exposed:
            return
        if not torch.is_grad_enabled():
            self._hidden = True
        elif self._hidden and torch._C._current_graph_task_id() != -1:
            raise SpecError(
                "reentrant gradient checkpointing under DistributedDataParallel would give every process another "
                "gradient; use use_reentrant=False, or DDP's static_graph=True"
            )

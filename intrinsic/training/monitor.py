"""The watch over a run's losses and gradients, which does not make the device wait at every step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from intrinsic.errors import Diverged
from intrinsic.spec import OptimSpec

OnStep = Callable[[int, int, float], None]
"""A function called now and then with the step just done, the number of steps, and the step's loss."""

_WINDOW = 16  # steps between two looks at a device that works asynchronously
_MOST_SKIPS = 32  # fp16: by then the loss scale has fallen from 2^16 to 2^-16, and is not the cause


class Monitor:
    """Keeps loss and gradient norm of every step on the device, and looks at them in windows.

    On the CPU a window is one step. Divergence is found at the end of its window and reported with its step.
    """

    def __init__(
        self,
        total: int,
        optim: OptimSpec,
        device: torch.device,
        reduce: Callable[[Tensor], Tensor],
        progress: OnStep | None,
    ) -> None:
        self._total, self._optim, self._reduce, self._progress = total, optim, reduce, progress
        self._losses = torch.zeros(total, device=device)
        self._norms = torch.zeros(total, device=device)
        self._window = 1 if device.type == "cpu" else _WINDOW
        self._skips = 0
        self._paces: list[float] = []
        self.losses: list[float] = []
        """Loss of every step looked at so far."""
        self.start_clock()

    def record(self, step: int, loss: Tensor, norm: Tensor | None) -> None:
        """Note a step's loss and gradient norm, and look at the window if it is complete.

        step: counted from 1; loss: this process's share; norm: of the gradient before clipping, None if unknown.

        Raises Diverged.
        """
        self._losses[step - 1] = loss
        if norm is not None:
            self._norms[step - 1] = norm
        if step % self._window == 0 or step == self._total:
            self.look(step)

    def look(self, step: int) -> None:
        """Fetch the losses and norms up to a step, check them, report them. Raises Diverged."""
        start = len(self.losses)
        if start == step:
            return
        losses = self._reduce(self._losses[start:step]).tolist()
        norms = self._norms[start:step].tolist()
        self._paces.append((time.perf_counter() - self._clock) / (step - start))
        for offset, (loss, norm) in enumerate(zip(losses, norms, strict=True), start + 1):
            self._check(offset, loss, norm)
        self.losses += losses
        if self._progress is not None:
            self._progress(step, self._total, losses[-1])
        self.start_clock()

    def start_clock(self) -> None:
        """Start the clock again, so that the time since the last look, say an evaluation, does not count."""
        self._clock = time.perf_counter()

    @property
    def seconds_per_step(self) -> float:
        """Median seconds of a step over the windows; the first, a warm-up, counts only if it is the only one."""
        paces = sorted(self._paces[1:] or self._paces)
        middle = len(paces) // 2
        return paces[middle] if len(paces) % 2 else (paces[middle - 1] + paces[middle]) / 2

    def mean_loss(self, first: int, last: int) -> float:
        """The mean training loss of the steps first + 1 to last."""
        part: Sequence[float] = self.losses[first:last]
        return sum(part) / len(part)

    def diverged(self, step: int, what: str) -> Diverged:
        """The error of a run that diverged; `what` begins its sentence, as in `the loss is`."""
        return Diverged(
            f"training diverged: {what} not finite at step {step} of {self._total} "
            f"(learning rate {self._optim.learning_rate:g}); lower the learning rate"
        )

    def _check(self, step: int, loss: float, norm: float) -> None:
        if not math.isfinite(loss):
            raise self.diverged(step, "the loss is")
        self._skips = 0 if math.isfinite(norm) else self._skips + 1
        # under fp16 the scaler leaves out steps whose gradient overflows, until its scale fits
        if self._skips > (_MOST_SKIPS if self._optim.precision == "fp16" else 0):
            raise self.diverged(step, "the gradient is")

"""The subspace in the form of one of peft's layers, which peft asks for parameters and switches on and off."""

from __future__ import annotations

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from intrinsic.subspace.core import Core


class SubspaceLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A layer without weights of its own: theta_d and the lambdas are those of the core inside the model."""

    adapter_layer_names = ("theta", "lambdas")
    _disable_adapters: bool

    def __init__(self, core: Core, adapter_name: str) -> None:
        super().__init__()
        self._core = (core,)  # in a tuple, or torch would list its parameters twice
        self._adapter = adapter_name
        self._aside: tuple[Tensor, bool, bool] | None = None

    @property
    def core(self) -> Core:
        """The part of the subspace that lives inside the model."""
        return self._core[0]

    @property
    def theta(self) -> nn.ParameterDict:
        """theta_d by the adapter's name, as peft expects it."""
        return nn.ParameterDict({self._adapter: self.core.theta})

    @property
    def lambdas(self) -> nn.ParameterDict:
        """The lambdas by the adapter's name; empty without structure."""
        held = self.core.lambdas
        return nn.ParameterDict({} if held is None else {self._adapter: held})

    @property
    def trained_theta(self) -> Tensor:
        """theta_d, whether the subspace is switched on or not."""
        return self.core.theta.detach() if self._aside is None else self._aside[0]

    def enable_adapters(self, enabled: bool) -> None:
        """Switch the subspace on or off.

        Off, theta_d is zero, so that every weight is theta_0, bit for bit; on again, it is as it was.
        """
        if enabled != self._disable_adapters:
            return
        core = self.core
        trained = [p for p in (core.theta, core.lambdas) if p is not None]
        with torch.no_grad():
            if not enabled:
                self._aside = (core.theta.detach().clone(), core.theta.requires_grad, trained[-1].requires_grad)
                core.theta.zero_()
                for parameter in trained:
                    parameter.requires_grad_(False)
            elif self._aside is not None:
                kept, *flags = self._aside
                core.theta.copy_(kept)
                for parameter, flag in zip(trained, flags, strict=False):
                    parameter.requires_grad_(flag)
                self._aside = None
        self._disable_adapters = not enabled

"""Zero-element parameters that answer `model.dtype` and `model.device` after the real ones were taken off."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn

STANDIN = "intrinsic_standin"
"""The name under which a module holds its stand-in."""


class Standins:
    """Stand-ins, one in every module whose class has a property `dtype` or `device`.

    Such properties (PreTrainedModel's are an example) read the first parameter of the module, and
    fail where there is none. A stand-in has no elements, takes no gradient and stays out of state dicts.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules: Any = [module for module in model.modules() if _asks(module)]
        self._hooks = []
        for module in self._modules:
            first = next(p for p in module.parameters() if p.is_floating_point())
            _put_first(module, nn.Parameter(first.detach().new_empty(0), requires_grad=False))
            self._hooks.append(module.register_state_dict_post_hook(_leave_out))
            self._hooks.append(module.register_load_state_dict_post_hook(_not_missing))
        self._modules = [weakref.ref(module) for module in self._modules]

    def remove(self) -> None:
        """Take the stand-ins and their hooks off again."""
        for handle in self._hooks:
            handle.remove()
        for reference in self._modules:
            module = reference()
            if module is not None:
                del module._parameters[STANDIN]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_modules": [reference() for reference in self._modules]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _modules=[weakref.ref(module) for module in state["_modules"]])


def _asks(module: nn.Module) -> bool:
    asks = any(isinstance(getattr(type(module), name, None), property) for name in ("dtype", "device"))
    return asks and any(p.is_floating_point() for p in module.parameters())


def _put_first(module: nn.Module, standin: nn.Parameter) -> None:
    before = dict(module._parameters)
    module._parameters.clear()
    module._parameters.update({STANDIN: standin, **before})


def _leave_out(module: nn.Module, state: dict[str, torch.Tensor], prefix: str, metadata: object) -> None:
    state.pop(prefix + STANDIN, None)


def _not_missing(module: nn.Module, keys: Any) -> None:
    keys.missing_keys[:] = [key for key in keys.missing_keys if key.rpartition(".")[2] != STANDIN]

"""The model as peft wraps it: one :class:`intrinsic.Subspace`, attached and taken off at peft's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.other import set_additional_trainable_modules
from pydantic import ValidationError
from torch import Tensor, nn

from intrinsic.errors import ArtefactError, SpecError
from intrinsic.peft.config import SubspaceConfig
from intrinsic.peft.layer import SubspaceLayer
from intrinsic.spec import first_complaint
from intrinsic.subspace import Subspace
from intrinsic.subspace.artefact import Fingerprint, check_tensors
from intrinsic.subspace.core import CORE, Core
from intrinsic.subspace.layout import in_head, tensors_of
from intrinsic.subspace.reload import check_values

WEIGHTS = Path("adapter_model.safetensors")
"""The file of trained numbers in peft's folders."""


class SubspaceModel(BaseTuner):  # type: ignore[misc]
    """The `base_model` of a PeftModel; `subspace` is the subspace, with its dimension, D and names.

    Known limits, beside those of :class:`intrinsic.Subspace`. A model carries one subspace: a second adapter is
    refused, and `unload()` takes the first one off. Buffers that training changes are not saved, as with
    peft's other methods. peft's count of all parameters leaves theta_0 out, which is kept where the optimiser
    cannot reach it: `subspace.full_dim` is its size. The weights are always made, so `merge_adapter` has nothing to do.
    """

    prefix = CORE
    tuner_layer_cls = SubspaceLayer
    target_module_mapping: dict[str, list[str]] = {}
    uses_shared_state = True
    subspace: Subspace
    """The subspace that is attached."""
    layer: Any
    """The one SubspaceLayer; what it inherits from peft has no types here."""

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, Tensor] | None = None,
    ) -> None:
        """Attach the subspace to peft's model. Raises SpecError for a second one, and for settings that are wrong."""
        if len(self.peft_config) > 1:
            raise SpecError(f"a model carries one subspace, got {adapter_name!r} as another: unload() the first one")
        if low_cpu_mem_usage or nn.Linear(1, 1).weight.is_meta:
            raise SpecError("a subspace needs low_cpu_mem_usage=False, got True: leave it out, theta_d is small")
        given: SubspaceConfig = self.peft_config[adapter_name]
        saved = _modules_to_save(model, given.modules_to_save or ())
        base = _checked_base(model, saved, given.base)
        self.subspace = _attached(model, given, saved)
        options = dict(self.subspace.settings.options)
        self.peft_config[adapter_name] = replace(given, base=base.model_dump(), projection_options=options)
        self.layer = SubspaceLayer(cast(Core, model.get_submodule(CORE)), adapter_name)
        set_additional_trainable_modules(
            model=model, peft_config=given, model_config=self.get_model_config(model), adapter_name=adapter_name
        )
        self.set_adapter(adapter_name, inference_mode=given.inference_mode)

    def _create_and_replace(self, *args: object, **kwargs: object) -> None:
        """Do nothing: a subspace lies over parameters and replaces no module."""

    def __getattr__(self, name: str) -> Any:
        """Hand unknown names down to the model as peft does, all but the model's own way of being copied."""
        if name == "__deepcopy__":
            raise AttributeError(name)
        return super().__getattr__(name)

    # ------------------------------------------------------------------ switching

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Make the adapter the active one, trainable unless in inference mode."""
        super().set_adapter(adapter_name, inference_mode=inference_mode)
        self.layer.set_adapter(adapter_name, inference_mode=inference_mode)

    def set_requires_grad(self, adapter_names: str | Sequence[str], requires_grad: bool = True) -> None:
        """Set whether the adapter's parameters are trained."""
        super().set_requires_grad(adapter_names, requires_grad)
        self.layer.set_requires_grad(adapter_names, requires_grad)

    def _enable_adapter_layers(self, enabled: bool = True) -> None:
        super()._enable_adapter_layers(enabled)
        self.layer.enable_adapters(enabled)

    def delete_adapter(self, adapter_name: str) -> None:
        """Raise SpecError: the subspace is the model's only adapter."""
        raise SpecError(f"the subspace {adapter_name!r} is the only adapter of its model: take it off with unload()")

    # ------------------------------------------------------------------ taking it off

    def _unload_and_optionally_merge(
        self,
        merge: bool = True,
        progressbar: bool = False,
        safe_merge: bool = False,
        adapter_names: list[str] | None = None,
    ) -> nn.Module:
        self.layer.enable_adapters(True)
        if merge and safe_merge and not all(torch.isfinite(p).all() for p in self.subspace.parameters()):
            raise ValueError("theta_d or the lambdas hold numbers that are not finite: train again, at a lower rate")
        super()._unload_and_optionally_merge(merge, progressbar, safe_merge, adapter_names)
        return self.subspace.merge() if merge else self.subspace.detach()

    # ------------------------------------------------------------------ what is saved and loaded

    @classmethod
    def _get_adapter_state_dict(
        cls, model: nn.Module, config: Any, adapter_name: str, state_dict: dict[str, Tensor], **_: object
    ) -> dict[str, Tensor]:
        """The trained tensors, theta_d and the lambdas, by name; peft adds the modules to save."""
        found = _of_core(state_dict)
        for layer in (module for module in model.modules() if isinstance(module, SubspaceLayer)):
            found.update({key: layer.trained_theta for key in found if key.endswith(f"{CORE}.theta")})
        return found

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: nn.Module, config: Any, adapter_name: str, state_dict: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the state as saved. peft loads what fits and is silent about the rest, so that is checked here."""
        expected = {key: tuple(tensor.shape) for key, tensor in _of_core(model.state_dict()).items()}
        check_tensors(WEIGHTS, _of_core(state_dict), expected, frozenset())
        return state_dict


def _of_core(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key.split(".")[-2:-1] == [CORE]}


def _modules_to_save(model: nn.Module, endings: Sequence[str]) -> tuple[str, ...]:
    """The names of the modules that peft will copy: those with one of these endings, as it reads them."""
    return tuple(
        name
        for name, module in model.named_modules()
        if any(name.endswith(ending) for ending in endings) and any(True for _ in module.parameters())
    )


def _checked_base(model: nn.Module, saved: Sequence[str], known: Mapping[str, str] | None) -> Fingerprint:
    """The hashes of theta_0, which is all but the modules to save. Raises ArtefactError if others are known."""
    tensors = {name: held.tensor for name, held in tensors_of(model).items() if not in_head(held, saved)}
    if known is None:
        return Fingerprint.of(tensors)
    try:
        before = Fingerprint.model_validate(known)
    except ValidationError as error:
        raise ArtefactError(
            f"base in adapter_config.json is no fingerprint ({first_complaint(error)}): save again"
        ) from None
    try:
        check_values(before, tensors)
    except ArtefactError as error:
        raise ArtefactError(f"{error}, or name a head that is drawn anew in modules_to_save when you train") from None
    return before


def _attached(model: nn.Module, config: SubspaceConfig, saved: Sequence[str]) -> Subspace:
    return Subspace(
        model,
        config.subspace_dim,
        projection=config.projection,
        structure_aware=config.structure_aware,
        head="frozen" if saved else "in-subspace",
        parameters=config.parameters,
        seed=config.seed,
        lambdas=config.lambdas,
        head_names=saved,
        projection_options=config.projection_options,
    )

"""Methods that `peft` provides, on the matrices that :mod:`intrinsic.methods.architecture` locates.

They change linear maps W [outputs, inputs] of the backbone and can be folded into them. What peft draws at random
comes from the initialisation seed, and the projections of VeRA, Uni-LoRA, FourierFT and RandLoRA from the projection
seed. Peft draws in the order of the model's modules, so another version of a model may draw other values, and an
artefact then refuses to load. Counts, summed over the chosen W:

    lora       rank (inputs + outputs)            4 rank d in attention (q, v), 10 rank d in feed-forward of width 4d
    ia3        2 kv + f per block: a number for each entry of key and value, and of feed-forward's hidden layer
    vera       rank + outputs
    unilora    `size`, in all
    fourierft  `frequencies`
    adalora    first_rank (inputs + outputs + 1)
    randlora   n (rank + min(inputs, outputs)), n = ceil(min(inputs, outputs) / rank)

GPT-2 holds query, key and value in one matrix: whichever of the three is asked for, all three are changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic.errors import SpecError
from intrinsic.methods.architecture import Block, blocks_of, shape_of
from intrinsic.methods.base import Pretrained
from intrinsic.methods.options import (
    AdaLoraOptions,
    FourierFtOptions,
    LoraOptions,
    Matrix,
    RandLoraOptions,
    UniLoraOptions,
    VeraOptions,
)
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.seeds import derive
from intrinsic.spec import Frozen, MethodSpec, SeedSpec

ADAPTER = "intrinsic"
"""Name of the adapter in peft, which is part of its parameters' names."""
UNTOLD = 10**9
"""Number of steps that AdaLoRA is given at first, because the real number is known only at the first step."""


@dataclass(frozen=True)
class _Ground:
    """The facts from which a peft configuration is made."""

    model: nn.Module
    blocks: tuple[Block, ...]
    options: Any
    seed: int
    """Seed of what peft draws and does not train; 31 bits, as numpy requires."""

    def targets(self) -> list[str]:
        return targets_of(self.blocks, self.options.matrices)


def targets_of(blocks: Sequence[Block], matrices: Sequence[Matrix]) -> list[str]:
    """Full names of the linear maps that `matrices` chooses, each once, in the order of the blocks."""
    found: dict[str, None] = {}
    for block in blocks:
        for attention in block.attentions:
            places = {"q": attention.query, "k": attention.key, "v": attention.value, "o": attention.output}
            found.update(dict.fromkeys(places[m] for m in matrices if m in places))
        if "ffn" in matrices:
            found.update(dict.fromkeys((*block.ffn.inputs, block.ffn.output)))
    return list(found)


def _lora(ground: _Ground) -> dict[str, Any]:
    given: LoraOptions = ground.options
    alpha = given.rank if given.alpha is None else given.alpha
    return {"r": given.rank, "lora_alpha": alpha, "lora_dropout": given.dropout, "target_modules": ground.targets()}


def _ia3(ground: _Ground) -> dict[str, Any]:
    outputs = [block.ffn.output for block in ground.blocks]
    return {"target_modules": targets_of(ground.blocks, ("k", "v")) + outputs, "feedforward_modules": outputs}


def _vera(ground: _Ground) -> dict[str, Any]:
    given: VeraOptions = ground.options
    return {
        "r": given.rank,
        "d_initial": given.start,
        "projection_prng_key": ground.seed,
        "target_modules": ground.targets(),
    }


def _unilora(ground: _Ground) -> dict[str, Any]:
    given: UniLoraOptions = ground.options
    return {
        "r": given.rank,
        "theta_d_length": given.size,
        "proj_seed": ground.seed,
        "target_modules": ground.targets(),
    }


def _fourierft(ground: _Ground) -> dict[str, Any]:
    given: FourierFtOptions = ground.options
    targets = ground.targets()
    for name in targets:
        inputs, outputs = shape_of(ground.model.get_submodule(name))
        if given.frequencies > inputs * outputs:
            raise SpecError(
                f"frequencies must be at most the {inputs * outputs} entries of {name!r}, got {given.frequencies}"
            )
    return {
        "n_frequency": given.frequencies,
        "scaling": given.scale,
        "random_loc_seed": ground.seed,
        "target_modules": targets,
    }


def _randlora(ground: _Ground) -> dict[str, Any]:
    given: RandLoraOptions = ground.options
    alpha = 20 * given.rank if given.alpha is None else given.alpha
    return {
        "r": given.rank,
        "randlora_alpha": alpha,
        "projection_prng_key": ground.seed,
        "target_modules": ground.targets(),
    }


def _adalora(ground: _Ground) -> dict[str, Any]:
    given: AdaLoraOptions = ground.options
    return {
        "target_r": given.rank,
        "init_r": given.first_rank or given.rank + -(-given.rank // 2),
        "lora_alpha": given.rank if given.alpha is None else given.alpha,
        "orth_reg_weight": given.orthogonality,
        "total_step": UNTOLD,
        "target_modules": ground.targets(),
    }


def _attach(
    config: str,
    settings_of: Callable[[_Ground], dict[str, Any]],
    loaded: Pretrained,
    spec: MethodSpec,
    options: Frozen,
    seeds: SeedSpec,
) -> PartialFineTuning:
    """Attach the method whose configuration class in peft is `config`, with the settings that `settings_of` gives.

    Raises SpecError without the extra `peft`, ModelError for an architecture that is not in FAMILIES.
    """
    peft = _peft(spec.name)

    def extend(model: nn.Module) -> Extension:
        seed = derive(seeds.projection, "method", spec.name) % 2**31
        settings = settings_of(_Ground(model, blocks_of(model, spec.name), options, seed))
        first = model.get_submodule(settings["target_modules"][0])
        made = getattr(peft, config)(**settings, fan_in_fan_out=not isinstance(first, nn.Linear))
        return _inject(model, made, derive(seeds.initialisation, "method", spec.name))

    return PartialFineTuning(loaded, Identity(method=spec, seeds=seeds), extend)


lora = partial(_attach, "LoraConfig", _lora)
adalora = partial(_attach, "AdaLoraConfig", _adalora)
ia3 = partial(_attach, "IA3Config", _ia3)
vera = partial(_attach, "VeraConfig", _vera)
unilora = partial(_attach, "UniLoraConfig", _unilora)
fourierft = partial(_attach, "FourierFTConfig", _fourierft)
randlora = partial(_attach, "RandLoraConfig", _randlora)


def _inject(model: nn.Module, config: Any, seed: int) -> Extension:
    tuners = import_module("peft.mapping").PEFT_TYPE_TO_TUNER_MAPPING
    before = {id(p) for p in model.parameters()}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        tuner = tuners[config.peft_type](model, config, adapter_name=ADAPTER)
    added = [p for p in model.parameters() if id(p) not in before and p.requires_grad]
    fold = partial(_unload, model, tuner)
    if config.peft_type != "ADALORA":
        return Extension(tuple(added), fold=fold)
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    rows = [p for name, p in trained if ".lora_A." in name]
    columns = [p for name, p in trained if ".lora_B." in name]
    return Extension(
        tuple(added),
        fold=fold,
        penalty=partial(_orthogonality, rows, columns, config.orth_reg_weight),
        after_step=partial(_allocate, tuner, config),
    )


def _orthogonality(rows: Sequence[Tensor], columns: Sequence[Tensor], weight: float) -> Tensor:
    """Penalty: weight times the mean of |Q Q^T - 1| over all Q [r, inputs] and |P^T P - 1| over all P [outputs, r]."""
    grams = [q @ q.T for q in rows] + [p.T @ p for p in columns]
    gaps = [(gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).norm() for gram in grams]
    return weight * torch.stack(gaps).mean()


def _allocate(tuner: Any, config: Any, step: int, total: int) -> None:
    """Update AdaLoRA's ranks: all for a tenth of the steps, the final ones for the last third, falling in between."""
    config.total_step, config.tinit, config.tfinal = total, total // 10, total // 3
    config.deltaT = max(1, total // 100)
    tuner.update_and_allocate(step)


def _unload(model: nn.Module, tuner: Any) -> None:
    tuner.merge_and_unload(progressbar=False, safe_merge=False)
    if hasattr(model, "peft_config"):
        del model.peft_config


def _peft(method: str) -> Any:
    try:
        return import_module("peft")
    except ImportError as error:
        raise SpecError(
            f"method {method!r} comes in an extra that is not installed: pip install 'intrinsic[peft]'"
        ) from error

"""Ways to fine-tune. The registry can be read without importing torch; a method is imported when attached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic.errors import SpecError, UnknownName
from intrinsic.methods import options as o
from intrinsic.plugins import Registry
from intrinsic.spec import Frozen, MethodSpec, SeedSpec

if TYPE_CHECKING:
    from intrinsic.methods.base import Pretrained, Trainable


@dataclass(frozen=True)
class Method:
    description: str
    module: str
    """It has `attach(loaded, spec, seeds) -> Trainable`; with a leading dot it is one of this package."""
    options: type[Frozen] = o.NoOptions
    preset: Mapping[str, object] = field(default_factory=dict)
    """Options that this method's name sets."""
    transformer: bool = False
    """Whether it looks for attention and feed-forward: see :mod:`intrinsic.methods.architecture`."""


def _peft(description: str, options: type[Frozen]) -> Method:
    return Method(description, ".through_peft", options, transformer=True)


_OWN: dict[str, Method] = {
    "full": Method("every weight is trained", ".full"),
    "subspace": Method("theta = theta_0 + lambda P theta_d, d numbers are trained (SAID, DID)", ".subspace"),
    "probe": Method("the head alone is trained, on frozen features", ".probe"),
    "bitfit": Method("biases (Ben Zaken et al. 2022)", ".bitfit", o.BitFitOptions),
    "adapter": Method(
        "bottlenecks anywhere: form, insertion, place, composition (He et al. 2022)",
        ".bottleneck",
        o.BottleneckOptions,
        o.PRESETS["adapter"],
        transformer=True,
    ),
    "houlsby": Method(
        "two adapters a block, layer norms trained (Houlsby et al. 2019)",
        ".bottleneck",
        o.BottleneckOptions,
        o.PRESETS["houlsby"],
        transformer=True,
    ),
    "pfeiffer": Method(
        "one adapter a block, behind feed-forward's layer norm (Pfeiffer et al. 2021)",
        ".bottleneck",
        o.BottleneckOptions,
        o.PRESETS["pfeiffer"],
        transformer=True,
    ),
    "parallel": Method(
        "an adapter beside feed-forward (He et al. 2022)",
        ".bottleneck",
        o.BottleneckOptions,
        o.PRESETS["parallel"],
        transformer=True,
    ),
    "scaled-parallel": Method(
        "the same, its output scaled (He et al. 2022)",
        ".bottleneck",
        o.BottleneckOptions,
        o.PRESETS["scaled-parallel"],
        transformer=True,
    ),
    "multi-head-parallel": Method(
        "an adapter beside the attention heads (He et al. 2022)",
        ".bottleneck",
        o.BottleneckOptions,
        o.PRESETS["multi-head-parallel"],
        transformer=True,
    ),
    "mam": Method("prefixes and a scaled parallel adapter (He et al. 2022)", ".mam", o.MamOptions, transformer=True),
    "prefix": Method(
        "keys and values before those of every attention (Li and Liang 2021)",
        ".prefix",
        o.PrefixOptions,
        transformer=True,
    ),
    "prompt": Method("vectors among the input embeddings (Lester et al. 2021)", ".prompt", o.PromptOptions),
    "lora": _peft("W + (alpha / rank) B A (Hu et al. 2021)", o.LoraOptions),
    "adalora": _peft("LoRA whose ranks compete for a budget (Zhang et al. 2023)", o.AdaLoraOptions),
    "ia3": _peft("keys, values and hidden units scaled (Liu et al. 2022)", o.Ia3Options),
    "vera": _peft("LoRA with shared random A and B, two vectors trained (Kopiczko et al. 2024)", o.VeraOptions),
    "unilora": _peft("LoRA whose entries are few shared numbers (Li et al. 2025)", o.UniLoraOptions),
    "fourierft": _peft("random frequencies of the update (Gao et al. 2024)", o.FourierFtOptions),
    "randlora": _peft("a weighted full-rank sum of random products (Albert et al. 2025)", o.RandLoraOptions),
}

METHODS: Registry[Method] = Registry(
    "method", _OWN, lambda made: isinstance(made, Method), "an intrinsic.methods.Method"
)
"""By name. Other packages add to it through the entry point group `intrinsic.methods`."""


def attach(loaded: Pretrained, spec: MethodSpec, seeds: SeedSpec) -> Trainable:
    """Lay a loaded model out for the method that the spec names; the model is taken over in place.

    Raises UnknownName if there is no such method, SpecError if the method's settings are wrong or do not fit the
    model, ModelError if it looks for parts that the model does not have.
    """
    trainable: Trainable = _module(_known(spec)).attach(loaded, spec, seeds)
    return trainable


def reload(folder: str | Path, loaded: Pretrained) -> Trainable:
    """The model that any method but full and subspace has saved, on a fresh copy of its base model.

    The artefact says which method, options and seeds; so does not a subspace's (see Subspace.from_pretrained).
    Raises ArtefactError if the artefact is damaged or the base model another one.
    """
    identity = import_module("intrinsic.methods.saved").read_header(folder).identity
    trainable = attach(loaded, identity.method, identity.seeds)
    trainable.load(folder)
    return trainable


def check_fit(loaded: Pretrained, spec: MethodSpec) -> None:
    """Raise what attach would raise for settings that the model cannot meet; its weights need no values."""
    method = _known(spec)
    if spec.name in ("subspace", "prompt"):
        _module(method).check_fit(loaded, spec)
    elif method.transformer:
        import_module("intrinsic.methods.architecture").blocks_of(loaded.model, spec.name)


def check_under_subspace(name: str) -> None:
    """Raise UnknownName if there is no such method, SpecError if a subspace cannot lie over what it trains."""
    if name not in METHODS:
        raise UnknownName("method", name, METHODS)
    if name in ("full", "subspace"):
        raise SpecError(f"a subspace lies over the parameters of a method with parameters of its own, got {name!r}")
    if name == "adalora":
        raise SpecError("adalora moves its ranks in training, which no fixed subspace of them can follow: take 'lora'")


def _known(spec: MethodSpec) -> Method:
    """The method that the spec names, its options checked."""
    if spec.name not in METHODS:
        raise UnknownName("method", spec.name, METHODS)
    method = METHODS[spec.name]
    if spec.name != "subspace":  # its options are those of another method
        import_module("intrinsic.methods.base").options_of(method.options, spec, method.preset)
    return method


def _module(method: Method) -> Any:
    return import_module(method.module, __name__)

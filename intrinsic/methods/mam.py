"""The mix-and-match adapter: prefixes in attention and a scaled parallel adapter at feed-forward (He et al. 2022)."""

from __future__ import annotations

from torch import nn

from intrinsic.methods import bottleneck, prefix
from intrinsic.methods.base import Pretrained
from intrinsic.methods.options import BottleneckOptions, MamOptions, PrefixOptions
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.spec import MethodSpec, SeedSpec


def attach(loaded: Pretrained, spec: MethodSpec, options: MamOptions, seeds: SeedSpec) -> PartialFineTuning:
    """Attach both methods; apart from the head, the counts are the sums of those of `prefix` and `scaled-parallel`."""
    prefixes = PrefixOptions(length=options.length, mlp_width=options.mlp_width)
    adapters = BottleneckOptions(
        bottleneck=options.bottleneck, insertion="parallel", composition="scaled", scale=options.scale
    )

    def extend(model: nn.Module) -> Extension:
        beside = bottleneck.lay(model, spec.name, adapters, seeds)
        inside = prefix.lay(loaded, spec.name, prefixes, seeds)
        return Extension(
            parameters=beside.parameters + inside.parameters, plain=False, settle=inside.settle, stored=inside.stored
        )

    return PartialFineTuning(loaded, Identity(method=spec, seeds=seeds), extend)

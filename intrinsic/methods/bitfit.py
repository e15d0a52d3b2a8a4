"""BitFit: the biases and the head are trained (Ben Zaken et al. 2022, arXiv:2106.10199)."""

from __future__ import annotations

from torch import nn

from intrinsic.errors import SpecError
from intrinsic.methods.architecture import Block, blocks_of
from intrinsic.methods.base import Pretrained
from intrinsic.methods.options import BitFitOptions
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity
from intrinsic.spec import MethodSpec, SeedSpec
from intrinsic.subspace.layout import is_under


def attach(loaded: Pretrained, spec: MethodSpec, options: BitFitOptions, seeds: SeedSpec) -> PartialFineTuning:
    """Attach BitFit, which trains every parameter called `bias` outside the head, or two of them per block.

    `biases="all"` works on any module; in a block of width d with a feed-forward of width f it trains 7d + f
    scalars (q, k, v, o: 4d; feed-forward: f + d; two layer norms: 2d). `query-ffn` trains d + f per block.
    Raises SpecError if there are no such biases (T5 and Llama have none), and for `query-ffn` if query, key and value
    are one module.
    """
    chosen = options.biases

    def extend(model: nn.Module) -> Extension:
        backbone = {n: p for n, p in model.named_parameters() if not is_under(n, loaded.head_names) and p.requires_grad}
        if chosen == "all":
            found = [p for name, p in backbone.items() if name.rpartition(".")[2] == "bias"]
        else:
            wanted = [name for block in blocks_of(model, spec.name) for name in _two(block)]
            found = [backbone[name] for name in wanted if name in backbone]
        if not found:
            raise SpecError(
                f"method 'bitfit' looks for parameters called 'bias' outside the head (biases={chosen!r}) and finds "
                f"none in {type(model).__name__}: take another method"
            )
        return Extension(tuple(found))

    return PartialFineTuning(loaded, Identity(method=spec, seeds=seeds), extend)


def _two(block: Block) -> list[str]:
    for attention in block.attentions:
        if attention.fused:
            raise SpecError(
                f"{attention.query!r} holds query, key and value in one, so the query's bias cannot be trained "
                "alone: use biases='all'"
            )
    queries = [attention.query for attention in block.attentions]
    return [f"{name}.bias" for name in (*queries, *block.ffn.inputs)]

"""The depth of a transformer, and truncation to its first layers."""

from __future__ import annotations

from typing import Any

from intrinsic.errors import ModelError

DECODER_FIELDS = ("decoder_layers", "num_decoder_layers")
"""Fields of a configuration that may hold the number of decoder layers."""
STAGED = ("depths", "block_sizes", "hidden_sizes")
"""Fields of configurations whose layers come in stages of different shapes, which :func:`truncate` cannot cut."""


def depth(config: Any) -> int | None:
    """Number of layers (of an encoder-decoder: of its encoder); None if the layers are no plain stack."""
    if any(isinstance(getattr(config, field, None), (list, tuple)) for field in STAGED):
        return None
    layers = getattr(config, "num_hidden_layers", None)
    return layers if isinstance(layers, int) and layers >= 1 else None


def truncate(config: Any, layers: int) -> None:
    """Change a configuration to its first `layers` layers, in place; of an encoder-decoder, in both stacks.

    Embeddings, the final norm and the head stay. A decoder with fewer layers than asked for keeps all of its own.
    Raises ModelError if the layers are no plain stack, or fewer than `layers`.
    """
    there = depth(config)
    if there is None:
        raise ModelError(f"{config.model_type} is no plain stack of layers, so --layers cannot cut it: leave it out")
    if layers > there:
        raise ModelError(f"--layers {layers} is more than the {there} layers that this {config.model_type} has")
    config.num_hidden_layers = layers
    for field in DECODER_FIELDS:
        own = getattr(config, field, None)
        if isinstance(own, int):
            setattr(config, field, min(layers, own))
    if isinstance(getattr(config, "layer_types", None), (list, tuple)):
        config.layer_types = list(config.layer_types[:layers])

"""Full fine-tuning: every weight is its own parameter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_file
from torch import Tensor, nn

from intrinsic.errors import ArtefactError, SpecError
from intrinsic.methods.base import Pretrained, Trainable, head_size, require_some
from intrinsic.methods.options import NoOptions
from intrinsic.spec import MethodSpec, SeedSpec

WEIGHTS_FILE = "model.safetensors"
_DTYPES = {  # safetensors' name of a dtype, in the order of its files
    torch.int64: "I64", torch.float64: "F64", torch.float32: "F32", torch.int32: "I32",
    torch.bfloat16: "BF16", torch.float16: "F16", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip


@final
class FullFineTuning(Trainable):
    """Training of theta itself: D = parameters_trained = parameters_stored.

    A parameter that the model came with frozen (such as sinusoidal positions) stays frozen. The artefact is
    one safetensors file with every parameter and buffer, a tied tensor once; `safetensors.torch.load_model` reads it.
    """

    def __init__(self, loaded: Pretrained) -> None:
        self.model = loaded.model
        require_some(self.parameters(), "full")
        self.full_dim = self.parameters_trained
        self._head = head_size(self.named_parameters(), loaded)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, p) for name, p in self.model.named_parameters() if p.requires_grad)

    def state_dict(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.model.load_state_dict(state)

    def merge(self) -> nn.Module:
        return self.model

    def save(self, folder: str | Path) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_file(_stored(self.model), Path(folder) / WEIGHTS_FILE)

    def load(self, folder: str | Path) -> None:
        path = Path(folder) / WEIGHTS_FILE
        try:
            load_model(self.model, path)
        except (OSError, RuntimeError, SafetensorError) as error:
            told = str(error).strip().partition("\n")[0]
            raise ArtefactError(f"{path} does not hold the weights of this model ({told}): save it again") from error

    @property
    def head_parameters(self) -> int:
        return self._head

    @property
    def artefact_bytes(self) -> int:
        """The size of the safetensors file, computed, because writing a model only to measure it takes seconds."""
        return _safetensors_bytes(_stored(self.model))


def attach(loaded: Pretrained, spec: MethodSpec, options: NoOptions, seeds: SeedSpec) -> FullFineTuning:
    """Attach full fine-tuning, which has no settings and draws nothing."""
    return FullFineTuning(loaded)


def _stored(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer, contiguous, a tied tensor under its first name only."""
    seen: set[int] = set()
    kept: dict[str, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            kept[name] = tensor.detach().contiguous()
    return kept


def _safetensors_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Size of a safetensors file: 8 bytes, the JSON header padded to a multiple of 8, the data.

    The header's length depends on the digits of the offsets, so it is laid out as the library does it: by
    dtype, the widest first, then by name.
    """
    unknown = {tensor.dtype for tensor in tensors.values()} - set(_DTYPES)
    if unknown:
        raise SpecError(f"tensors to be saved must have one of the dtypes {list(_DTYPES)}, got {unknown}")
    rank = {dtype: i for i, dtype in enumerate(_DTYPES)}
    ordered = sorted(tensors, key=lambda name: (rank[tensors[name].dtype], name))
    header, end = {}, 0
    for name in ordered:
        start, end = end, end + tensors[name].numel() * tensors[name].element_size()
        header[name] = {
            "dtype": _DTYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(text) // 8) * 8 + end

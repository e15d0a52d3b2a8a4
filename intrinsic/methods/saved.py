"""A fine-tuned model on disk as what differs from its base: one safetensors file, no pickle.

method.safetensors   the trained tensors by name; its metadata hold one entry, `intrinsic`, a JSON object: which
                     method with which options and seeds, the fingerprint of everything that was not
                     trained (random maps drawn by the method among it), and that of the trained tensors
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from intrinsic.errors import ArtefactError
from intrinsic.spec import Frozen, MethodSpec, SeedSpec, first_complaint
from intrinsic.subspace.artefact import Fingerprint, check_tensors, replace_file

FILE = "method.safetensors"
ENTRY = "intrinsic"


class Identity(Frozen):
    """What a method was attached with; with the base model it determines everything but the trained tensors."""

    method: MethodSpec
    seeds: SeedSpec


class Header(Frozen):
    format: Literal["intrinsic-method"] = "intrinsic-method"
    version: Literal[1] = 1
    identity: Identity
    base: Fingerprint
    trained: Fingerprint


def write(folder: str | Path, identity: Identity, base: Fingerprint, tensors: Mapping[str, Tensor]) -> None:
    """Write the file, atomically; the folder is made if need be. Raises ArtefactError if it cannot."""
    header = Header(identity=identity, base=base, trained=Fingerprint.of(tensors))
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    body = safetensors.torch.save(plain, metadata={ENTRY: header.model_dump_json()})
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        replace_file(Path(folder) / FILE, body)
    except OSError as error:
        raise ArtefactError(f"cannot write to {folder}: {error.strerror or error}") from error


def read_header(folder: str | Path) -> Header:
    """Raises ArtefactError, whatever the file holds."""
    path = Path(folder) / FILE
    with _opened(path) as file:
        metadata = file.metadata() or {}
    try:
        return Header.model_validate_json(metadata.get(ENTRY, "{}"))
    except ValidationError as error:
        raise ArtefactError(f"{path} is not a method saved by this version: {first_complaint(error)}") from None


def read_tensors(
    folder: str | Path, header: Header, expected: Mapping[str, Tensor], optional: frozenset[str]
) -> dict[str, Tensor]:
    """The trained tensors, with the names, shapes and values they were saved with."""
    path = Path(folder) / FILE
    with _opened(path) as file:
        found: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    check_tensors(path, found, {name: tuple(t.shape) for name, t in expected.items()}, optional)
    if Fingerprint.of(found) != header.trained:
        raise ArtefactError(f"{path} is damaged: its tensors are not those that were saved; save it again")
    return found


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise ArtefactError(f"cannot read {path}: {str(error).partition(chr(10))[0]}") from error

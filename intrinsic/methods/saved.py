"""A fine-tuned model on disk, as the tensors that differ from its base: one safetensors file, no pickle.

method.safetensors   the trained tensors by name; its metadata hold one entry, `intrinsic`, a JSON object: the method
                     with its options and seeds, the fingerprint of everything that was not trained (including random
                     maps drawn by the method), and the fingerprint of the trained tensors
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
"""Name of the artefact's file."""
ENTRY = "intrinsic"
"""Key of the header in the file's metadata."""


class Identity(Frozen):
    """The settings and seeds of an attached method; with the base model they determine all but the trained tensors."""

    method: MethodSpec
    seeds: SeedSpec


class Header(Frozen):
    """The header of an artefact: its format, the method, and fingerprints of the frozen and the trained tensors."""

    format: Literal["intrinsic-method"] = "intrinsic-method"
    version: Literal[1] = 1
    identity: Identity
    base: Fingerprint
    trained: Fingerprint


def write(folder: str | Path, identity: Identity, base: Fingerprint, tensors: Mapping[str, Tensor]) -> None:
    """Write the artefact atomically; the folder is made if it does not exist. Raises ArtefactError if writing fails."""
    header = Header(identity=identity, base=base, trained=Fingerprint.of(tensors))
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    body = safetensors.torch.save(plain, metadata={ENTRY: header.model_dump_json()})
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        replace_file(Path(folder) / FILE, body)
    except OSError as error:
        raise ArtefactError(f"cannot write to {folder}: {error.strerror or error}") from error


def read_header(folder: str | Path) -> Header:
    """The header of the artefact in a folder. Raises ArtefactError if it is absent, damaged or of another version."""
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
    """The trained tensors of the artefact in a folder.

    expected: tensors of the attached method by name, whose names and shapes the artefact must have.
    optional: names that the artefact may lack.
    Raises ArtefactError for other names, shapes, or values than were saved.
    """
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

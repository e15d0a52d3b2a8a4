"""A trained subspace on disk: two small files, no pickle, nothing random in them.

    subspace.json                        the header: settings, manifest of the base model, hashes
    subspace-<16 hex digits>.safetensors the trained numbers; the digits are the head of its SHA-256

The JSON names the tensor file and is replaced last and atomically: a reader sees the old artefact
or the new one, and a crash while writing leaves the old one whole.

Manifest. One row for every parameter and persistent buffer of the base model, [name, shape, role, numbers].
Rows that differ only in the first number of their name are one row with `*` in its place and the
numbers as ranges: `["encoder.layer.*.output.dense.bias", [384], "subspace", "0-5"]`.

Fingerprint of theta_0. For each tensor SHA-256 over the UTF-8 JSON list [name, dtype, shape], a zero byte
and the values (row-major, little-endian); then SHA-256 over the 32-byte results in the order of names. The first
6 hex digits of each tensor's own hash are kept as well, so that an error can name the tensors that differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors.torch
import torch
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import Tensor

from intrinsic.errors import ArtefactError, SpecError, UnknownName
from intrinsic.spec import Frozen, SeedSpec, SubspaceForm, first_complaint
from intrinsic.subspace.manifest import AGAIN, Packed, TensorRole

FORMAT = "intrinsic-subspace"
"""The name of the format, in every header."""
VERSION = 1
"""The version of the format; it rises when an older reader would misread a newer artefact."""
HEADER_FILE = "subspace.json"
TENSOR_FILE = re.compile(r"subspace-[0-9a-f]{16}\.safetensors")
MAX_HEADER_BYTES = 8 * 2**20
MAX_TENSOR_FILE_SLACK = 2**20
"""Bytes allowed for names and offsets in the tensor file, on top of its numbers."""
SHORT = 6
"""Hex digits of each tensor's own hash that a fingerprint keeps."""

FORM = SubspaceForm()
"""The default form of a subspace: projection, structure, lambdas and head."""
SEED = SeedSpec().projection
"""The default seed of a projection."""

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hex digits."""
Number = Annotated[int, Field(strict=False)] | Annotated[float, Field(strict=False)]
"""An option's value; NumPy's numbers become Python's."""


class Settings(SubspaceForm):
    """The settings that determine a subspace of a given model: its form, and the three below.

    All but the options must be given, and none but the options is converted: a later version's defaults are not asked.
    """

    model_config = ConfigDict(strict=True)

    subspace_dim: int = Field(ge=1, lt=2**31)
    """d, the budget: theta_d and the lambdas together."""
    options: dict[str, Number | str] = Field(default_factory=dict)
    """The projection's options; all of them once a subspace is attached."""
    seed: int = Field(ge=0, lt=2**64)
    """The seed of the projection."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        lacking = [name for name in SubspaceForm.model_fields if isinstance(given, Mapping) and name not in given]
        if lacking:
            raise ValueError(f"{lacking[0]} is missing: no setting of a subspace is left to a default")
        return given

    @classmethod
    def checked(cls, **values: object) -> Settings:
        """The settings with these values. Raises SpecError, one sentence, if they are wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise unknown_name(error) or SpecError(first_complaint(error)) from None


def unknown_name(error: ValidationError) -> UnknownName | None:
    """The UnknownName that pydantic met first and wrapped, such as a projection's; None if it met another error."""
    cause = error.errors()[0].get("ctx", {}).get("error")
    return cause if isinstance(cause, UnknownName) else None


class Fingerprint(Frozen):
    """The hashes of theta_0; see the module's docstring."""

    sha256: Hex64
    short: str = Field(pattern=r"^[0-9a-f]*$")
    """The first 6 hex digits for each tensor, in the order of names."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Fingerprint:
        """The fingerprint of tensors by name, in whichever order; reads every byte once."""
        each = [_tensor_hash(name, tensors[name]) for name in sorted(tensors)]
        whole = hashlib.sha256(b"".join(each)).hexdigest()
        return cls(sha256=whole, short="".join(digest.hex()[:SHORT] for digest in each))

    def differing(self, other: Fingerprint, names: list[str]) -> list[str]:
        """Those of the (sorted) names that have another short hash."""
        at = [slice(i * SHORT, (i + 1) * SHORT) for i in range(len(names))]
        return [name for name, s in zip(names, at, strict=True) if self.short[s] != other.short[s]]


def _tensor_hash(name: str, tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    label = json.dumps([name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)])
    digest = hashlib.sha256(label.encode() + b"\0")
    digest.update(flat.view(torch.uint8).numpy().data)
    return digest.digest()


class Header(Frozen):
    """The content of `subspace.json`."""

    format: Literal["intrinsic-subspace"] = "intrinsic-subspace"
    version: Literal[1] = 1
    settings: Settings
    manifest: tuple[Packed, ...]
    """Name, shape and role of each tensor of the base model."""
    ties: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Further names of tied tensors, by canonical name."""
    base: Fingerprint
    """The hashes of theta_0."""
    tensor_file: str
    tensor_sha256: Hex64

    @field_validator("tensor_file")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not TENSOR_FILE.fullmatch(name):
            raise ValueError(f"tensor_file must look like subspace-<16 hex digits>.safetensors, got {name!r}")
        return name


class _Preface(Frozen):
    """The fields that every version of the format has, read first to tell a newer artefact from a damaged one."""

    model_config = ConfigDict(extra="ignore")
    format: str
    version: int


def write(
    directory: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    settings: Settings,
    manifest: tuple[Packed, ...],
    ties: Mapping[str, tuple[str, ...]],
    base: Fingerprint,
) -> int:
    """Write the two files, atomically, and return their size in bytes.

    Raises ArtefactError if they cannot be written, or for a tensor that holds a number that is not finite.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ArtefactError(
                f"{name} holds values that are not finite: nothing was written to {directory}; "
                "train again, with a lower learning rate"
            )
    body = safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    digest = hashlib.sha256(body).hexdigest()
    header = Header(
        settings=settings,
        manifest=manifest,
        ties=dict(ties),
        base=base,
        tensor_file=f"subspace-{digest[:16]}.safetensors",
        tensor_sha256=digest,
    )
    text = json.dumps(header.model_dump(mode="json"), separators=(",", ":"), allow_nan=False).encode()
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / header.tensor_file, body)
        replace_file(folder / HEADER_FILE, text)
        _drop_old(folder, header.tensor_file)
    except OSError as error:
        raise ArtefactError(
            f"cannot write the artefact to {folder} ({error.strerror or error}): make room, or name another folder"
        ) from error
    return len(body) + len(text)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, whenever the writer dies.

    Raises OSError if it cannot be written; the old content is left then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _drop_old(folder: Path, current: str) -> None:
    for path in folder.iterdir():
        if TENSOR_FILE.fullmatch(path.name) and path.name != current:
            path.unlink(missing_ok=True)


def read_header(directory: str | os.PathLike[str]) -> Header:
    """The content of `subspace.json`, checked. Raises ArtefactError, whatever the file holds."""
    path = Path(directory) / HEADER_FILE
    text = read_file(path, MAX_HEADER_BYTES)
    try:
        preface = _Preface.model_validate_json(text)
        if preface.format != FORMAT or preface.version != VERSION:
            raise ArtefactError(
                f"{path} is {preface.format!r} version {preface.version}, expected {FORMAT!r} version {VERSION}: "
                "read it with the version of intrinsic that wrote it"
            )
        return Header.model_validate_json(text)
    except ValidationError as error:
        if (unknown := unknown_name(error)) is not None:
            raise ArtefactError(
                f"{path} cannot be used here ({str(unknown)[:300]}): install the package that adds it, or {AGAIN}"
            ) from None
        raise ArtefactError(f"{path} is damaged ({first_complaint(error)}): {AGAIN}") from None


def read_tensors(
    directory: str | os.PathLike[str], header: Header, expected: Mapping[str, tuple[int, ...]], optional: frozenset[str]
) -> dict[str, Tensor]:
    """The trained tensors by name, of the shapes expected; only the optional ones may be absent.

    Raises ArtefactError if the file is damaged, holds another tensor, or a number that is not finite.
    """
    path = Path(directory) / header.tensor_file
    room = sum(8 * int(torch.Size(shape).numel()) + 512 for shape in expected.values())
    body = read_file(path, room + MAX_TENSOR_FILE_SLACK)
    if hashlib.sha256(body).hexdigest() != header.tensor_sha256:
        raise ArtefactError(f"{path} is damaged: its SHA-256 is not the one in {HEADER_FILE}: {AGAIN}")
    try:
        found: dict[str, Tensor] = safetensors.torch.load(body)
    except Exception as error:  # whatever a hostile file makes the parser raise
        raise ArtefactError(f"{path} is no safetensors file ({error}): {AGAIN}") from error
    check_tensors(path, found, expected, optional)
    return found


def check_tensors(
    path: Path, found: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], optional: frozenset[str]
) -> None:
    """Raise ArtefactError for a tensor that is missing, unknown, of another shape or not finite.

    Only the optional ones may be absent.
    """
    for name in sorted(expected.keys() - optional - found.keys()):
        raise ArtefactError(f"{path} lacks the tensor {name!r}: {AGAIN}")
    for name, tensor in found.items():
        if name not in expected:
            raise ArtefactError(f"{path} holds an unknown tensor {name!r}: {AGAIN}")
        if tuple(tensor.shape) != tuple(expected[name]):
            shape = tuple(expected[name])
            raise ArtefactError(f"{name!r} in {path} has shape {tuple(tensor.shape)}, expected {shape}: {AGAIN}")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ArtefactError(f"{name!r} in {path} holds values that are not finite: {AGAIN}")


def read_file(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises ArtefactError for a larger file, one that cannot be read, and, without opening it, a pipe or a device.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ArtefactError(f"{path} is not a regular file: {AGAIN}")
        if status.st_size > limit:
            raise ArtefactError(
                f"{path} is damaged: {status.st_size} bytes where at most {limit} are possible: {AGAIN}"
            )
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise ArtefactError(
            f"cannot read {path} ({error.strerror or error}): give the folder that the artefact was saved to"
        ) from error


__all__ = [
    "HEADER_FILE",
    "Fingerprint",
    "Header",
    "Settings",
    "TensorRole",
    "check_tensors",
    "read_file",
    "read_header",
    "read_tensors",
    "replace_file",
    "write",
]
